"""The folder of a static Space: the page, the model, the face detector and what runs them in a browser."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from PIL import Image

from hub import face_detector
from hub.server.answers import NO_FACE
from hub.server.folder import class_names, example_files, read_align, read_sources
from hub.server.settings import HUB, Settings
from hub.static_space import libraries, self_test
from hub.templates import templates
from pipeline import class_shares, crop
from pipeline.clinical import is_health_model
from pipeline.run_folder import CONFIG, PREPROCESSOR, read_json, write_json

ROOT = Path(__file__).resolve().parents[2]
PAGE, OWN = ROOT / "hub" / "server" / "page", ROOT / "hub" / "static_space"
MODEL = "model_with_preprocessing.onnx"
ABOUT = "model/about.json"
LIBRARIES = libraries.NAME
RUNTIMES = {"wasm": "ort-wasm-simd-threaded.wasm", "webgpu": "ort-wasm-simd-threaded.asyncify.wasm"}
"""The largest library that a browser loads beside the model, by what answers in it."""
CROP = {
    "coarse": crop.COARSE, "fine": crop.FINE, "score": crop.SCORE, "overlap": crop.OVERLAP,
    "candidates": crop.CANDIDATES, "box_width": crop.BOX_WIDTH, "box_height": crop.BOX_HEIGHT,
    "box_centre": crop.BOX_CENTRE,
}  # fmt: skip
"""The numbers of the one face crop; the page has no others."""


def stage(
    folder: Path, model: Path, repo_id: str, revision: str, weights: Path, files: Mapping[str, bytes],
    photo: Image.Image, terms: Mapping[str, str],
) -> None:  # fmt: skip
    """Write the Space that shows the staged release `model` of `repo_id` into `folder`.

    Args:
        folder: where to write; made if missing.
        model: the staged folder of the release, with its ONNX files.
        repo_id: the model's repository, whose card the page links.
        revision: tag or commit of the release.
        weights: YuNet's file.
        files: what `libraries` gives.
        photo: RGB, with a drawn face; the page tests itself with it.
        terms: the licence of the weights, as the front matter of the model's card has it.

    Raises:
        InputError: `weights` is not the file of the detector that the crop was measured with, or the model needs more
            than a page can do.
    """
    detector = face_detector.read(weights)
    _page(folder)
    parts = folder / "model"
    parts.mkdir()
    shutil.copyfile(model / "onnx" / MODEL, parts / MODEL)
    (parts / crop.YUNET).write_bytes(any_size(detector))
    (parts / "LICENSE").write_text(face_detector.LICENCE, encoding="utf-8")
    photo.save(parts / self_test.FILE)
    (folder / LIBRARIES).mkdir()
    for name, content in files.items():
        (folder / LIBRARIES / name).write_bytes(content)
    examples = example_files(model)
    (folder / "examples").mkdir()
    for name, picture in examples.items():
        (folder / "examples" / f"{name}.png").write_bytes(picture)
    about = _about(model, repo_id, revision, list(examples), photo, weights)
    weights_size = (parts / MODEL).stat().st_size
    megabytes = {device: round((weights_size + len(files[name])) / 1e6) for device, name in RUNTIMES.items()}
    write_json(folder / ABOUT, about | {"megabytes": megabytes})
    words = {"model": repo_id, "revision": revision, "terms": terms, "detector": f"model/{crop.YUNET}"}
    words |= {"detector_page": crop.YUNET_PAGE, "library": libraries.NAME, "version": libraries.VERSION}
    text = templates().get_template("static_space/README.md.jinja").render(words)
    (folder / "README.md").write_text(text, encoding="utf-8")
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")


def _page(folder: Path) -> None:
    """The files of the server's page, with the `answers.js` of this package in place of the server's."""
    (folder / "page").mkdir(parents=True)
    for file in [*sorted(PAGE.iterdir()), *sorted(OWN.glob("*.js"))]:
        target = folder / "index.html" if file.name == "page.html" else folder / "page" / file.name
        shutil.copyfile(file, target)


def any_size(detector: bytes) -> bytes:
    """YuNet's file with the same graph for every size of picture: it states 640 x 640 px, to which OpenCV is blind."""
    model = onnx.load_from_string(detector)
    for axis, name in ((2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_param = f"cells_{output.name}"
    del model.graph.value_info[:]
    content: bytes = model.SerializeToString()
    return content


def _assumed_shares(config: Mapping[str, Any], classes: Sequence[str], repo_id: str) -> dict[str, float] | None:
    """The class shares that the scores assume; None where the release does not say them."""
    if class_shares.FIELD not in config:
        return None
    return class_shares.as_json(class_shares.assumed(config, classes, repo_id), classes)


def _about(
    model: Path, repo_id: str, revision: str, examples: list[str], photo: Image.Image, weights: Path
) -> dict[str, Any]:
    """What the page and its worker know of the model; `Health` of the server's contract has the same words."""
    sources, align = read_sources(model), read_align(model)
    sides = read_json(model / PREPROCESSOR)["size"]
    size = max(sides["height"], sides["width"])
    config = json.loads((model / CONFIG).read_text(encoding="utf-8"))
    classes = class_names(config, repo_id)
    return {
        "model": repo_id,
        "revision": revision,
        "card": f"{HUB}/{repo_id}",
        "classes": classes,
        "assumed_shares": _assumed_shares(config, classes, repo_id),
        "trained_on": list(sources),
        "drawn_only": bool(sources) and all(origin == "drawn" for origin in sources.values()),
        "health_score": is_health_model(config, repo_id),
        "examples": examples,
        "model_file": MODEL,
        "detector_file": crop.YUNET,
        "size": size,
        "align": align,
        "crop": CROP,
        "max_faces": Settings.max_faces,
        "max_maps": Settings.max_maps,
        "max_pixels": Settings.max_pixels,
        "no_face": NO_FACE,
        "self_test": self_test.stored_answer(photo, weights, model / "onnx" / MODEL, size, align),
    }
