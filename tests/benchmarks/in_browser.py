"""Speed of a static Space in Chromium on this machine, with one thread and with several, and the bytes that it loads.

python push_to_hub.py RUN --repo_id user/name --space user/demo --face_detector PATH --dry_run
python -m tests.benchmarks.in_browser RUN-staged-space

The page's own webcam answers a drawn film of 640 x 480 px with one face: found, cut out, classified, averaged, shown.
Prints a table, in less than two minutes: the rate of 60 frames after 30 to warm up, the median time from asking to
answer, and the time on processors of all of Chromium's processes together. The last says what a machine with nothing
else to do would need, where others use this one too. `browser_parts` says where it goes.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.recording_server import ISOLATED, recording
from tests.screenshots import READY, SIZES, Browser, Page, draw_pictures

WARM_UP, FRAMES = 30, 60
TIMES = """new Promise((resolve) => {{
  const shown = document.querySelector('.card-head p');
  const times = [];
  const begun = performance.now();
  const note = () => {{
    times.push(Number.parseFloat(shown.textContent));
    if (times.length < {frames}) return;
    observer.disconnect();
    resolve({{ times, seconds: (performance.now() - begun) / 1000 }});
  }};
  const observer = new MutationObserver(note);
  observer.observe(shown, {{ childList: true }});
}})"""


def main() -> None:
    """Open the Space twice and print what each took."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    space = Path(sys.argv[1])
    print("| threads allowed | frames a second | ms to the answer | ms on processors | MB loaded | requests |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        draw_pictures(Path(temporary))
        for headers in ({}, ISOLATED):
            with recording(space, headers) as recorder:
                browser = Browser(Path(temporary), recorder.proxy)
                page = Page(browser, recorder.url, *SIZES[1], "light")
                page.wait(READY)
                own = [asked for asked in recorder.log if asked.address.startswith("/")]
                page.value("document.getElementById('webcam').click()")
                page.wait("document.querySelectorAll('.face').length === 1")
                threads = page.value("crossOriginIsolated")
                page.awaited(TIMES.format(frames=WARM_UP))
                before = processor_seconds(browser)
                measured = page.awaited(TIMES.format(frames=FRAMES))
                busy = 1000 * (processor_seconds(browser) - before) / FRAMES
                loaded = sum(asked.answered for asked in own) / 1e6
                speed = f"{FRAMES / measured['seconds']:.1f} | {median(measured['times']):.0f} | {busy:.0f}"
                print(f"| {'yes' if threads else 'no'} | {speed} | {loaded:.1f} | {len(own)} |", flush=True)
                browser.close()


def processor_seconds(browser: Browser) -> float:
    """Time on processors that all processes of the browser have used so far."""
    return sum(process["cpuTime"] for process in browser.call("SystemInfo.getProcessInfo")["processInfo"])


if __name__ == "__main__":
    main()
