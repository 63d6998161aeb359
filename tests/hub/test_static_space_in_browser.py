"""The static Space in a real browser: Chromium without a window, with a drawn film as its webcam.

YUNET=PATH python -m pytest -m slow tests/hub/test_static_space_in_browser.py

needs Chromium (`apt-get install chromium`), YuNet's weights, and npm for the page's libraries and axe-core, or
BROWSER_LIBRARIES: a folder with the tarballs that `npm pack` makes of both. BROWSER_RUN names a run folder to test in
place of a tiny ViT.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from hub.clients.picture_kinds import picture_kinds
from hub.run_data import drawn_faces
from hub.server.answers import SENT
from hub.static_space import self_test
from pipeline import crop
from pipeline.pictures import decode
from push_to_hub import main
from tests.hub.unusual_pictures import clear_and_deep, unusual_pictures
from tests.recording_server import ISOLATED, Recorder, recording
from tests.screenshots import BROWSERS, DONE, FACES, MESSAGE, READY, SIZES, Browser, Page, app, draw_pictures

pytestmark = pytest.mark.slow
OF_CHROMIUM = re.compile(r"(^|[./])(google|googleapis|gstatic)\.com[:/]")
"""Hosts that Chromium itself asks about its account and clock, before and beside every page; the proxy refuses them."""
AXE = "axe-core@4.14.1"
SIZE = {"small": SIZES[0], "wide": SIZES[1]}
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def staged(request: pytest.FixtureRequest) -> Iterator[tuple[Path, Path]]:
    """The folders of the model and of its Space, as `push_to_hub.py --dry_run` leaves them."""
    if "YUNET" not in os.environ or not any(map(shutil.which, BROWSERS)):
        pytest.skip("needs Chromium, and YUNET with the path of the face detector's weights")
    run = Path(os.environ.get("BROWSER_RUN") or request.getfixturevalue("publishable_run"))
    words = ["--repo_id", "anna/faces", "--space", "anna/demo", "--face_detector", os.environ["YUNET"], "--dry_run"]
    if "BROWSER_LIBRARIES" in os.environ:
        words += ["--browser_libraries", os.environ["BROWSER_LIBRARIES"]]
    main([str(run), *words])
    yield tuple(run.with_name(f"{run.name}-{end}") for end in ("staged", "staged-space"))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    draw_pictures(tmp_path / "pictures")
    return tmp_path / "pictures"


Open = Callable[..., Any]


@contextmanager
def opened(
    space: Path,
    pictures: Path,
    size: tuple[int, int] = SIZES[1],
    headers: dict[str, str] | None = None,
    more: Sequence[str] = (),
    without: Sequence[str] = (),
) -> Iterator[tuple[Page, Recorder]]:
    """The page of a Space in a browser whose every request is recorded; `more` and `without`: options of Chromium."""
    with recording(space, headers) as recorder:
        browser = Browser(pictures, [*recorder.proxy, *more], without)
        try:
            page = Page(browser, recorder.url, *size, "light")
            page.wait(READY)
            yield page, recorder
            assert browser.complaints == []
        finally:
            browser.close()
        assert [a for a in recorder.foreign() if not OF_CHROMIUM.search(a)] == []
        assert [asked for asked in recorder.log if asked.body] == [], "no request carries anything"
        assert {asked.method for asked in recorder.log if asked.address.startswith("/")} <= {"GET"}


def text(page: Page, id: str) -> str:
    return page.value(f"document.getElementById({id!r}).textContent")


def show(page: Page, *files: Path) -> None:
    page.choose(*files)
    page.wait(f"document.querySelector('.card') && {DONE}")


# ---- Pictures


@pytest.mark.parametrize(
    ("picture", "faces", "says"),
    [
        ("one.png", 1, "1 face in 1 picture"),
        ("several.png", 3, "3 faces in 1 picture"),
        ("none.png", 0, "No face was found"),
        ("letter.png", 0, "not a JPEG, PNG, WebP, GIF, BMP or AVIF picture"),
    ],
)
def test_a_chosen_picture_is_answered(
    picture: str, faces: int, says: str, staged: tuple[Path, Path], pictures: Path
) -> None:
    with opened(staged[1], pictures) as (page, _):
        show(page, pictures / picture)
        assert page.value(FACES) == faces
        assert says in (text(page, "status") if faces else page.value(MESSAGE))
        shown = page.value("[...document.querySelectorAll('.scores td:last-child')].map((cell) => cell.textContent)")
        sums = [sum(float(cell.split()[0]) for cell in shown[i : i + 7]) for i in range(0, len(shown), 7)]
        assert sums == pytest.approx([100] * faces, abs=0.5)


KEEP = "document.addEventListener('change', (event) => { window.shown = event.target.files[0]; }, true)"
"""Before the page empties its field of files."""
ASK = """(async () => {
  const { predict } = await import(new URL('page/answers.js', location));
  return predict(window.shown, window.shown.name);
})()"""


def answer(page: Page, file: Path) -> dict[str, Any]:
    """What the page's own `predict` gives for a file."""
    page.value(KEEP)
    show(page, file)
    given: dict[str, Any] = page.awaited(ASK)
    assert given["name"] == file.name
    return given


