"""Drawn faces with scores, and a tiny run on them, for tests of `task: regression`."""

from pathlib import Path
from typing import Any

from pipeline.drawn.face import draw_face
from pipeline.settings.files import recipe_from
from pipeline.settings.recipe import Recipe
from tests.conftest import TINY

SCORED = TINY | {"task": "regression", "scores": ["intensity"], "layer_decay": 1.0}


def scored_recipe(**settings: Any) -> Recipe:
    return recipe_from(SCORED | {"output_dir": "-"} | settings, "test")


def write_faces(
    folder: Path, scores: list[str], columns: str = "path,intensity", more: list[str] | None = None
) -> Path:
    """`faces.csv` with a drawn face a row: its path, its score as written, and `more` cells."""
    lines = [columns]
    for index, score in enumerate(scores):
        draw_face("happiness", seed=5, index=index, size=32).save(folder / f"{index:03d}.png")
        lines.append(",".join([f"{index:03d}.png", score, *([more[index]] if more else [])]))
    path = folder / "faces.csv"
    path.write_text("\n".join(lines) + "\n")
    return path
