"""Effect of the face crop: one trained model on faces as published, on photos of them, and on crops of the photos.

    python -m tests.benchmarks.crop_matters RUN --face_detector PATH [--sheet PATH]

The photos are made: each clean validation picture of the run is pasted at a random scale and place into a larger,
blurred picture of another row, as a stand-in for the photo of a whole scene. The test split is not opened. A photo
without a found face counts as a wrong answer. A sheet shows some photos beside their crops; its pictures are under the
terms of the data.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict
from PIL import Image as PILImage
from PIL import ImageFilter

from pipeline.data.curation import curate
from pipeline.data.face_crops import crop_faces
from pipeline.data.readers import read_sources
from pipeline.data.table import Reading
from pipeline.settings.files import load_yaml, recipe_from
from pipeline.settings.recipe import Recipe
from pipeline.source import Source
from pipeline.training.prediction import predict
from pipeline.training.transforms import map_pictures
from tests.benchmarks.leak_worth import shown

WIDTH, HEIGHT = 640, 480  # px of a photo
SIDES = (96, 320)  # px of the pasted face, least and most
TILE, COLUMNS, ROWS = 120, 8, 8  # of the sheet


def photos(table: Dataset, seed: int) -> Iterator[dict]:
    """Rows of `table` with the picture pasted into a photo."""
    for index, row in enumerate(table):
        rng = np.random.default_rng([seed, index])
        scene = table[int(rng.integers(len(table)))]["image"].convert("RGB").resize((WIDTH, HEIGHT))
        scene = scene.filter(ImageFilter.GaussianBlur(60))  # nothing of its face is left
        side = int(rng.integers(*SIDES, endpoint=True))
        face = row["image"].convert("RGB").resize((side, side), PILImage.Resampling.BICUBIC)
        scene.paste(face, (int(rng.integers(WIDTH - side + 1)), int(rng.integers(HEIGHT - side + 1))))
        yield row | {"image": scene}


def clean_validation(recipe: Recipe) -> Dataset:
    """The rows of validation without a pixel copy in train."""
    table = curate(read_sources(recipe), recipe).splits["validation"]
    return table.select(np.flatnonzero(table["clean"][:]))


def main() -> None:
    """Print the accuracy of the three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path)
    parser.add_argument("--face_detector", required=True)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    recipe = recipe_from(load_yaml(words.run / "recipe.yaml"), str(words.run / "recipe.yaml"))
    recipe = replace(recipe, crop="detect", face_detector=words.face_detector)
    size = json.loads((words.run / "preprocessor_config.json").read_text())["size"]["height"]
    table = clean_validation(replace(recipe, crop="none"))
    made = Dataset.from_generator(photos, features=table.features, gen_kwargs={"table": table, "seed": words.seed})
    source = Source(id="photos", title="photos", layout="photos of faces", origin="local")
    cropped = crop_faces(Reading((source,), DatasetDict({"all": made})), recipe)
    found = cropped.tables["all"]
    (faces,) = (source.faces for source in cropped.sources)
    shows = {"faces as published": table, "whole photos": made, "crops of the photos": found}
    labels = dict(zip(table["key"], table["label"], strict=True))
    print(f"{words.run}, photos of seed {words.seed}, faces of {SIDES[0]} to {SIDES[1]} px in {WIDTH} x {HEIGHT} px")
    print(f"a face was found in {len(found):,} of {len(made):,} photos, several in {faces['several_faces']:,}")
    for name, rows in shows.items():
        logits = predict(words.run, {name: map_pictures(rows, size, name)}, 64, "cpu")[name]
        right = dict.fromkeys(labels, False)
        right |= {key: labels[key] == best for key, best in zip(rows["key"], logits.argmax(1).tolist(), strict=True)}
        print(f"{name:24} {len(labels):6,} rows  {shown(np.array(list(right.values())))}")
    if words.sheet is not None:
        draw_sheet(made, found).save(words.sheet)


def draw_sheet(made: Dataset, found: Dataset) -> PILImage.Image:
    """Photos and under each its crop."""
    photo_of = {key: row for row, key in enumerate(made["key"])}
    sheet = PILImage.new("RGB", (COLUMNS * TILE, ROWS * TILE), "white")
    for n, row in enumerate(found.select(range(min(len(found), COLUMNS * ROWS // 2)))):
        left, top = n % COLUMNS * TILE, n // COLUMNS * 2 * TILE
        sheet.paste(made[photo_of[row["key"]]]["image"].resize((TILE, TILE * HEIGHT // WIDTH)), (left, top))
        sheet.paste(row["image"].resize((TILE, TILE)), (left, top + TILE))
    return sheet


if __name__ == "__main__":
    main()
