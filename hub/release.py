"""The steps of `push_to_hub.py` for a model: stage, describe, send, and how to use what was sent."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from huggingface_hub import HfApi

from hub import face_detector, space_folder, space_release, staging, upload
from hub.card.checked import check_run
from hub.options import Options
from hub.run_data import (
    detector_file,
    drawn_face,
    drawn_faces,
    drawn_pictures,
    example_face,
    own_answers,
    shipped_settings,
    validation_rows,
)
from pipeline.errors import InputError
from pipeline.run_folder import Run, write_json


def staging_place(run: Run) -> AbstractContextManager[Path]:
    """A hidden folder beside the run, on the same disk; it goes with what is in it when the block ends."""
    return new_place(run.path)


@contextmanager
def new_place(beside: Path) -> Iterator[Path]:
    """A hidden folder beside another; it goes with what is in it when the block ends."""
    with tempfile.TemporaryDirectory(prefix=f".{beside.name[:40]}-", dir=beside.resolve().parent) as place:
        yield Path(place)


def stage(run: Run, options: Options, place: Path) -> list[Path]:
    """The folders to send: that of the model, and that of the Space if one is asked for.

    What a Space lacks is reported before the model is exported.

    Raises:
        InputError: as the rooms that write the parts; or clients do not give the run's own answers; or, before anything
            is written, as `hub.card.checked.check_run`.
    """
    check_run(run)
    model, space = place / "staged", place / "staged-space"
    if options.space:
        space_release.space_parts(run, options)
    staging.stage(run, model, options.with_predictions)
    describe(run, model, options)
    if options.space:
        space_release.stage_space(run, space, model, options, options.tag or options.revision)
    return [model, space] if options.space else [model]


def keep(run: Path, folders: list[Path]) -> list[Path]:
    """Move the staged folders beside the run, where a person can look at them after a dry run."""
    made = (staging.PUBLISHED, space_folder.PUBLISHED)  # the Space comes second
    return [
        staging.keep(folder, run.with_name(f"{run.name}-{folder.name}"), patterns)
        for folder, patterns in zip(folders, made, strict=False)
    ]


def send(api: HfApi, run: Run, folder: Path, options: Options, exists: bool) -> upload.Published:
    """Send the model in one commit and tag it; `exists` says whether its repository is there already.

    Raises:
        InputError: as `hub.upload.publish`.
    """
    message = f"Publish {run.path.name}" + (f" as {options.tag}" if options.tag else "")
    target = upload.Release(
        options.repo_id, options.tag, options.revision, options.private, options.create_pr, message
    )  # fmt: skip
    published = upload.publish(api, folder, target, exists, print)
    print(f"sent: {published.files} files, {published.bytes / 1e6:.1f} MB")
    return published


def describe(run: Run, folder: Path, options: Options) -> None:
    """Add the ONNX files, the comparison of clients and the card; each is made from what is in the folder by then.

    Raises:
        InputError: `data_path` does not fit the run, or a client does not give the run's own answers.
    """
    rows = validation_rows(run, options.data_path)  # first: a wrong --data_path is reported without loading torch

    from hub.card import card, metadata, notebook
    from hub.clients import parity
    from hub.export import export

    exported = export.export_onnx(run, folder, rows, faces=drawn_faces())
    with drawn_pictures(run) as kinds:
        compared = parity.measure_parity(folder, kinds, own_answers(run, folder, kinds), options.repo_id)
    if beyond := parity.beyond_tolerance(compared):
        raise InputError(f"nothing was sent, because clients disagree: {'; '.join(beyond[:3])}")
    write_json(folder / "parity.json", compared)
    add_example(run, folder)
    examples = card.example_scores(run, folder)
    detector = stage_detector(folder, options)
    publication = metadata.Publication(
        options.repo_id, options.tag, exported, compared, examples, shipped_settings(run), options.new_version, detector
    )  # fmt: skip
    write_json(folder / metadata.NOTEBOOK, notebook.make_notebook(run, publication))
    (folder / "README.md").write_text(card.make_card(run, publication), encoding="utf-8")


def add_example(run: Run, folder: Path) -> None:
    """Draw one face for the snippets of the card, if the run has no examples: its classes are not the seven."""
    if any((folder / "examples").glob("*.png")):
        return
    (folder / "examples").mkdir(exist_ok=True)
    example_face(run.recipe["image_size"]).save(folder / "examples" / "face.png")


def stage_detector(folder: Path, options: Options) -> str | None:
    """Add the face detector that `--face_detector` or FER_FACE_DETECTOR names: its file in the repository, or None.

    Raises:
        InputError: as `hub.face_detector.stage`.
    """
    named = options.face_detector or os.environ.get("FER_FACE_DETECTOR")
    if not named:
        return None
    return face_detector.stage(folder, detector_file(named), drawn_face())


def how_to_use(run: Run, options: Options, url: str, client: str = "pipeline()") -> str:
    """The address of the release and the lines that load it."""
    from hub.clients import clients

    snippet = (clients.CLIENTS | clients.OF_ADAPTERS)[client].snippet
    lines = clients.render(snippet, options.repo_id, '"face.png"', options.tag, len(run.outputs))
    return f"{url}\n\n{lines}"
