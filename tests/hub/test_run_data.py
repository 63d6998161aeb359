"""What publishing reads of a run's own data, and the files of the face detector."""

from pathlib import Path

import pytest

from hub import face_detector
from hub.run_data import drawn_face, validation_rows
from pipeline.errors import InputError
from pipeline.run_folder import Run
from pipeline.settings.files import recipe_from
from tests.conftest import TINY

SEVERAL = {
    "source": "auto",
    "sources": [{"source": "folder", "data_path": "/gone/one"}, {"source": "csv", "data_path": "/gone/two"}],
}


def run_on(**settings: object) -> Run:
    recipe = recipe_from(TINY | {"output_dir": "run"} | settings, "test").settings()
    return Run(Path("run"), {}, recipe, {}, {}, {})


@pytest.mark.parametrize("origin", [
    {"source": "auto", "data_path": "/gone/faces"},
    {"source": "ferplus", "data_path": "user/ferplus"},
    SEVERAL,
])  # fmt: skip
def test_a_run_on_own_pictures_is_published_without_them(origin: dict) -> None:
    assert validation_rows(run_on(**origin), None) is None


@pytest.mark.parametrize(("origin", "why"), [
    ({}, "was trained on drawn faces"),
    (SEVERAL,
     "has several sources"),
])  # fmt: skip
def test_a_folder_for_a_run_that_takes_none_is_refused(origin: dict, why: str) -> None:
    with pytest.raises(InputError, match=f"^--data_path faces: this run {why}, so it takes no folder"):
        validation_rows(run_on(**origin), "faces")


def test_the_detector_comes_with_its_licence_and_a_photo(tmp_path: Path, detector_weights: Path) -> None:
    file = face_detector.stage(tmp_path, detector_weights, drawn_face())
    assert (tmp_path / file).read_bytes() == detector_weights.read_bytes()
    licence = (tmp_path / "face_detector/LICENSE").read_text()
    assert (
        licence.startswith("MIT License\n\nCopyright (c) 2020 Shiqi Yu") and "Permission is hereby granted" in licence
    )
    assert (tmp_path / "examples/photo.png").is_file()
