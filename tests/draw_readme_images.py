"""Makes the pictures of README.md from drawn faces: docs/images/*.png.

python -m tests.draw_readme_images runs/quickstart --face_detector PATH_OF_YUNET

RUN is a finished quickstart. The curation page, the model card and the page of the server are made by the project's own
commands, then photographed with Chromium (`apt-get install chromium`). Look at every picture before you commit it.
"""

import argparse
import html
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageOps

from pipeline.drawn.face import draw_face
from pipeline.errors import end_in_one_line
from pipeline.expressions import CLASSES
from tests.screenshots import STATES, Browser, Page, app, draw_pictures

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SEED = 2026  # faces that no recipe trains on: recipes draw with split_seed 0
ROWS = dict(zip(CLASSES, (30, 10, 15, 80, 60, 35, 40), strict=True))  # train faces of the curation page
COLOURS = 96  # of a saved picture; more make larger files
STYLE = """
  body { font: 16px/1.5 system-ui, sans-serif; margin: 0; padding: 1.2rem 1.6rem; color: #1f2328; background: white }
  h1, h2 { border-bottom: 1px solid #d1d9e0; padding-bottom: .3rem } h1 { margin-top: 0 }
  blockquote { margin: 0; padding: 0 1rem; color: #59636e; border-left: .25rem solid #d1d9e0 }
  pre { background: #f6f8fa; padding: 1rem; font-size: 85%; border-radius: 6px; overflow: hidden }
  table { border-collapse: collapse } td { border: 1px solid #d1d9e0; padding: .3rem .8rem }
  a { color: #0969da; text-decoration: none } code { font-family: ui-monospace, monospace }
  .faces { display: grid; grid-template-columns: repeat(7, 1fr); gap: 14px; font-size: 13px; line-height: 1.35 }
  .faces img { width: 100%; display: block; border-radius: 6px } .faces b { display: block; text-align: center }
  .score { position: relative; padding: 0 4px; margin-top: 2px; display: flex; justify-content: space-between }
  .score i { position: absolute; left: 0; top: 0; bottom: 0; background: #9ecae1; z-index: -1; border-radius: 3px }
"""


