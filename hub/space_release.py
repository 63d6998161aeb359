"""The Space of a release: what it needs, its folder, and how it is sent after the model that it shows."""

import shutil
from pathlib import Path

from huggingface_hub import HfApi

from hub import attempts, face_detector, space_folder, staging, upload
from hub.options import Options
from hub.run_data import detector_file, drawn_face
from hub.static_space import libraries
from pipeline.errors import InputError
from pipeline.run_folder import Run


def space_parts(run: Run, options: Options) -> tuple[Path, dict[str, bytes]]:
    """What a Space needs besides the model: the detector that is named, or the run's own, and libraries of a browser.

    Raises:
        InputError: a static Space is to show scores, or as `hub.face_detector.read` and
            `hub.static_space.libraries.libraries`.
    """
    if run.scores and options.space_kind == "static":
        raise InputError(
            f"{run.path} answers with scores, and a static Space only with classes: add --space_kind docker"
        )
    weights = detector_file(options.face_detector or run.recipe["face_detector"])
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
    staging.check([folder], options)


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
