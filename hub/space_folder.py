"""The folder of a Space: the app, the crop and the detector beside it, and what the Hub builds and shows it by.

The model is not in it: the app loads it from its own repository, at the very release that was published with it.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import HfApi

from hub.access import check_access
from hub.attempts import attempt
from hub.templates import templates
from pipeline import crop
from pipeline.errors import InputError

APP = Path(__file__).parent / "server"
LICENSE = Path(__file__).parents[1] / "LICENSE"
COPIED = ("*.py", "page.html", "requirements.txt")
RENDERED = ("Dockerfile", "README.md")
PUBLISHED = (*COPIED, *RENDERED, LICENSE.name, "face_detection_yunet_*.onnx")
"""What a Space of ours consists of, as `hub.staging.PUBLISHED` is of a model."""

EMPTY = {".gitattributes", "README.md"}
"""What the Hub itself puts into a new Space."""
OURS = {"app.py", Path(crop.__file__).name}
"""What a Space with this app holds, and hardly one with another."""


def check_space(api: HfApi, space: str, say: Callable[[str], None]) -> bool:
    """Whether the Space exists. Whoever is logged in may write there, and it holds this app, or none.

    Raises:
        InputError: as `hub.access.check_access`; or another app is there, whose files would be taken away.
    """
    if not check_access(api, space, say, repo_type="space"):
        return False
    files = set(attempt(f"files of {space}", lambda: api.list_repo_files(space, repo_type="space"), say))
    if not (files <= EMPTY or files >= OURS):
        raise InputError(f"--space {space}: another app is there ({', '.join(sorted(files - EMPTY)[:3])}); choose a "
                         "new name")  # fmt: skip
    return True


def stage(folder: Path, model: str, revision: str, weights: Path) -> None:
    """Write the Space that shows the Hub's `model` at `revision` (a tag or commit) into `folder`.

    Raises:
        InputError: `weights` is no file of the detector that the crop was measured with.
    """
    try:
        detector = crop.read_weights(weights)
    except ValueError as error:
        raise InputError(f"{error}, and give its path with --face_detector") from None
    folder.mkdir(parents=True, exist_ok=True)
    app = [file for pattern in COPIED for file in sorted(APP.glob(pattern))]
    for file in (*app, Path(crop.__file__), LICENSE):
        shutil.copyfile(file, folder / file.name)
    (folder / crop.YUNET).write_bytes(detector)
    words = {"model": model, "revision": revision, "detector": crop.YUNET, "detector_page": crop.YUNET_PAGE}
    for name in RENDERED:
        text = templates().get_template(f"docker_space/{name}.jinja").render(words)
        (folder / name).write_text(text, encoding="utf-8")