@pytest.mark.parametrize("headers", [None, ISOLATED], ids=["one thread", "threads"])
def test_every_kind_of_picture_gets_the_servers_answer(
    headers: dict[str, str] | None, staged: tuple[Path, Path], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = drawn_faces()[:2] if headers else drawn_faces()
    kinds = picture_kinds(pictures / "kinds", faces, (32, 32)) | {"several": [pictures / "several.png"]}
    kinds |= clear_and_deep(pictures / "clear", faces)
    monkeypatch.setenv("FER_MODEL", str(staged[0]))
    monkeypatch.setenv("FER_FACE_DETECTOR", os.environ["YUNET"])
    largest: dict[str, float] = {}
    with app() as url, opened(staged[1], pictures, headers=headers) as (page, _):
        assert page.value("crossOriginIsolated") == bool(headers)
        for kind, files in kinds.items():
            for file in files:
                theirs = httpx2.post(f"{url}/predict", files={"files": file.read_bytes()}, timeout=60).json()["files"][
                    0
                ]
                ours = answer(page, file)
                assert (ours["width"], ours["height"]) == (theirs["width"], theirs["height"]), file.name
                assert len(ours["faces"]) == len(theirs["faces"]), file.name
                largest[kind] = max([largest.get(kind, 0.0), *map(apart, ours["faces"], theirs["faces"])])
    print(json.dumps(largest))
    assert {kind: value for kind, value in largest.items() if value > TOLERANCE} == {}


def apart(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Largest difference of a score; boxes must be the same to a hundredth of a px."""
    assert ours["box"] == pytest.approx(theirs["box"], abs=0.02)
    scores = [{row["label"]: row["score"] for row in face["scores"]} for face in (ours, theirs)]
    return max(abs(scores[0][label] - scores[1][label]) for label in scores[1])


DECODE = """(async () => {
  const { decode } = await import(new URL('page/decoding.js', location));
  try {
    const { data, width, height } = await decode(window.shown, 1e8);
    return [width, height, btoa(String.fromCharCode(...data))];
  } catch (error) {
    return error.message;
  }
})()"""


def test_unusual_pictures_have_the_servers_pixels_or_are_refused(staged: tuple[Path, Path], pictures: Path) -> None:
    files = unusual_pictures(pictures / "unusual")
    apart: dict[str, object] = {}
    with opened(staged[1], pictures) as (page, _):
        page.value(KEEP)
        for file in files:
            page.choose(file)
            page.wait(f"window.shown?.name === {file.name!r}")
            found = page.awaited(DECODE)
            if isinstance(found, str):
                apart[file.name] = found
                continue
            theirs = np.asarray(decode(file.read_bytes(), formats=SENT))
            ours = np.frombuffer(base64.b64decode(found[2]), np.uint8).reshape(found[1], found[0], 3)
            assert ours.shape == theirs.shape, file.name
            apart[file.name] = int(np.abs(ours.astype(int) - theirs).max())
    print(json.dumps(apart))
    refused = {name: reason for name, reason in apart.items() if isinstance(reason, str)}
    assert refused.keys() == {"clear.gif", "small-frame.gif", "turned.webp", "gray16.png", "icon.ico"}
    assert "colours of a GIF" in refused["clear.gif"] and "colours of a GIF" in refused["small-frame.gif"]
    assert "tag turns this WebP" in refused["turned.webp"] and "8 bits" in refused["gray16.png"]
    assert {name: levels for name, levels in apart.items() if name not in refused and levels} == {}


# ---- The webcam


def test_the_webcam_is_answered_and_nothing_is_asked_for_after_the_page_has_loaded(
    staged: tuple[Path, Path], pictures: Path
) -> None:
    with opened(staged[1], pictures) as (page, recorder):
        loaded = [asked for asked in recorder.log if asked.address.startswith("/")]
        page.value("document.getElementById('webcam').click()")
        page.wait(f"{FACES} === 1")
        page.wait("/frames a second/.test(document.querySelector('.card-head p').textContent)")
        assert page.value("document.querySelector('.number').textContent") == "1"
        assert page.value("document.getElementById('explain').offsetParent === null"), "no map follows the webcam"
        page.value("document.getElementById('clear').click()")
        page.wait("!document.querySelector('.card')")
        assert text(page, "webcam") == "Start webcam"
        show(page, pictures / "several.png")
        page.value("document.getElementById('explain').click()")
        page.wait("document.querySelector('.heat')?.naturalWidth > 0")
        assert [asked for asked in recorder.log if asked.address.startswith("/")] == loaded


# ---- What may go wrong


def changed(space: Path, place: Path, name: str, change: Callable[[Path], object]) -> Path:
    shutil.copytree(space, place / "changed")
    change(place / "changed" / name)
    return place / "changed"


MODEL_FILE, ABOUT = "model/model_with_preprocessing.onnx", "model/about.json"


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def other_answer(file: Path) -> None:
    about = json.loads(file.read_text())
    about["self_test"]["probabilities"].reverse()
    file.write_text(json.dumps(about))


def other_place(file: Path) -> None:
    about = json.loads(file.read_text())
    about["self_test"]["box"][0] += 1
    file.write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        (MODEL_FILE, truncate, "model_with_preprocessing.onnx is damaged"),
        (MODEL_FILE, Path.unlink, "model_with_preprocessing.onnx does not arrive"),
        (ABOUT, Path.unlink, "model/about.json does not arrive"),
        (ABOUT, other_answer, "gives another answer to a stored face here"),
        (ABOUT, other_place, "The face detector answers otherwise here"),
        (f"model/{crop.YUNET}", truncate, f"{crop.YUNET} is damaged"),
        (f"model/{self_test.FILE}", truncate, "cannot read the file: it is damaged"),
    ],
    ids=[
        "half a model",
        "no model",
        "no description",
        "another answer",
        "another place",
        "half a detector",
        "half a face",
    ],
)
def test_a_broken_model_is_said_in_one_line_and_no_picture_is_answered(
    name: str, change: Callable[[Path], object], says: str, staged: tuple[Path, Path], pictures: Path, tmp_path: Path
) -> None:
    with opened(changed(staged[1], tmp_path, name, change), pictures) as (page, _):
        assert says in text(page, "model")
        show(page, pictures / "one.png")
        assert says in page.value(MESSAGE)
        assert page.value(FACES) == 0


def test_a_refused_graphics_processor_is_said_and_the_processor_answers(
    staged: tuple[Path, Path], pictures: Path
) -> None:
    with opened(staged[1], pictures) as (page, recorder):
        assert page.value("Boolean(navigator.gpu)"), "Chromium offers WebGPU, but has no adapter here"
        assert "could not use the graphics processor" in text(page, "note")
        show(page, pictures / "one.png")
        assert page.value(FACES) == 1
    assert not [asked for asked in recorder.log if "asyncify" in asked.address], "it loads no library in vain"


FOREIGN = "http://pixels.example.org/"
IN_WORKER = f"""new Promise((resolve) => {{
  const code = `fetch('{FOREIGN}').then(() => postMessage('reached'), () => postMessage('refused'))`;
  const worker = new Worker(URL.createObjectURL(new Blob([code], {{ type: 'text/javascript' }})));
  worker.onmessage = ({{ data }}) => resolve(data);
}})"""


def test_neither_the_page_nor_its_worker_may_ask_another_host(staged: tuple[Path, Path], pictures: Path) -> None:
    with opened(staged[1], pictures) as (page, recorder):
        assert page.awaited(f"fetch('{FOREIGN}').then(() => 'reached', () => 'refused')") == "refused"
        assert page.awaited(IN_WORKER) == "refused"
        page.browser.complaints.clear()
        assert FOREIGN not in recorder.foreign()


# ---- For everybody


def pressed(page: Page, times: int) -> list[str]:
    """What has the focus after each of so many presses of Tab: an id, or the first words."""
    named = "((node) => node.id || node.textContent.trim() || node.tagName)(document.activeElement)"
    found = []
    for _ in range(times):
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        found.append(page.value(named))
    return found


@pytest.mark.parametrize("size", SIZE.values(), ids=SIZE)
def test_the_keyboard_reaches_everything_in_the_order_of_the_page(
    size: tuple[int, int], staged: tuple[Path, Path], pictures: Path
) -> None:
    with opened(staged[1], pictures, size) as (page, _):
        show(page, pictures / "several.png")
        assert pressed(page, 1) == ["clear"], "the first key after an answer goes to the results"
        page.value("document.querySelector('#model a').focus()")
        order = pressed(page, 17)
        assert order[:2] == ["choose", "webcam"]
        assert order[2:10] == sorted(
            ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise", "photo"]
        )
        assert order[10:] == ["clear", "explain", "even", "1", "2", "3", "Before you use it"]


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = Path(os.environ.get("BROWSER_LIBRARIES") or tmp_path_factory.mktemp("axe"))
    tarball = folder / f"{AXE.replace('@', '-')}.tgz"
    if not tarball.is_file():
        done = subprocess.run(["npm", "pack", AXE], cwd=folder, capture_output=True, timeout=300)
        if done.returncode:
            pytest.skip(f"npm does not deliver {AXE}")
    with tarfile.open(tarball) as package:
        return package.extractfile("package/axe.min.js").read().decode()


@pytest.mark.parametrize("size", SIZE.values(), ids=SIZE)
@pytest.mark.parametrize("pictures_shown", [(), ("several.png",), ("none.png", "letter.png", "one.png")], ids=str)
def test_axe_finds_no_violation(
    pictures_shown: tuple[str, ...], size: tuple[int, int], axe: str, staged: tuple[Path, Path], pictures: Path
) -> None:
    with opened(staged[1], pictures, size) as (page, _):
        if pictures_shown:
            page.value("document.getElementById('explain').click()")
            show(page, *(pictures / name for name in pictures_shown))
        page.value(axe)
        for scheme in ("light", "dark"):
            page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            found = page.awaited("axe.run().then(({ violations }) => violations.map((v) => [v.id, v.nodes[0].html]))")
            assert found == [], scheme
