"""The command `python -m pipeline.repeat`; the work is done in `pipeline/studies/`."""

import sys

from pipeline.errors import end_in_one_line
from pipeline.studies.repeat import main

if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
