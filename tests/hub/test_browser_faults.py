"""What may go wrong with a camera, a browser or a picture: the page says it in one line, and goes on.

YUNET=PATH python -m pytest -m slow tests/hub/test_browser_faults.py

needs what test_static_space_in_browser.py needs.
"""

import os
import shutil
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx2
import pytest

from tests.hub.test_static_space_in_browser import (  # noqa: F401 (fixtures)
    TOLERANCE,
    answer,
    apart,
    opened,
    pictures,
    show,
    staged,
    text,
)
from tests.hub.unusual_pictures import chunk
from tests.screenshots import FACES, MESSAGE, Page, app

pytestmark = pytest.mark.slow
WEBCAM = "document.getElementById('webcam')"
STATUS = "document.getElementById('status')"
OFF = f"{WEBCAM}.textContent === 'Start webcam' && !{WEBCAM}.disabled && !document.querySelector('video')"
SEEN = f"(({{ top, bottom }}) => top >= 0 && bottom <= innerHeight)({STATUS}.getBoundingClientRect())"
VIDEO = "document.querySelector('video')"

Staged = tuple[Path, Path]


def press_webcam(page: Page) -> None:
    page.value(f"{WEBCAM}.click()")


def says(page: Page, words: str) -> None:
    page.wait(f"{STATUS}.firstChild?.textContent.includes({words!r})")


# ---- The camera


@pytest.mark.parametrize(
    ("without", "more", "words"),
    [
        (("--use-fake-ui-for-media-stream",), ("--deny-permission-prompts",), "The camera was not allowed. Allow it"),
        (("--use-fake-device-for-media-stream",), (), "No camera was found."),
    ],
    ids=["not allowed", "none"],
)
def test_a_camera_that_does_not_start_is_said_where_a_phone_shows_it(
    without: Sequence[str],
    more: Sequence[str],
    words: str,
    staged: Staged,  # noqa: F811
    pictures: Path,  # noqa: F811
) -> None:
    with opened(staged[1], pictures, (390, 844), without=without, more=more) as (page, _):
        press_webcam(page)
        says(page, words)
        assert page.value(OFF) and page.value(SEEN)
        show(page, pictures / "one.png")
        assert page.value(FACES) == 1, "pictures are still answered"


LOSE = f"""(() => {{
  const [track] = {VIDEO}.srcObject.getVideoTracks();
  track.stop();
  track.dispatchEvent(new Event('ended'));
}})()"""
MUTE = f"{VIDEO}.srcObject.getVideoTracks()[0].dispatchEvent(new Event('mute'))"


def test_a_camera_that_goes_away_is_said_and_may_come_back(staged: Staged, pictures: Path) -> None:  # noqa: F811
    with opened(staged[1], pictures) as (page, _):
        for _ in range(2):
            press_webcam(page)
            page.wait(f"{FACES} === 1")
            page.value(MUTE)
            assert text(page, "status").strip() == "The camera sends no picture now."
            page.value(LOSE)
            says(page, "The camera went away.")
            assert page.value(OFF)


def test_a_hidden_page_stops_the_camera(staged: Staged, pictures: Path) -> None:  # noqa: F811
    with opened(staged[1], pictures) as (page, _):
        press_webcam(page)
        page.wait(f"{FACES} === 1")
        page.value(f"window.track = {VIDEO}.srcObject.getVideoTracks()[0]")
        other = page.browser.call("Target.createTarget", url="about:blank")["targetId"]
        page.browser.call("Target.activateTarget", targetId=other)
        says(page, "The webcam was stopped, because the page was hidden.")
        assert page.value(OFF) and page.value("track.readyState") == "ended"


LATE = """(() => {
  const devices = navigator.mediaDevices, ask = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async (wish) => {
    const stream = window.late = await ask(wish);
    await new Promise((resolve) => { window.allow = resolve; });
    return stream;
  };
})()"""


def test_a_camera_that_is_allowed_after_a_picture_was_chosen_stays_off(
    staged: Staged,  # noqa: F811
    pictures: Path,  # noqa: F811
) -> None:
    with opened(staged[1], pictures) as (page, _):
        page.value(LATE)
        press_webcam(page)
        page.wait("Boolean(window.allow)")
        show(page, pictures / "one.png")
        page.value("window.allow()")
        page.wait("window.late.getTracks().every((track) => track.readyState === 'ended')")
        assert page.value(OFF) and page.value(FACES) == 1


