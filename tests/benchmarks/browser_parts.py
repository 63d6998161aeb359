"""Where the time of a webcam's frame goes in a static Space: milliseconds on the processor by part, one thread.

python push_to_hub.py RUN --repo_id user/name --space user/demo --face_detector PATH --dry_run
python -m tests.benchmarks.browser_parts RUN-staged-space

Runs the Space's own scripts and its onnxruntime-web in node, so it needs no browser. Time on the processor, unlike time
on the clock, hardly depends on what else the machine does. Frames of 640 x 480 px have one drawn face of three sizes.
Prints a table; a value is the median of 40. Reading the frame from the video and drawing the page are not in it: see
`in_browser`.
"""

import base64
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.drawn.face import draw_face
from tests.screenshots import WALL

WIDTH, HEIGHT = 640, 480
SIDES = (150, 300, 440)  # of the drawn face, in px


def frame(side: int) -> str:
    """RGBA pixels of a wall with a drawn face, in base64."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), WALL)
    picture.paste(draw_face("happiness", 1, 4, side), (60, 20))
    return base64.b64encode(np.asarray(picture.convert("RGBA")).tobytes()).decode()


def main() -> None:
    """Print the table."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    given = {"width": WIDTH, "height": HEIGHT, "frames": {side: frame(side) for side in SIDES}}
    script = Path(__file__).with_suffix(".mjs")
    done = subprocess.run(
        ["node", script, Path(sys.argv[1]).resolve()], input=json.dumps(given), capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found = json.loads(done.stdout)
    names = list(next(iter(found.values()))["parts"])
    print("| width of the face's box | " + " | ".join(names) + " | sum |\n" + "|---" * (len(names) + 2) + "|")
    for row in found.values():
        took = list(row["parts"].values())
        print(f"| {row['box']:.0f} px | " + " | ".join(f"{value:.1f}" for value in (*took, sum(took))) + " |")


if __name__ == "__main__":
    main()
