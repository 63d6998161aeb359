"""What publishing needs of the data and the settings of a run, and the drawn faces that clients are compared on.

The only module of `hub/` that reads data and settings, because exported files are measured on the run's own validation
pictures. The other modules know the run folder only.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.run_folder import Run


def validation_rows(run: Run, data_path: str | None) -> Any:
    """The run's validation pictures as a `datasets.Dataset`, from `data_path` or from where its recipe says.

    None if no `data_path` is given and the faces of the run are not drawn.

    Raises:
        InputError: the run was not trained on one folder; or as the readers.
    """
    from pipeline.data.curation import curate
    from pipeline.data.readers import read_sources
    from pipeline.settings.files import recipe_from

    recipe = recipe_from(run.recipe, f"{run.path}/recipe.yaml")
    if data_path and (recipe.source == "drawn" or recipe.sources):
        why = "was trained on drawn faces" if recipe.source == "drawn" else "has several sources"
        raise InputError(f"--data_path {data_path}: this run {why}, so it takes no folder; use --data_path without a "
                         "value")  # fmt: skip
    if data_path is None and recipe.source != "drawn":
        return None
    recipe = replace(recipe, data_path=data_path or recipe.data_path)
    return curate(read_sources(recipe), recipe).splits["validation"]


def shipped_settings(run: Run) -> dict[str, Any] | None:
    """The shipped recipe of the run's name with all of its settings; None if no shipped recipe has that name."""
    from pipeline.settings.files import RECIPES, load_yaml, recipe_from

    path = RECIPES / f"{run.evaluation['recipe']}.yaml"
    return recipe_from(load_yaml(path), str(path)).settings() if path.is_file() else None


def drawn_faces() -> list[Any]:
    """A face of each of the seven expressions, 224 px, whatever the classes of the run are."""
    from pipeline.drawn.face import draw_face
    from pipeline.expressions import CLASSES

    return [draw_face(name, seed=2026, index=index, size=224) for index, name in enumerate(CLASSES)]


def drawn_face() -> Any:
    """A face that the detector finds, 200 px."""
    from pipeline.drawn.face import draw_face

    return draw_face("happiness", seed=2026, index=3, size=200)


def example_face(size: int) -> Any:
    """The face that the card's lines classify if the run has no examples, `size` px."""
    from pipeline.drawn.face import draw_face

    return draw_face("neutral", seed=2026, index=0, size=size)


@contextmanager
def drawn_pictures(run: Run) -> Iterator[dict[str, list[Path]]]:
    """Files of a drawn face of each expression, by kind of picture. Clients are compared on them."""
    from hub.clients.picture_kinds import picture_kinds

    size = run.recipe["image_size"]
    with tempfile.TemporaryDirectory() as place:
        yield picture_kinds(Path(place), drawn_faces(), (size, size))


def own_answers(run: Run, folder: Path, kinds: dict[str, list[Path]]) -> dict[str, Any]:
    """Probabilities or scores `(N, K)` by kind of picture, as the run's own code computes them."""
    from pipeline.training.prediction import answers_of_files

    return answers_of_files(folder, kinds, run.recipe["image_size"])


def detector_file(named: str) -> Path:
    """The weights of the face detector that is named: a file, a folder or a Hub id.

    Raises:
        InputError: as `pipeline.data.face_crops.find_detector`.
    """
    from pipeline.data.face_crops import find_detector

    return find_detector(named)
