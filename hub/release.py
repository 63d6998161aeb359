"""The steps of `push_to_hub.py`: stage, check, send, prove.

The only module of `hub/` that reads data and settings: it measures the exported files on the run's own validation
pictures and asks clients about drawn faces. The other modules know the run folder only.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from huggingface_hub import HfApi

from hub import attempts, face_detector, privacy, space_folder, staging, upload
from hub.card.checked import check_run
from hub.options import Options
from hub.static_space import libraries
from pipeline.errors import InputError
from pipeline.run_folder import Run, write_json
from pipeline.task import kind_of_answer, spans


def staging_place(run: Run) -> AbstractContextManager[Path]:
    """A hidden folder beside the run, on the same disk; it goes with what is in it when the block ends."""
    return new_place(run.path)


@contextmanager
def new_place(beside: Path) -> Iterator[Path]:
    """A hidden folder beside another; it goes with what is in it when the block ends."""
    with tempfile.TemporaryDirectory(prefix=f".{beside.name}-", dir=beside.resolve().parent) as place:
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
        space_parts(run, options)
    staging.stage(run, model, options.with_predictions)
    describe(run, model, options)
    if options.space:
        stage_space(run, space, model, options, options.tag or options.revision)
    return [model, space] if options.space else [model]


def check(folders: list[Path], options: Options) -> None:
    """Search every staged file for what must not be published, except the page's libraries, which are pinned.

    Raises:
        InputError: as `hub.privacy.refuse_private`.
    """
    owners = [repo.partition("/")[0] for repo in (options.repo_id, options.space) if repo]
    for folder in folders:
        privacy.refuse_private(folder, *owners, *options.public_name, known=libraries.FILES.values())


def keep(run: Path, folders: list[Path]) -> list[Path]:
    """Move the staged folders beside the run, where a person can look at them after a dry run."""
    return [staging.keep(folder, run.with_name(f"{run.name}-{folder.name}")) for folder in folders]


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
        compared = parity.measure_parity(folder, kinds, _own_answers(run, folder, kinds), options.repo_id)
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
    from pipeline.drawn.face import draw_face

    if any((folder / "examples").glob("*.png")):
        return
    (folder / "examples").mkdir(exist_ok=True)
    draw_face("neutral", seed=2026, index=0, size=run.recipe["image_size"]).save(folder / "examples" / "face.png")


def stage_detector(folder: Path, options: Options) -> str | None:
    """Add the face detector that `--face_detector` or FER_FACE_DETECTOR names: its file in the repository, or None.

    Raises:
        InputError: as `hub.face_detector.stage`.
    """
    from pipeline.data.face_crops import find_detector

    named = options.face_detector or os.environ.get("FER_FACE_DETECTOR")
    if not named:
        return None
    return face_detector.stage(folder, find_detector(named), drawn_face())


def validation_rows(run: Run, data_path: str | None) -> Any:
    """The run's validation pictures as a `datasets.Dataset`, from `data_path` or from where its recipe says.

    None if no `data_path` is given and the faces of the run are not drawn.

    Raises:
        InputError: the run was not trained on one folder; or as the readers.
    """
    from pipeline.data.curation import curate
    from pipeline.data.readers import read_sources
    from pipeline.settings.files import recipe_from

    recipe = recipe_from(run.recipe, f"{run.path}/recipe.yaml")
    if data_path and (recipe.source == "drawn" or recipe.sources):
        why = "was trained on drawn faces" if recipe.source == "drawn" else "has several sources"
        raise InputError(f"--data_path {data_path}: this run {why}, so it takes no folder; use --data_path without a "
                         "value")  # fmt: skip
    if data_path is None and recipe.source != "drawn":
        return None
    recipe = replace(recipe, data_path=data_path or recipe.data_path)
    return curate(read_sources(recipe), recipe).splits["validation"]


def shipped_settings(run: Run) -> dict[str, Any] | None:
    """The shipped recipe of the run's name with all of its settings; None if no shipped recipe has that name."""
    from pipeline.settings.files import RECIPES, load_yaml, recipe_from

    path = RECIPES / f"{run.evaluation['recipe']}.yaml"
    return recipe_from(load_yaml(path), str(path)).settings() if path.is_file() else None


def drawn_faces() -> list[Any]:
    """A face of each of the seven expressions, 224 px, whatever the classes of the run are."""
    from pipeline.drawn.face import draw_face
    from pipeline.expressions import CLASSES

    return [draw_face(name, seed=2026, index=index, size=224) for index, name in enumerate(CLASSES)]


