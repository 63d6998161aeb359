"""Screenshots of the page in Chromium, as wide as a phone and as a desktop, to look at after every change of the page.

python -m tests.screenshots http://localhost:8000 shots
FER_MODEL=runs/quickstart python -m tests.screenshots none shots

The second command starts the app itself, with the model of `FER_MODEL` and YuNet's weights beside the app. Every
state of the page is reached as a person would reach it, with drawn faces as pictures and as the film of a fake
webcam. Chromium is controlled over two pipes with its DevTools protocol, so only Chromium is needed (`apt-get install
chromium`). Exits with 1 if a state was not reached, a page is wider than its window, or a script or the page's security
policy reported an error.
"""

import base64
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
from PIL import Image

from pipeline.drawn.face import draw_face
from pipeline.errors import InputError

ROOT = Path(__file__).parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SIZES = ((390, 844), (1280, 800))
SECONDS = 60  # to wait for a state, the app or an answer of Chromium; a busy machine is slow
WALL = (214, 219, 214)
QUIET = (
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"),
    *("--disable-domain-reliability", "--no-pings", "--disable-default-apps", "--disable-extensions"),
)
"""Chromium by itself asks its maker for updates and lists; these options stop it."""

READY = "document.documentElement.dataset.started === 'true'"
DONE = "document.getElementById('results').getAttribute('aria-busy') === 'false'"
FACES = "document.querySelectorAll('.face').length"
MESSAGE = "document.querySelector('.message p')?.textContent ?? '…'"
DECODED = "[...document.images].every((image) => image.complete)"


@dataclass(frozen=True)
class State:
    """How to reach a state of the page, and the JavaScript expression that is true then."""

    name: str
    until: str
    pictures: tuple[str, ...] = ()
    click: tuple[str, ...] = ()
    scheme: str = "light"


STATES = (
    State("empty", READY),
    State("one", f"{FACES} === 1", ("one.png",)),
    State("several", f"{FACES} >= 3", ("several.png",)),
    State("pictures", f"{FACES} >= 2", ("one.png", "none.png", "second.png")),
    State("none", f"{FACES} === 0 && !({MESSAGE}).endsWith('…')", ("none.png",)),
    State("error", f"{FACES} === 0 && !({MESSAGE}).endsWith('…')", ("letter.png",)),
    State("webcam", f"{FACES} === 1", click=("webcam",)),
    State("map", f"{FACES} === 1 && document.querySelector('.heat').naturalWidth > 0", ("one.png",), ("explain",)),
    State("dark", f"{FACES} >= 3", ("several.png",), ("explain",), "dark"),
)


def draw_pictures(folder: Path) -> None:
    """Write drawn faces, an empty wall, a text named like a picture, and the film for the webcam."""
    wall = Image.new("RGB", (640, 480), WALL)
    wall.save(folder / "none.png")
    draw_face("happiness", 0, 3, 480).save(folder / "one.png")
    draw_face("surprise", 0, 5, 360).save(folder / "second.png")
    for index, (label, left, side) in enumerate((("sadness", 20, 180), ("anger", 215, 210), ("surprise", 440, 180))):
        wall.paste(draw_face(label, 1, index + 2, side), (left, 130 - index % 2 * 20))
    wall.save(folder / "several.png")
    (folder / "letter.png").write_text("Dear reader, this is not a picture.\n")
    with (folder / "camera.mjpeg").open("wb") as film:
        for shift in 8 * np.sin(np.linspace(0, 2 * np.pi, 60, endpoint=False)):
            frame = Image.new("RGB", (640, 480), WALL)
            frame.paste(draw_face("happiness", 1, 4, 360), (40 + round(shift), 60))
            frame.save(film, "JPEG", quality=90)


