"""A leaderboard of finished runs and evaluated models: Markdown, and one HTML file that loads nothing else.

    python -m pipeline.leaderboard ENTRY [ENTRY ...] --output_dir FOLDER

An entry is a run folder, a folder of `python -m pipeline.evaluation --model`, or the output_dir of a study, whose seeds
make one entry. `leaderboard.md` and `leaderboard.html` have a table for each row set that two or more entries have. An
entry without a row set is named below its table.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import jinja2

from pipeline.errors import InputError, printable
from pipeline.run_folder import ROW_SETS
from pipeline.studies.ranking import FAMILY_LEVEL, Line, Table, entries_of, tables_of
from pipeline.studies.study import SHOWN

MARKDOWN, HTML = "leaderboard.md", "leaderboard.html"
COLUMNS = ("rank", "entry", "seeds", *SHOWN.values(), "accuracy less the next", "command", "code", "weights")
MARKUP = frozenset(r"\`*_{}[]()<>#+!|~$&")
ABOUT = (
    "Facial expressions, not emotions: a label names what a face shows.",
    "Intervals are 95 %, over pictures. With several seeds a value is the mean over them.",
    "The rank is 1 + the number of entries that are better beyond chance: exact paired randomisation test on accuracy, "
    f"{FAMILY_LEVEL:.0%} over all pairs of a table together (Holm).",
)


def write_pages(tables: Sequence[Table], folder: Path) -> list[Path]:
    """Write both files into `folder`, each aside and then moved in: their paths.

    Raises:
        InputError: the folder cannot be made or written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in ((MARKDOWN, as_markdown(tables)), (HTML, as_html(tables))):
            aside = folder / f".{name}.part"
            aside.write_text(text, encoding="utf-8", newline="\n")
            written.append(aside.replace(folder / name))
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}): choose another --output_dir") from None
    return written


def as_markdown(tables: Sequence[Table]) -> str:
    """Every table with its heading; no name can add markup or a line."""
    lines = ["# Leaderboard", "", *ABOUT]
    for table in tables:
        lines += ["", f"## {heading(table)}", "", _row(COLUMNS), _row(["---"] * len(COLUMNS))]
        lines += [_row([plain(cell) for cell in cells]) for cells in cells_of(table)]
        lines += [""] * bool(table.without) + [f"- {plain(name)} has no {table.row_set} rows" for name in table.without]
    return "\n".join(lines) + "\n"


def as_text(tables: Sequence[Table]) -> str:
    """Rank, name and accuracy of each entry, for the terminal."""
    lines = []
    for table in tables:
        lines += ["", heading(table)]
        for line in (*table.lines, *table.baselines):
            one = line.values["accuracy"]
            rank = "-" if line.rank is None else line.rank
            lines.append(f"{rank:>4}  {one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]  {printable(line.name)}")
        lines += [f"      {printable(name)} has no {table.row_set} rows" for name in table.without]
    return "\n".join(lines[1:])


def as_html(tables: Sequence[Table]) -> str:
    """The same as a page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("leaderboard.html.jinja")
    return page.render(tables=tables, columns=COLUMNS, about=ABOUT, heading=heading, cells_of=cells_of)


def heading(table: Table) -> str:
    """The row set, in words, and its number of rows."""
    return f"{table.row_set}: {ROW_SETS[table.row_set].words}, n = {table.n:,}"


def cells_of(table: Table) -> Iterator[list[str]]:
    """The cells of each line, entries first and then baselines, in the order of `COLUMNS`."""
    for position, line in enumerate(table.lines):
        by = table.to_next[position] if position < len(table.to_next) else None
        step = f"{by.value:+.3f} [{by.low:+.3f}, {by.high:+.3f}], p {by.p:.3f}" if by else ""
        origin = [line.origin.command, line.origin.revision, " ".join(line.origin.weights)] if line.origin else [""] * 3
        yield [str(line.rank), line.name, " ".join(map(str, line.seeds)), *_metrics(line), step, *origin]
    for line in table.baselines:
        yield ["", line.name, "", *_metrics(line), *[""] * 4]


def _metrics(line: Line) -> list[str]:
    found = [line.values.get(name) for name in SHOWN]
    return ["" if one is None else f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]" for one in found]


def plain(text: str) -> str:
    """Text for a cell of a Markdown table: no character of it is markup, and it stays on one line."""
    one_line = (c if c.isprintable() else " " for c in text)
    return "".join(f"\\{c}" if c in MARKUP else c for c in one_line)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(argv: list[str]) -> None:
    """Rank the entries, write the two files and say where they are."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.leaderboard",
        description="Compare finished runs and evaluated models on the same rows, in pairs.",
        allow_abbrev=False,
    )
    parser.add_argument("entries", nargs="+", type=Path, metavar="ENTRY", help="a run, or the output_dir of a study")
    parser.add_argument("--output_dir", type=Path, required=True, help="where leaderboard.md and leaderboard.html go")
    options = parser.parse_args(argv)
    tables = tables_of(entries_of(options.entries))
    print(as_text(tables))
    for path in write_pages(tables, options.output_dir):
        print(f"written: {path}")
