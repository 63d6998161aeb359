"""Curate data without training, and look at it.

python -m pipeline.curation RECIPE [--data_path DIR] --output_dir OUT
"""

import sys

from pipeline.errors import end_in_one_line, printable_lines


def main(argv: list[str]) -> None:
    """Curate what a recipe names into a new folder: tables, curation.json and the page, all or nothing."""
    # Imported here, so that Ctrl-C while libraries load ends in one line too.
    from pipeline.data.curated_folder import refuse_existing, write_curated
    from pipeline.data.curation import curate_sources
    from pipeline.data.report import rows_table
    from pipeline.settings.command_line import parse_command_line

    recipe = parse_command_line(argv).recipe
    out = recipe.output_dir
    refuse_existing(out)
    curated = curate_sources(recipe, lambda line: print(printable_lines(line)))
    write_curated(out, curated)
    print(printable_lines(rows_table(curated.report)))
    if not recipe.near_copies:
        print("near copies were not searched for (near_copies false)")
    print(f"\nwrote {out}")
    print(f"open {out}/index.html in a browser; it shows pictures of the data, so keep it on this machine")


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
