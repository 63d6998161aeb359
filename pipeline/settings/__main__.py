"""`python -m pipeline.settings` prints docs/settings.md; `--write` writes it."""

import argparse

from pipeline.settings.reference import PAGE, page

parser = argparse.ArgumentParser(prog="python -m pipeline.settings", description="Print the reference of all settings.")
parser.add_argument("--write", action="store_true", help="write it to docs/settings.md instead")
if parser.parse_args().write:
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
else:
    print(page(), end="")
