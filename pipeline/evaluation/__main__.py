"""The command `python -m pipeline.evaluation`."""

import sys

from pipeline.errors import end_in_one_line
from pipeline.evaluation.evaluate import main

if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
