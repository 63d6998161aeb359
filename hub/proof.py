"""Whether a release gives the run's own answers: a fresh process loads it, before it is sent or from the Hub."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from hub.run_data import drawn_pictures, own_answers
from pipeline.errors import InputError
from pipeline.run_folder import Run
from pipeline.task import kind_of_answer, spans


def prove(run: Run, folder: Path, repo_id: str, commit: str, client: str = "pipeline()") -> None:
    """A fresh process with an empty cache loads the release from the Hub; its answers must be the run's own.

    Raises:
        InputError: a probability differs from the run's.
    """
    with tempfile.TemporaryDirectory() as cache:
        apart, pictures = difference(run, folder, client, repo_id, commit, {"HF_HUB_CACHE": cache})
    if apart > tolerance(client):
        what = kind_of_answer(run.config)
        raise InputError(f"{repo_id} is published, but a {what} differs from the run's by {apart:.2g}; look at it")
    how = "pipeline" if client == "pipeline()" else client
    print(f"read back: {how}(model={json.dumps(repo_id)}) gives the run's own answers to {pictures} pictures")


def difference(
    run: Run,
    folder: Path,
    client: str,
    model: str,
    revision: str | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> tuple[float, int]:
    """The largest difference of a probability from the run's, and of how many drawn pictures.

    For scores it is one of shares of their ranges.

    Args:
        run: a finished run.
        folder: with the run's model, as the run or publishing wrote it.
        client: of `hub.clients.clients`, which is asked in a fresh process.
        model: what its snippet loads.
        revision: of `model`.
        environment: variables of that process, besides those of this one.
    """
    from hub.clients import clients, parity

    with drawn_pictures(run) as kinds:
        paths = [path for kind in kinds.values() for path in kind]
        expected = np.concatenate(list(own_answers(run, folder, kinds).values()))
        fresh = os.environ | environment
        answers = clients.ask(client, model, paths, fresh, revision=revision, top_k=len(run.outputs))
        given = parity.probabilities(client, paths, answers, run.outputs)
    return float((np.abs(given - expected) / spans(run.config)).max()), len(paths)


def tolerance(client: str) -> float:
    """The largest difference that a client promises."""
    from hub.clients import clients

    return float((clients.CLIENTS | clients.OF_ADAPTERS)[client].tolerance or 0)
