"""Where the figures of an entry come from: what makes it again, and the revision of code and weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError
from pipeline.run_folder import ENVIRONMENT, RECIPE, SEAL, WEIGHTS, read_json


@dataclass(frozen=True)
class Origin:
    """What to type, the git revision of the code, and the first digits of the SHA-256 of each run's weights."""

    command: str
    revision: str
    weights: tuple[str, ...]


def origin_of(runs: Sequence[Path]) -> Origin:
    """The origin of the runs of one entry, or of a model that `python -m pipeline.evaluation --model` evaluated.

    Raises:
        InputError: an evaluation.json or environment.json cannot be read or has no hash of the weights.
    """
    model = read_json(runs[0] / SEAL).get("model")
    if isinstance(model, dict):
        digest = str(model.get("weights_sha256") or model.get("scores_sha256") or "")
        name = str(model.get("name", "")).replace("\\", "/").rstrip("/")
        named = name if name.count("/") == 1 else name.rpartition("/")[2]  # a Hub id, or the last name of a path
        return Origin(f"python -m pipeline.evaluation --model {named}", "", (digest[:12],))
    about = [read_json(run / ENVIRONMENT) for run in runs]
    revisions = dict.fromkeys(_short(environment.get("git_revision")) for environment in about)
    hashes = [_weights(run, environment) for run, environment in zip(runs, about, strict=True)]
    seeds = "" if len(runs) == 1 else f" (a run a seed: {len(runs)})"
    return Origin(
        command=f"accelerate launch train_hf.py {runs[0].name}/{RECIPE}{seeds}",
        revision=", ".join(revisions),
        weights=tuple(digest[:12] for digest in hashes),
    )


def _short(revision: object) -> str:
    text = str(revision or "unknown")
    return text[:7] + ("-dirty" if text.endswith("-dirty") else "")


def _weights(run: Path, environment: dict[str, object]) -> str:
    hashes = environment.get("sha256")
    if not isinstance(hashes, dict) or not isinstance(hashes.get(WEIGHTS), str):
        raise InputError(f"{run / ENVIRONMENT} has no sha256 of {WEIGHTS}: restore the file, or train again")
    return str(hashes[WEIGHTS])