def main(argv: list[str]) -> None:
    """Make all pictures, or those that --only names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN", help="a finished run of the recipe quickstart")
    parser.add_argument("--face_detector", type=Path, required=True, metavar="PATH", help="the ONNX file of YuNet")
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=list(PICTURES), help="pictures to make")
    arguments = parser.parse_args(argv)
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        run = folder / "runs" / "quickstart"  # a copy: the steps below write beside the run
        shutil.copytree(arguments.run, run, ignore=shutil.ignore_patterns("checkpoint-*"))
        os.environ |= {"FER_MODEL": str(run), "FER_FACE_DETECTOR": str(arguments.face_detector.resolve())}
        draw_pictures(folder)
        browser = Browser(folder)
        try:
            for name in arguments.only:
                PICTURES[name](run, folder, browser)
        finally:
            browser.close()
    for path in sorted(IMAGES.glob("*.png")):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1024:.0f} KiB")


def scores(run: Path, folder: Path, browser: Browser) -> None:
    """A strip of the seven drawn expressions, each above the three highest scores of the model."""
    from transformers import pipeline

    classify = pipeline("image-classification", model=str(run), top_k=3)
    columns = []
    for index, name in enumerate(CLASSES):
        face = draw_face(name, seed=SEED, index=index, size=224)
        face.save(folder / f"{name}.png")
        bars = "".join(
            f'<div class="score"><i style="width:{answer["score"]:.0%}"></i>{answer["label"]}'
            f"<span>{answer['score']:.2f}</span></div>"
            for answer in classify(face)
        )
        columns.append(f'<div><img src="{name}.png"><b>{name}</b>{bars}</div>')
    page = write_page(folder / "scores.html", f'<div class="faces">{"".join(columns)}</div>')
    with opened(browser, page, width=980) as tab:
        photograph(tab, "scores")


def curation(run: Path, folder: Path, browser: Browser) -> None:
    """The first screen of the curation page, for a folder of faces with planted copies and a damaged file."""
    faces = folder / "my_faces"
    draw_folder(faces)
    words = ["own_faces", "--data_path", str(faces), "--leaks", "report", "--output_dir", str(folder / "curated")]
    subprocess.run([sys.executable, "-m", "pipeline.curation", *words], cwd=ROOT, check=True)
    with opened(browser, (folder / "curated" / "index.html").as_uri(), width=900) as tab:
        photograph(tab, "curation", limit=1500)


def card(run: Path, folder: Path, browser: Browser) -> None:
    """The first screen of the model card that a dry run of publishing leaves."""
    words = [str(run), "--repo_id", "USER/fer-vit-tiny", "--dry_run"]
    subprocess.run([sys.executable, "push_to_hub.py", *words], cwd=ROOT, check=True)
    text = (run.with_name("quickstart-staged") / "README.md").read_text(encoding="utf-8")
    body = text.split("\n---\n", 1)[1].split("## Use it")[0]  # without metadata: the first screen
    page = run.with_name("quickstart-staged") / "card.html"  # beside the figures that it shows
    with opened(browser, write_page(page, as_html(body)), width=860) as tab:
        photograph(tab, "card", limit=1200)


def server(run: Path, folder: Path, browser: Browser) -> None:
    """The page of the server with one drawn face answered."""
    state = next(state for state in STATES if state.name == "one")
    with app() as url, opened(browser, url, width=1000) as tab:
        tab.reach(state, folder)
        photograph(tab, "server")


PICTURES: dict[str, Callable[[Path, Path, Browser], None]] = {
    function.__name__: function for function in (scores, curation, card, server)
}


def draw_folder(faces: Path) -> None:
    """Class folders in split folders, with six test pictures copied to train in other forms, and a damaged file."""
    people = itertools.count()
    for split, share in (("train", 1.0), ("validation", 0.2), ("test", 0.2)):
        for name, rows in ROWS.items():
            (faces / split / name).mkdir(parents=True)
            for index in range(round(rows * share)):
                draw_face(name, SEED, next(people), 96).save(faces / split / name / f"{index:03d}.png")
    for name in CLASSES[:6]:
        original = Image.open(faces / "test" / name / "000.png")
        if name == "anger":
            original.save(faces / "train" / name / "again.png")
        else:
            ImageOps.mirror(original).resize((128, 128)).save(faces / "train" / name / "again.jpg", quality=80)
    damaged = faces / "train" / "surprise" / "001.png"
    damaged.write_bytes(damaged.read_bytes()[:600])


def write_page(path: Path, body: str) -> str:
    """An HTML page in the common style; gives its address."""
    path.write_text(f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{body}", encoding="utf-8")
    return path.as_uri()


@contextmanager
def opened(browser: Browser, url: str, width: int) -> Iterator[Page]:
    """A tab with the loaded page, without browser chrome, in light colours."""
    tab = Page(browser, url, width, 200, "light")  # low: `Page.save` lets the window grow to the page
    try:
        tab.wait("[...document.images].every((image) => image.complete)")
        yield tab
    finally:
        tab.close()


def photograph(tab: Page, name: str, limit: int | None = None) -> None:
    """Save the page as a PNG with few colours; a page above `limit` px ends before its last heading above the limit."""
    path = IMAGES / f"{name}.png"
    tops = tab.value("[...document.querySelectorAll('h2')].map((each) => each.getBoundingClientRect().top - 10)")
    tab.save(path)
    picture = Image.open(path).convert("RGB")
    if limit and limit < picture.height:
        end = max((top for top in tops if limit / 2 < top <= limit), default=limit)
        picture = picture.crop((0, 0, picture.width, round(end)))
    picture.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)


def as_html(markdown: str) -> str:
    """The Markdown that the head of a card uses: headings, quotes, lists, tables, code, pictures and paragraphs."""
    parts = re.split(r"^```", markdown, flags=re.MULTILINE)  # in turn outside and inside of code blocks
    found = []
    for outside, code in zip(parts[::2], [*parts[1::2], None], strict=True):
        found += [block_as_html(block) for block in re.split(r"\n\s*\n|(?<=\n)(?=#)", outside) if block.strip()]
        if code:
            found.append(f"<pre><code>{html.escape(code.split(chr(10), 1)[1])}</code></pre>")
    return "\n".join(found)


def block_as_html(block: str) -> str:
    """One block that is not code."""
    text = block.strip()
    if heading := re.fullmatch(r"(#+) (.*)", text):
        level = len(heading[1])
        return f"<h{level}>{inline(heading[2])}</h{level}>"
    if text.startswith("<img "):
        return text
    if text.startswith(">"):
        return f"<blockquote>{inline(re.sub(r'^> ?', '', text, flags=re.MULTILINE))}</blockquote>"
    if text.startswith("- "):
        items = re.split(r"^- ", text, flags=re.MULTILINE)[1:]
        return "<ul>" + "".join(f"<li>{inline(item)}</li>" for item in items) + "</ul>"
    if text.startswith("|"):
        rows = [line.strip("| ").split(" | ") for line in text.splitlines() if not re.fullmatch(r"[|:\- ]+", line)]
        cells = ["".join(f"<td>{inline(cell)}</td>" for cell in row) for row in rows]
        return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"
    return f"<p>{inline(text)}</p>"


def inline(text: str) -> str:
    """Links, code, bold and italic words of a line."""
    text = html.escape(text, quote=False)
    for pattern, tag in (
        (r"\[([^\]]+)\]\([^)]+\)", r'<a href="#">\1</a>'),
        (r"`([^`]+)`", r"<code>\1</code>"),
        (r"\*\*([^*]+)\*\*", r"<b>\1</b>"),
        (r"\*([^*]+)\*", r"<i>\1</i>"),
    ):
        text = re.sub(pattern, tag, text)
    return text


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
