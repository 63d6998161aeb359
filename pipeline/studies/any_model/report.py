"""The pages of a report: figures that may be passed on, and a sheet of pictures that stays on this machine."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from datasets import Dataset
from datasets import Image as ImageColumn

from pipeline.data.contact_sheet import data_url
from pipeline.data.page import vote_entropy
from pipeline.errors import InputError
from pipeline.evaluation.figures import FEW
from pipeline.evaluation.per_row import Floats, probabilities
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.row_sets import most_important, row_sets
from pipeline.pictures import UnusablePicture, decode_cell
from pipeline.run_folder import ROW_SETS, metrics_of
from pipeline.studies.any_model.labelled import Labelled
from pipeline.studies.any_model.text import shown

PAGE, PICTURES = "index.html", "pictures.html"
SHOWN = 24  # pictures of a sheet


def write_pages(folder: Path, evaluation: Mapping[str, Any], predictions: Predictions, labelled: Labelled) -> None:
    """Write `index.html`, and `pictures.html` where the data has pictures.

    Raises:
        InputError: a picture cannot be decoded any more.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["shown"] = shown
    best = most_important(evaluation)
    sets = [name for name in ROW_SETS if name in evaluation]
    page = environment.get_template("index.html.jinja").render(
        evaluation=evaluation, best=best, sets=sets, metrics=metrics_of(evaluation), few=FEW
    )
    (folder / PAGE).write_text(page, encoding="utf-8")
    if all("image" in table.column_names for table in labelled.tables.values()):
        held = np.flatnonzero(row_sets(predictions)[best].held)
        sheets = {
            "The surest mistakes": _sheet(surest_mistakes(predictions, held), predictions, labelled),
            "The most disputed pictures": _sheet(most_disputed(predictions, held), predictions, labelled),
        }
        page = environment.get_template("pictures.html.jinja").render(sheets=sheets, name=evaluation["model"]["name"])
        (folder / PICTURES).write_text(page, encoding="utf-8")


def surest_mistakes(predictions: Predictions, held: np.ndarray) -> np.ndarray:
    """The positions among `held` whose wrong answer has the highest probability, at most `SHOWN`."""
    shares = probabilities(predictions.logits[held])
    wrong = np.flatnonzero(shares.argmax(1) != predictions.label[held])
    first: np.ndarray = held[wrong[np.argsort(-shares.max(1)[wrong], kind="stable")][:SHOWN]]
    return first


def most_disputed(predictions: Predictions, held: np.ndarray) -> np.ndarray:
    """The positions among `held` whose votes have the highest entropy, at most `SHOWN`; none without votes."""
    bits = vote_entropy(predictions.target[held])
    order = np.argsort(-bits, kind="stable")[:SHOWN]
    first: np.ndarray = held[order[bits[order] > 0]]
    return first


def _sheet(positions: Iterable[int], predictions: Predictions, labelled: Labelled) -> list[dict[str, str]]:
    """A picture with its key, label, answer and votes for each position in predictions.parquet."""
    starts = np.cumsum([0, *(len(table) for table in labelled.tables.values())])
    tables = list(labelled.tables.values())
    faces = []
    for position in map(int, positions):
        number = int(np.searchsorted(starts, position, side="right")) - 1
        shares = probabilities(predictions.logits[position][None])[0]
        label = predictions.classes[predictions.label[position]]
        answer = predictions.classes[int(shares.argmax())]
        caption = f"{predictions.key[position]}: {label}, answered {answer} {shares.max():.2f}"
        votes = _votes(predictions.classes, predictions.target[position])
        picture = _picture(tables[number], position - int(starts[number]))
        faces.append({"picture": picture, "caption": caption + (f"; votes: {votes}" if votes else "")})
    return faces


def _picture(table: Dataset, row: int) -> str:
    undecoded = table.select_columns(["image", "key"]).cast_column("image", ImageColumn(decode=False))[row]
    try:
        return data_url(decode_cell(undecoded["image"]))
    except UnusablePicture as error:
        raise InputError(f"{undecoded['key']} changed while it was evaluated ({error}): run it again") from None


def _votes(classes: list[str], shares: Floats | np.ndarray) -> str:
    if shares.max() >= 1 - 1e-6:
        return ""
    ranked = sorted(zip(shares.tolist(), classes, strict=True), reverse=True)
    return ", ".join(f"{name} {share:.0%}" for share, name in ranked if share > 0)
