"""The folder that is sent: copies of the run's publishable files, without anything private. The run is not changed.

Publishing adds `onnx/`, `parity.json` and the card.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Collection
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from tqdm.auto import tqdm

from hub import licences
from hub.options import Options
from hub.privacy import clean_events, refuse_private
from hub.server.preprocessing import resize
from hub.static_space import libraries
from pipeline import run_folder
from pipeline.errors import InputError
from pipeline.model_folder import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from pipeline.run_folder import CONFIG, CURATION, PREPROCESSOR, Run, read_json, sha256, write_json
from pipeline.source import source_from_json

PICTURES = (run_folder.FIGURES, run_folder.EXAMPLES)
PATHS = ("data_path", "checkpoint", "output_dir", "face_detector", "logging_dir")
"""Settings whose value may be a path of this machine."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
PUBLISHED = (*run_folder.PUBLISHABLE, run_folder.ENVIRONMENT, run_folder.SEAL, "README.md", "parity.json", "onnx/*",
             "face_detector/*", f"{licences.FOLDER}/*.txt", "notebook.ipynb", ADAPTER_CONFIG,
             ADAPTER_WEIGHTS)  # fmt: skip
"""What a release consists of. A file on the Hub that fits a pattern and is not in the release is deleted there."""


def stage(run: Run, folder: Path, with_predictions: bool) -> None:
    """Copy the run's publishable files into `folder`; local paths are replaced by name and hash.

    Only files under the run's seal are taken: a file that was put there later is not part of the run. The staged folder
    is sealed as a run is, with the hashes of the staged files.

    Raises:
        InputError: `with_predictions`, but the terms of a source do not allow to publish its labels; or a file changes
            while it is copied.
    """
    if with_predictions:
        _refuse_kept_labels(run)
    taken = (run_folder.WEIGHTS, *PICTURES, *([run_folder.PREDICTIONS] if with_predictions else []))
    for name in run.sealed(*taken):
        copy_sealed(run, name, folder / name)
    # Otherwise transformers.js asks for an 8-bit file in a browser; this one answers as the run does.
    write_json(folder / CONFIG, run.config | {"transformers.js_config": {"dtype": "fp32"}})
    _stage_records(run, folder)


def stage_adapter(run: Run, folder: Path) -> None:
    """As `stage`, with the adapter of a LoRA run in place of the merged model.

    Raises:
        InputError: a file changes while it is copied.
    """
    for name in run.sealed(run_folder.ADAPTER):
        copy_sealed(run, name, folder / Path(name).name)
    for name in run.sealed(*PICTURES):
        copy_sealed(run, name, folder / name)
    _stage_records(run, folder)


