"""One picture, every client: do they all give a published folder's own probabilities?"""

import math
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hub.clients.clients import CLIENTS, Answer, ask, lay, versions, why_missing
from pipeline.errors import InputError
from pipeline.run_folder import CONFIG, read_json
from pipeline.task import id_order, is_scored, kind_of_answer, spans


def measure_parity(
    folder: Path,
    pictures: Mapping[str, Sequence[Path]],
    reference: Mapping[str, NDArray[np.floating]],
    model: str = "local/model",
    revision: str | None = None,
    node_modules: Path | None = None,
    clients: Collection[str] = CLIENTS,
) -> dict[str, Any]:
    """Ask every installed client about every picture, offline, and compare with the reference.

    Args:
        folder: what will be published: config.json, model.safetensors, preprocessor_config.json, onnx/.
        pictures: files by kind of picture.
        reference: `(N, K)` probabilities or scores by kind, in the order of the pictures and of `id2label`.
        model: the repository that the snippets name, as in the model card; `revision` is the tag.
        node_modules: where transformers.js is; None for what FER_NODE_MODULES or NODE_PATH name.
        clients: those of `CLIENTS` to ask.

    Returns:
        `answers`, what they are in one word; and `clients`, by name: `versions`, `tolerance` and `kinds`, each with
        `n`, the `largest_difference` of a probability (of a score: as a share of its range in train) and how many have
        the `same_top_class`; or `skipped` with the reason, for a missing client.

    Raises:
        InputError: a client ends in an error, or as `probabilities`.
    """
    config = read_json(folder / CONFIG)
    classes, scored = id_order(config), is_scored(config)
    paths = [path for kind in pictures.values() for path in kind]
    table: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="parity-") as home:
        environment = lay(folder, Path(home), model, revision)
        for name in clients:
            client = CLIENTS[name]
            reason = why_missing(client, folder, node_modules)
            if reason:
                table[name] = {"skipped": reason}
                continue
            answers = ask(name, model, paths, environment, revision, len(classes), node_modules, scored=scored)
            given = probabilities(name, paths, answers, classes, may_refuse=client.is_node)
            table[name] = {
                "versions": versions(client, node_modules),
                "tolerance": client.tolerance,
                "kinds": _compared(given, pictures, reference, spans(config)),
            }
    return {"answers": kind_of_answer(config), "clients": table}


def beyond_tolerance(parity: Mapping[str, Any]) -> list[str]:
    """A line for each client and kind of picture whose difference is above what the client promises."""
    what = parity.get("answers", "probability")
    return [
        f"{name}, {kind}: a {what} differs by {cell['largest_difference']:.2g} (allowed: {client['tolerance']:g})"
        for name, client in parity["clients"].items()
        if client.get("tolerance") is not None
        for kind, cell in client["kinds"].items()
        if not cell["largest_difference"] <= client["tolerance"]
    ]


def probabilities(
    name: str, paths: Sequence[Path], answers: Sequence[Answer], classes: Sequence[str], may_refuse: bool = False
) -> NDArray[np.float64]:
    """The answers of the client `name` to the pictures `paths` as `(N, K)`, in the order of `classes`.

    With `may_refuse` the row of a refused picture is NaN: transformers.js cannot decode some transparent ones.

    Raises:
        InputError: it refuses a picture, or answers with other classes than config.json names.
    """
    rows = []
    for path, answer in zip(paths, answers, strict=True):
        if isinstance(answer, str) and may_refuse:
            rows.append([math.nan] * len(classes))
            continue
        if isinstance(answer, str):
            raise InputError(f"{name} refuses {path.name}: {answer.splitlines()[0]}")
        if answer.keys() != set(classes):
            raise InputError(f"{name} answers with {', '.join(answer)}; config.json names {', '.join(classes)}")
        rows.append([answer[one] for one in classes])
    return np.array(rows)


def _compared(
    given: NDArray[np.float64],
    pictures: Mapping[str, Sequence[Path]],
    reference: Mapping[str, NDArray[np.floating]],
    span: NDArray[np.float64],
) -> dict[str, Any]:
    """`given` (N, K) has the pictures of all kinds, one kind after the other; differences are shares of `span` (K,)."""
    cells, start = {}, 0
    for kind, paths in pictures.items():
        ours, theirs = np.asarray(reference[kind]), given[start : start + len(paths)]
        start += len(paths)
        answered = ~np.isnan(theirs).any(1)
        refused = {} if answered.all() else {"refused": int((~answered).sum())}
        if not answered.any():
            cells[kind] = {"n": len(paths), **refused, "largest_difference": 0.0, "same_top_class": 0}
            continue
        ours, theirs = ours[answered], theirs[answered]
        cells[kind] = {
            "n": len(paths),
            **refused,
            "largest_difference": round(float((np.abs(ours - theirs) / span).max()), 6),
            "same_top_class": int((ours.argmax(1) == theirs.argmax(1)).sum()),
        }
    return cells