class Browser:
    """Chromium without a window. `more` are further options of its command line, `without` options to drop."""

    def __init__(self, folder: Path, more: Sequence[str] = (), without: Sequence[str] = ()) -> None:
        program = next(filter(None, map(shutil.which, BROWSERS)), None)
        if program is None:
            raise InputError(f"no Chromium found, looked for {', '.join(BROWSERS)}; try apt-get install chromium")
        flags = [
            "--headless=new",
            "--remote-debugging-pipe",
            f"--user-data-dir={folder / 'profile'}",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={folder / 'camera.mjpeg'}",
            *QUIET,
            *more,
        ]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # Chromium as root does not start with it
        flags = [flag for flag in flags if flag not in without]
        # Chromium reads commands from file 3 and answers on file 4.
        pipes = 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1'
        self.process = subprocess.Popen(
            ["sh", "-c", pipes, "sh", program, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.unread = b""
        self.sent = 0
        self.complaints: list[str] = []

    def close(self) -> None:
        self.call("Browser.close")
        self.process.wait(SECONDS)

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; errors that pages report meanwhile are kept."""
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": params} | ({"sessionId": session} if session else {})
        assert self.process.stdin
        self.process.stdin.write(json.dumps(message).encode() + b"\0")
        self.process.stdin.flush()
        while (answer := self._read()).get("id") != self.sent:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout
        pipe = self.process.stdout.fileno()
        while b"\0" not in self.unread:
            if not select.select([pipe], [], [], SECONDS)[0]:
                raise TimeoutError("Chromium does not answer")
            chunk = os.read(pipe, 1 << 20)
            if not chunk:
                raise RuntimeError("Chromium ended")
            self.unread += chunk
        message, self.unread = self.unread.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Runtime.exceptionThrown":
            details = event["params"]["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        if event.get("method") == "Log.entryAdded" and event["params"]["entry"]["source"] == "security":
            self.complaints.append(event["params"]["entry"]["text"])


class Page:
    """A tab of the browser in a window of `width` x `height` px."""

    def __init__(self, browser: Browser, url: str, width: int, height: int, scheme: str) -> None:
        self.browser, self.width, self.phone = browser, width, width < 600
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.call(f"{domain}.enable")
        self.resize(height)
        self.call("Emulation.setTouchEmulationEnabled", enabled=self.phone)
        self.call("Page.bringToFront")  # keys go only to the tab that has the focus
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Page.navigate", url=url)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **params)

    def resize(self, height: int) -> None:
        scale = 2 if self.phone else 1
        size = {"width": self.width, "height": height, "deviceScaleFactor": scale, "mobile": self.phone}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def value(self, expression: str) -> Any:
        """The value of an expression; None if it cannot be evaluated yet."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def awaited(self, expression: str) -> Any:
        """What the promise of an expression is fulfilled with.

        Raises:
            RuntimeError: it is rejected, or the expression throws.
        """
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", {}).get("description", expression))
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        end = time.monotonic() + SECONDS
        while not self.value(f"document.readyState === 'complete' && ({expression})"):
            if time.monotonic() > end:
                raise TimeoutError(f"not true within {SECONDS} s: {expression}")
            time.sleep(0.1)

    def choose(self, *pictures: Path) -> None:
        """Choose files, as in the dialogue that the first button opens."""
        node = self.call("Runtime.evaluate", expression="document.getElementById('files')")["result"]["objectId"]
        self.call("DOM.setFileInputFiles", files=[str(picture) for picture in pictures], objectId=node)

    def reach(self, state: State, folder: Path) -> None:
        """Do what a person would do."""
        self.wait(READY)
        if state.pictures:
            self.choose(*(folder / name for name in state.pictures))
        for button in state.click:
            self.value(f"document.getElementById({button!r}).click()")
        self.wait(f"{DONE} && {state.until} && {DECODED}")
        if "webcam" in state.click:
            time.sleep(2)  # lets the average settle

    def save(self, path: Path) -> None:
        """Save the whole page. The window grows to it first, because a sticky picture is cut off at its edge."""
        self.resize(self.call("Page.getLayoutMetrics")["cssContentSize"]["height"])
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)


def take(browser: Browser, url: str, state: State, size: tuple[int, int], pictures: Path, out: Path) -> list[str]:
    """Take one screenshot; returns what was wrong."""
    browser.complaints.clear()
    page = Page(browser, url, *size, state.scheme)
    wrong = []
    try:
        page.reach(state, pictures)
    except TimeoutError as error:
        wrong.append(str(error))
    page.save(out / f"{state.name}-{size[0]}.png")
    if (wide := page.value("document.documentElement.scrollWidth")) > size[0]:
        wrong.append(f"the page is {wide} px wide")
    page.close()
    return wrong + browser.complaints


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


@contextmanager
def app() -> Iterator[str]:
    """The app of this checkout on a free port, with the model that `FER_MODEL` names."""
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", "app:app", "--app-dir", "hub/server", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT)
    url = f"http://localhost:{port}"
    try:
        _wait_for(url, process)
        yield url
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            urlopen(f"{url}/health").close()
            return
        except URLError:
            time.sleep(0.2)
    raise InputError("the app did not start; its reason stands above")


def take_all(url: str, out: Path) -> bool:
    """Take every state at every size and print one line each; returns whether all were right."""
    out.mkdir(parents=True, exist_ok=True)
    well = True
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        pictures = Path(temporary)
        draw_pictures(pictures)
        browser = Browser(pictures)
        for state in STATES:
            for size in SIZES:
                wrong = take(browser, url, state, size, pictures, out)
                print(out / f"{state.name}-{size[0]}.png", "; ".join(wrong) or "ok", flush=True)
                well = well and not wrong
        browser.close()
    return well


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    url, out = sys.argv[1], Path(sys.argv[2])
    try:
        if url != "none":
            raise SystemExit(0 if take_all(url, out) else 1)
        with app() as own:
            raise SystemExit(0 if take_all(own, out) else 1)
    except InputError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
