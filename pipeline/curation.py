"""Curate data without training, and look at it.

python -m pipeline.curation RECIPE [--data_path DIR] --output_dir OUT
"""

import sys

from pipeline.data.curated_folder import refuse_existing, write_curated
from pipeline.data.curation import curate
from pipeline.data.readers import read_sources
from pipeline.data.report import losses, rows_table
from pipeline.errors import end_in_one_line
from pipeline.settings.command_line import parse_command_line


def main(argv: list[str]) -> None:
    """Curate what a recipe names into a new folder: tables, curation.json and the page, all or nothing."""
    recipe = parse_command_line(argv).recipe
    out = recipe.output_dir
    refuse_existing(out)
    readings = read_sources(recipe)
    for line in (line for reading in readings for line in reading.lines()):
        print(f"data: {line}")
    curated = curate(readings, recipe)
    write_curated(out, curated)
    for line in losses(curated.report):
        print(f"data: {line}")
    print(rows_table(curated.report))
    print(f"\nwrote {out}")
    print(f"open {out}/index.html in a browser; it shows pictures of the data, so keep it on this machine")


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
