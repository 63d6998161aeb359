"""Speed of a static Space in Chromium on this machine, with one thread and with several, and the bytes that it loads.

python push_to_hub.py RUN --repo_id user/name --space user/demo --face_detector PATH --dry_run
python -m tests.benchmarks.in_browser RUN-staged-space

Frames of 640 x 480 px with one drawn face go through the page's own `predict`, two under way at once as those of the
webcam: found, cut out, classified. Prints a table, in less than two minutes; frames a second are those of 60 frames, and
the time from asking to answer is their median. The time on processors, of all of Chromium's processes together, says
what a machine with nothing else to do would need, where others use this one too. `browser_parts` says where it goes.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.recording_server import ISOLATED, recording
from tests.screenshots import READY, SIZES, Browser, Page, draw_pictures

FRAMES = 60
TIMES = f"""(async () => {{
  const {{ predict }} = await import(new URL('page/answers.js', location));
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [640, 480];
  const context = canvas.getContext('2d', {{ willReadFrequently: true }});
  const image = document.querySelector('.picture img');
  const answers = [];
  const begun = performance.now();
  for (let frame = 0; frame < {FRAMES}; frame++) {{
    context.fillStyle = '#d6dbd6';
    context.fillRect(0, 0, 640, 480);
    context.drawImage(image, 100 + frame % 30, 60, 300, 300);
    answers.push(predict(canvas, 'frame'));
    await answers.at(-2);
  }}
  const times = (await Promise.all(answers)).map((answer) => {{
    if (answer.faces.length !== 1) throw new Error('one face is there');
    return answer.total;
  }});
  return {{ times, seconds: (performance.now() - begun) / 1000 }};
}})()"""


def main() -> None:
    """Open the Space twice and print what each took."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    space = Path(sys.argv[1])
    print(
        "| threads | frames a second | ms to the answer | ms on processors | MB loaded | requests |\n|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        draw_pictures(Path(temporary))
        for headers in ({}, ISOLATED):
            with recording(space, headers) as recorder:
                browser = Browser(Path(temporary), recorder.proxy)
                page = Page(browser, recorder.url, *SIZES[1], "light")
                page.wait(READY)
                own = [asked for asked in recorder.log if asked.address.startswith("/")]
                page.choose(Path(temporary) / "one.png")
                page.wait("document.querySelectorAll('.face').length === 1")
                threads = page.value("crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 4) : 1")
                before = processor_seconds(browser)
                measured = page.awaited(TIMES)
                busy = 1000 * (processor_seconds(browser) - before) / FRAMES
                loaded = sum(asked.answered for asked in own) / 1e6
                speed = f"{FRAMES / measured['seconds']:.1f} | {median(measured['times']):.0f} | {busy:.0f}"
                print(f"| {threads} | {speed} | {loaded:.1f} | {len(own)} |", flush=True)
                browser.close()


def processor_seconds(browser: Browser) -> float:
    """Time on processors that all processes of the browser have used so far."""
    return sum(process["cpuTime"] for process in browser.call("SystemInfo.getProcessInfo")["processInfo"])


if __name__ == "__main__":
    main()
