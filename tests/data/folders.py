"""Class folders of small noise pictures, and their curation."""

import numpy as np
from PIL import Image as PILImage

from pipeline.data.curation import curate
from pipeline.data.readers import read_sources
from pipeline.drawn.face import draw_face
from pipeline.settings.recipe import Recipe

TWO = {"classes": ["happiness", "sadness"]}


def pixels(seed):
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(pixels(seed)).save(path)


def fill(folder, happy, sad, start=0):
    """`happy` and `sad` different pictures in class folders."""
    for i in range(happy):
        save(folder / "happy" / f"{i:03d}.png", start + i)
    for i in range(sad):
        save(folder / "sad" / f"{i:03d}.png", start + 1000 + i)


def curated(path, **settings):
    recipe = Recipe(data_path=str(path), **(TWO | {"leaks": "report"} | settings))
    return curate(read_sources(recipe), recipe)


def only(result):
    """The report on the one source."""
    (report,) = result.report["sources"].values()
    return report


def keys(result):
    return {split: table["key"][:] for split, table in result.splits.items()}


SCRIPT = "<script>alert(1)<&.png"  # a file name that a page must escape


def draw_splits(root, seed=0):
    """Official splits of drawn faces in `root`; validation has a copy of a train picture, named SCRIPT."""
    for number, split in enumerate(("train", "val", "test")):
        for name in TWO["classes"]:
            for index in range(4):
                path = root / split / name / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                draw_face(name, seed=seed + (5, 3, 11)[number], index=index, size=48).save(path)
    (root / "val" / "sadness" / SCRIPT).write_bytes((root / "train" / "sadness" / "1.png").read_bytes())
    return root


def words(data, out, *more):
    """The words of `python -m pipeline.curation`."""
    return ["own_faces", "--data_path", str(data), "--classes", str(TWO["classes"]), "--output_dir", str(out), *more]