def drawn_face() -> Any:
    """A face that the detector finds, 200 px."""
    from pipeline.drawn.face import draw_face

    return draw_face("happiness", seed=2026, index=3, size=200)


@contextmanager
def drawn_pictures(run: Run) -> Iterator[dict[str, list[Path]]]:
    """Files of a drawn face of each expression, by kind of picture. Clients are compared on them."""
    from hub.clients.picture_kinds import picture_kinds

    size = run.recipe["image_size"]
    with tempfile.TemporaryDirectory() as place:
        yield picture_kinds(Path(place), drawn_faces(), (size, size))


def _own_answers(run: Run, folder: Path, kinds: dict[str, list[Path]]) -> dict[str, Any]:
    """Probabilities or scores `(N, K)` by kind of picture, as the run's own code computes them."""
    from pipeline.training.prediction import answers_of_files

    return answers_of_files(folder, kinds, run.recipe["image_size"])


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
        expected = np.concatenate(list(_own_answers(run, folder, kinds).values()))
        fresh = os.environ | environment
        answers = clients.ask(client, model, paths, fresh, revision=revision, top_k=len(run.outputs))
        given = parity.probabilities(client, paths, answers, run.outputs)
    return float((np.abs(given - expected) / spans(run.config)).max()), len(paths)


def tolerance(client: str) -> float:
    """The largest difference that a client promises."""
    from hub.clients import clients

    return float((clients.CLIENTS | clients.OF_ADAPTERS)[client].tolerance or 0)


def space_parts(run: Run, options: Options) -> tuple[Path, dict[str, bytes]]:
    """What a Space needs besides the model: the detector that is named, or the run's own, and libraries of a browser.

    Raises:
        InputError: a static Space is to show scores, or as `hub.face_detector.read` and
            `hub.static_space.libraries.libraries`.
    """
    from pipeline.data.face_crops import find_detector

    if run.scores and options.space_kind == "static":
        raise InputError(
            f"{run.path} answers with scores, and a static Space only with classes: add --space_kind docker"
        )
    weights = find_detector(options.face_detector or run.recipe["face_detector"])
    face_detector.read(weights)
    return weights, libraries.libraries(options.browser_libraries) if options.space_kind == "static" else {}


def stage_space(run: Run, folder: Path, model: Path, options: Options, revision: str) -> None:
    """Write the Space that shows the staged release `model` at `revision`, in place of an earlier try.

    Raises:
        InputError: as `space_parts`, the `stage` of either kind, and `check`.
    """
    from hub.card.metadata import license_of
    from hub.static_space import folder as static_space

    weights, files = space_parts(run, options)
    shutil.rmtree(folder, ignore_errors=True)
    if options.space_kind == "docker":
        space_folder.stage(folder, options.repo_id, revision, weights)
    else:
        photo, terms = face_detector.photo_of(drawn_face()), license_of(run, options.repo_id)
        static_space.stage(folder, model, options.repo_id, revision, weights, files, photo, terms)
    check([folder], options)


def send_space(api: HfApi, folder: Path, options: Options, exists: bool) -> str:
    """Send the Space after the model that it shows, and return its address.

    A new Space of a private model is private too. Otherwise it would show to everybody what its owner keeps private.

    Raises:
        InputError: as `hub.upload.publish`; the model is published all the same.
    """
    space = str(options.space)
    try:
        private = attempts.attempt(options.repo_id, lambda: api.model_info(options.repo_id), print).private
        target = upload.Release(
            space, private=options.private or bool(private and not exists), message=f"Show {options.repo_id}",
            repo_type="space", space_sdk=options.space_kind, consists_of=space_folder.PUBLISHED,
        )  # fmt: skip
        published = upload.publish(api, folder, target, exists, print)
    except InputError as error:
        state = f"{options.repo_id} is published, the Space {space} is not: {error}"
        raise InputError(f"{state}; the same command sends what is missing") from None
    print(f"sent to {space}: {published.files} files, {published.bytes / 1e6:.1f} MB")
    if private and options.space_kind == "docker":
        print(f"{options.repo_id} is private: give the Space a secret HF_TOKEN that may read it, in its settings")
    return published.url


def how_to_use(run: Run, options: Options, url: str, client: str = "pipeline()") -> str:
    """The address of the release and the lines that load it."""
    from hub.clients import clients

    snippet = (clients.CLIENTS | clients.OF_ADAPTERS)[client].snippet
    lines = clients.render(snippet, options.repo_id, '"face.png"', options.tag, len(run.outputs))
    return f"{url}\n\n{lines}"
