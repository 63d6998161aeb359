"""The command `python -m pipeline.curation`; the work is done in `pipeline/data/`."""

import sys

from pipeline.data.curation import main
from pipeline.errors import end_in_one_line

if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