# ---- The browser


LIBRARY, WORKER = "onnxruntime-web/ort.webgpu.min.mjs", "page/worker.js"
ENGINE = "onnxruntime-web/ort-wasm-simd-threaded.wasm"


@pytest.mark.parametrize(
    ("missing", "more", "words"),
    [
        ("onnxruntime-web/ort.wasm.min.mjs", (), "onnxruntime-web does not arrive. Reload the page."),
        (ENGINE, (), "onnxruntime-web does not start. Reload the page."),
        (WORKER, (), "The browser could not run the model. Reload the page."),
        (None, ("--js-flags=--jitless",), "it has no WebAssembly with SIMD"),
    ],
    ids=["no library", "no engine", "no worker", "no WebAssembly"],
)
def test_a_browser_that_cannot_run_the_model_says_why(
    missing: str | None,
    more: Sequence[str],
    words: str,
    staged: Staged,  # noqa: F811
    pictures: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    space = staged[1]
    if missing:
        space = shutil.copytree(staged[1], tmp_path / "changed")
        (space / missing).unlink()
    with opened(space, pictures, more=more) as (page, _):
        assert words in text(page, "model")
        show(page, pictures / "one.png")
        assert words in page.value(MESSAGE)
        press_webcam(page)
        says(page, words)
        assert page.value(OFF)


SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--enable-unsafe-swiftshader", "--use-webgpu-adapter=swiftshader")


def test_webgpu_gives_the_servers_answer(
    staged: Staged,  # noqa: F811
    pictures: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the adapter that Chromium computes on the processor: it is slow, and needs no graphics hardware."""
    monkeypatch.setenv("FER_MODEL", str(staged[0]))
    monkeypatch.setenv("FER_FACE_DETECTOR", os.environ["YUNET"])
    picture = pictures / "one.png"
    with app() as url, opened(staged[1], pictures, more=SOFTWARE_GPU) as (page, recorder):
        assert text(page, "note") == "", "the graphics processor gave the stored answer"
        assert [asked for asked in recorder.log if "asyncify.wasm" in asked.address]
        sent = httpx2.post(f"{url}/predict", files={"files": picture.read_bytes()}, timeout=60).json()
        (theirs,), (ours,) = sent["files"][0]["faces"], answer(page, picture)["faces"]
    difference = apart(ours, theirs)
    print(difference)
    assert difference <= TOLERANCE


def test_without_a_network_after_loading_everything_is_answered(staged: Staged, pictures: Path) -> None:  # noqa: F811
    with opened(staged[1], pictures) as (page, recorder):
        before = [asked for asked in recorder.log if asked.address.startswith("/")]
        page.call("Network.enable")
        page.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
        page.value("document.querySelector('#examples button').click()")
        page.wait(f"{FACES} === 1")
        show(page, pictures / "several.png")
        assert page.value(FACES) == 3
        assert [asked for asked in recorder.log if asked.address.startswith("/")] == before


# ---- Pictures


def bomb(side: int) -> bytes:
    """A valid PNG of `side` x `side` gray px in some kB."""
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compressobj(9)
    line = b"\0" + b"\xff" * ((side + 7) // 8)
    packed = b"".join(rows.compress(line) for _ in range(side)) + rows.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("huge.png", lambda: bomb(40_000), "The picture is too large (40000 x 40000)."),
        ("photo.heic", lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "not a JPEG, PNG, WebP"),
        ("drawing.svg", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a JPEG, PNG, WebP"),
        ("half.png", lambda: bomb(64)[:60], "it is damaged, or the browser does not read PNG"),
        ("empty.jpg", lambda: b"", "not a JPEG, PNG, WebP"),
    ],
    ids=lambda given: given if isinstance(given, str) and "." in given[:12] else None,
)
def test_a_picture_that_cannot_be_read_is_said_and_the_next_one_is_answered(
    name: str,
    content: Callable[[], bytes],
    words: str,
    staged: Staged,  # noqa: F811
    pictures: Path,  # noqa: F811
) -> None:
    (pictures / name).write_bytes(content())
    with opened(staged[1], pictures) as (page, _):
        show(page, pictures / name)
        assert words in page.value(MESSAGE)
        assert (pictures / name).stat().st_size < 1e6
        show(page, pictures / "one.png")
        assert page.value(FACES) == 1
