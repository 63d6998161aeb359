"""Which Spaces are ours, and the folder of a Docker Space: the app, the detector's weights, and what the Hub needs.

The model is not in a Docker Space: the app loads it from its own repository, at the release that was published with the
Space. `hub.static_space` writes the other kind.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import HfApi

from hub import face_detector
from hub.access import check_access
from hub.attempts import attempt
from hub.templates import templates
from pipeline import crop
from pipeline.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
APP = "hub/server/"
COPIED = (
    "hub/__init__.py",
    f"{APP}*.py",
    f"{APP}*.html",
    f"{APP}*.js",
    f"{APP}page/*",
    f"{APP}requirements.txt",
    "pipeline/__init__.py",
    "pipeline/class_shares.py",
    "pipeline/clinical.py",
    "pipeline/cores.py",
    "pipeline/crop.py",
    "pipeline/described_size.py",
    "pipeline/errors.py",
    "pipeline/hub_client.py",
    "pipeline/model_folder.py",
    "pipeline/own_file.py",
    "pipeline/pictures.py",
    "pipeline/yaml_text.py",
    "LICENSE",
)
"""Files of the project that a Space holds, at the same paths, so that it starts with the same command."""
RENDERED = ("Dockerfile", "README.md")
FLAT = (
    *("answers.py", "app.py", "batching.py", "bodies.py", "contract.py", "crop.py", "engine.py", "faces.py"),
    *("guard.py", "pictures.py", "preprocessing.py", "refusal.py", "settings.py", "page.html", "requirements.txt"),
    "face_detection_yunet_*.onnx",
)
"""Files of a Space that an older version published: it kept the app's modules at the root."""
STATIC = ("index.html", "page/*", "model/*", "examples/*.png", "onnxruntime-web/*")
"""Files of a static Space."""
PUBLISHED = ("hub/*", "pipeline/*", *RENDERED, "LICENSE", *STATIC, *FLAT)
"""Patterns of all files of a Space of this project: publishing removes those that are not staged any more."""
EMPTY = {".gitattributes", "README.md"}
"""What the Hub itself puts into a new Space."""
OURS = (
    {f"{APP}app.py", "pipeline/crop.py"},
    {"app.py", "crop.py"},
    {"index.html", "page/worker.js", "model/about.json"},
)
"""Files by which a Space with this app is recognised, of either kind, and of this version or an older one."""


def check_space(api: HfApi, space: str, say: Callable[[str], None]) -> bool:
    """Whether the Space exists, is writable for the user who is logged in, and holds this app or none.

    Raises:
        InputError: as `hub.access.check_access`; or the Space holds another app, whose files would be removed.
    """
    if not check_access(api, space, say, repo_type="space"):
        return False
    files = set(attempt(f"files of {space}", lambda: api.list_repo_files(space, repo_type="space"), say))
    if not (files <= EMPTY or any(files >= ours for ours in OURS)):
        raise InputError(f"--space {space}: another app is there ({', '.join(sorted(files - EMPTY)[:3])}); choose a "
                         "new name")  # fmt: skip
    return True


def stage(folder: Path, model: str, revision: str, weights: Path) -> None:
    """Write the Space that shows the Hub's `model` at `revision` (a tag or commit) into `folder`.

    Raises:
        InputError: `weights` is not the file of the detector that the crop was measured with.
    """
    detector = face_detector.read(weights)
    for file in (file for pattern in COPIED for file in sorted(ROOT.glob(pattern))):
        target = folder / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    weights_in_space = f"{APP}{crop.YUNET}"
    (folder / weights_in_space).write_bytes(detector)
    words = {"model": model, "revision": revision, "detector": weights_in_space, "detector_page": crop.YUNET_PAGE}
    for name in RENDERED:
        text = templates().get_template(f"docker_space/{name}.jinja").render(words)
        (folder / name).write_text(text, encoding="utf-8")