def _stage_records(run: Run, folder: Path) -> None:
    """What a release says about the run, and the seal over everything that is staged."""
    _resize_examples(folder, read_json(run.path / PREPROCESSOR)["size"])
    licences.stage(folder, [source_from_json(name, entry) for name, entry in run.curation["sources"].items()])
    write_json(folder / CURATION, without_keys(run.curation))
    write_json(folder / PREPROCESSOR, _for_every_client(read_json(run.path / PREPROCESSOR)))
    for number, name in enumerate(run.sealed(run_folder.LOGS)):
        (folder / "logs").mkdir(exist_ok=True)
        clean_events(run.path / name, folder / "logs" / f"events.out.tfevents.{number:010d}")
    settings = {name: _without_path(name, value) for name, value in run.recipe.items()}
    if run.environment.get("checkpoint_is_local"):  # once it is gone, its path may look like a Hub id
        settings["checkpoint"] = settings["checkpoint"].rpartition("/")[2]
    (folder / run_folder.RECIPE).write_text(
        yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
    staged = sorted(p for p in folder.rglob("*") if p.is_file())
    hashes = {p.relative_to(folder).as_posix(): sha256(p) for p in staged}
    run_folder.seal(folder, run.environment | {"sha256": hashes}, run.evaluation)


def copy_sealed(run: Run, name: str, target: Path) -> None:
    """Copy a sealed file; what arrived must be what was sealed, also if the file changed since the run was read."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run.path / name, target)
    if sha256(target) != run.environment["sha256"][name]:
        raise InputError(f"{run.path / name} was changed while it was copied: run the same command again")


def _for_every_client(processor: dict[str, Any]) -> dict[str, Any]:
    """The settings of an image processor with which every client sees the pictures of training.

    The name is that of transformers 4, which the Hub's servers use. There `ViTImageProcessor` resizes with Pillow and
    `ViTImageProcessorFast` as training did. In transformers 5 both names mean the second. Older runs have
    `do_convert_rgb`: it composites pictures with a transparent colour onto white, and training drops transparency.
    """
    names = {"ViTImageProcessor": "ViTImageProcessorFast"}
    kind = processor["image_processor_type"]
    kept = {name: value for name, value in processor.items() if name != "do_convert_rgb"}
    return kept | {"image_processor_type": names.get(kind, kind)}


def _resize_examples(folder: Path, size: dict[str, int]) -> None:
    """Bring the examples to the model's own size, as the model does: clients that resize otherwise answer the same."""
    for file in (folder / "examples").glob("*.png"):
        picture = np.asarray(Image.open(file, formats=["PNG"]).convert("RGB"))
        Image.fromarray(resize(picture, (size["height"], size["width"]))).save(file)


def without_keys(report: Any) -> Any:
    """curation.json with its counts but without the file names of single pictures, which may name a person."""
    if isinstance(report, dict):
        return {name: [] if name == "keys" else without_keys(value) for name, value in report.items()}
    return [without_keys(value) for value in report] if isinstance(report, list) else report


def _refuse_kept_labels(run: Run) -> None:
    for name, entry in run.curation["sources"].items():
        source = source_from_json(name, entry)
        if not source.may_publish_labels:
            raise InputError(
                f"--with_predictions: predictions.parquet has labels of {name}, which may not be published "
                f"({source.terms}); leave --with_predictions out"
            )


def _without_path(name: str, value: Any) -> Any:
    """A setting as everybody may see it: an existing path becomes its name and the hash of its content."""
    if isinstance(value, list):
        return [_without_path(name, v) for v in value]
    if isinstance(value, dict):
        return {key: _without_path(key, v) for key, v in value.items()}
    if name not in PATHS or not isinstance(value, str):
        return value
    path = Path(value).expanduser()
    if name == "output_dir":
        return f"runs/{path.name}"
    if not path.exists():
        return value if HUB_ID.fullmatch(value) else path.name
    return f"{path.resolve().name}#sha256={content_hash(path)[:16]}"


def content_hash(path: Path) -> str:
    """SHA-256 over the sorted names and contents of a file, or of all files under a folder that are not hidden."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and p.name[0] != ".")
    digest = hashlib.sha256()
    for file in tqdm(files, f"hash {path.name}", disable=len(files) < 100, leave=False):
        digest.update(f"{file.relative_to(path).as_posix()}\0{sha256(file)}\n".encode())
    return digest.hexdigest()


def check(folders: list[Path], options: Options) -> None:
    """Search every staged file for what must not be published, except the page's libraries, which are pinned.

    Raises:
        InputError: as `hub.privacy.refuse_private`.
    """
    owners = [repo.partition("/")[0] for repo in (options.repo_id, options.space) if repo]
    for folder in folders:
        refuse_private(folder, *owners, *options.public_name, known=libraries.FILES.values())


def listing(folder: Path) -> str:
    """What would be sent: every file with its size, and the sum."""
    sizes = {p.relative_to(folder).as_posix(): p.stat().st_size for p in sorted(folder.rglob("*")) if p.is_file()}
    lines = [f"{size / 1e6:9.3f} MB  {name}" for name, size in sizes.items()]
    return "\n".join([*lines, f"{sum(sizes.values()) / 1e6:9.3f} MB  in {len(sizes)} files"])


def keep(folder: Path, target: Path, made: Collection[str]) -> Path:
    """Move a staged folder to `target`, in place of that of an earlier dry run.

    Args:
        folder: the staged one.
        target: where a person looks at it.
        made: patterns of the names of all files that staging makes there.

    Raises:
        InputError: something else is there, or a file that staging did not make.
    """
    if os.path.lexists(target):
        if target.is_symlink() or not target.is_dir():
            raise InputError(f"{target} exists and is not a staged folder; move it away")
        known = (
            {"README.md", "evaluation.json", "parity.json"},
            {"README.md", "evaluation.json", ADAPTER_CONFIG},
            {"README.md", "Dockerfile", "LICENSE"},
            {"README.md", "index.html", "LICENSE"},
            {"README.md", CURATION},
        )
        if not any(names <= {p.name for p in target.iterdir()} for names in known):
            raise InputError(f"{target} exists and is not a staged folder; move it away")
        if others := _others(target, made):
            raise InputError(f"{target} has {others[0]}, which staging did not make; move it away, and run this again")
        shutil.rmtree(target)
    shutil.move(folder, target)
    return target


def _others(folder: Path, made: Collection[str]) -> list[str]:
    """Names in a folder that no pattern fits, and hidden folders such as `.git`, also where a pattern fits."""
    others = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink():
            is_made = not path.name.startswith(".")
        else:  # a pattern without a folder is for the folder itself
            is_made = any(fnmatch(name, one) and ("/" in one or "/" not in name) for one in made)
        if not is_made:
            others.append(name)
    return others
