"""First tries with soft labels: a column of shares or votes for each class holds the targets."""

from tests.data.layouts.expectation import refused, right, right_or_refused
from tests.data.layouts.first_tries import layout
from tests.data.layouts.place import EVERY, WORDS, Place

# Seven shares of each class: most of it, and a little of two others.
SHARES = {
    w: [0.8 if k == w else 0.1 if (i - EVERY.index(w)) % 7 in (1, 2) else 0.0 for i, k in enumerate(EVERY)]
    for w in EVERY
}


def soft_rows(at: Place) -> list[list[object]]:
    """Path and seven shares of faces."""
    return [[at.face(f"images/{w}{i}.png", w, target=SHARES[w]), *SHARES[w]] for i in range(4) for w in EVERY]


@layout("csv", right())
def csv_of_seven_shares(at: Place) -> None:
    """A csv file with a column of shares for each class: they are the targets."""
    at.table("data.csv", "path," + ",".join(EVERY), soft_rows(at))


@layout("csv", right())
def csv_of_seven_shares_under_synonyms(at: Place) -> None:
    """A csv file with columns of shares called Angry, Happy, Sad and so on."""
    at.table("data.csv", "path," + ",".join(WORDS[w].capitalize() for w in EVERY), soft_rows(at))


@layout("parquet", right())
def parquet_of_seven_shares(at: Place) -> None:
    """A parquet file with a column of shares for each class."""
    labels = [w for _ in range(4) for w in EVERY]
    rows = [{"image": at.cell(w, target=SHARES[w])} | dict(zip(EVERY, SHARES[w], strict=True)) for w in labels]
    at.parquet("faces.parquet", rows)


@layout("csv", right_or_refused(r"_classes\.csv"))
def roboflow(at: Place) -> None:
    """Roboflow: train/_classes.csv and test/_classes.csv with a column 0 or 1 for each class, after a blank."""
    for split in ("train", "test"):
        rows = [
            (path.split("/")[1], *(f" {int(w == label)}" for w in EVERY))
            for path, label in at.faces(f"{split}/{{n}}.jpg", split=split)
        ]
        at.table(f"{split}/_classes.csv", "filename, " + ", ".join(EVERY), rows)


@layout("csv", right_or_refused(r"data\.csv"))
def csv_of_votes(at: Place) -> None:
    """A csv file with a column of votes for each class: their shares are the targets."""
    rows = [[path, *(round(10 * share) for share in shares)] for path, *shares in soft_rows(at)]
    at.table("data.csv", "path," + ",".join(EVERY), rows)


@layout("csv", right_or_refused("100|sum|share|probab"))
def csv_of_percents(at: Place) -> None:
    """A csv file with a column of percents for each class."""
    rows = [[path, *(100 * share for share in shares)] for path, *shares in soft_rows(at)]
    at.table("data.csv", "path," + ",".join(EVERY), rows)


@layout("csv", refused("line 2|row|sum|negative"))
def csv_of_impossible_shares(at: Place) -> None:
    """A csv file with shares below 0."""
    rows = [[path, *(share - 0.5 for share in shares)] for path, *shares in soft_rows(at)]
    at.table("data.csv", "path," + ",".join(EVERY), rows)
