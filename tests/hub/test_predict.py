"""`python -m hub.predict`: what it prints, how it reports unreadable pictures, and its exit codes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from transformers import pipeline

from hub import predict
from pipeline import crop
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from tests.conftest import ROOT
from tests.hub.test_app import folder, onnx_folder  # noqa: F401


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Forty pictures in a folder and its subfolder, and two files that are not pictures."""
    for number in range(40):
        inside = tmp_path / ("a" if number % 2 else "a/within")
        inside.mkdir(parents=True, exist_ok=True)
        draw_face(CLASSES[number % 7], 0, number, 40).save(inside / f"{number:02d}.png")
    (tmp_path / "a" / "half.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "a" / "notes.txt").write_text("not a picture, and ignored")
    return tmp_path / "a"


def lines(captured: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in captured.out.splitlines()]


def test_json_lines_have_the_scores_of_pipeline(
    folder: Path,  # noqa: F811
    onnx_folder: Path,  # noqa: F811
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predict.main([str(onnx_folder), str(pictures), "--json"])
    captured = capsys.readouterr()
    printed = lines(captured)
    assert len(printed) == 40
    assert [one["file"] for one in printed] == sorted(one["file"] for one in printed)
    assert f"{pictures / 'half.jpg'}: not a JPEG" in captured.err
    assert "1 of 41 pictures could not be read" in captured.err
    classify = pipeline("image-classification", model=str(folder), top_k=7)
    for one in printed[::7]:
        (face,) = one["faces"]
        assert [score["label"] for score in face["scores"]] == [score["label"] for score in classify(one["file"])]
        expected = {score["label"]: score["score"] for score in classify(one["file"])}
        assert {score["label"]: score["score"] for score in face["scores"]} == pytest.approx(expected, abs=1e-4)
    predict.main([str(folder), str(pictures / "01.png"), "--json"])
    by_torch, by_onnx = lines(capsys.readouterr())[0]["faces"][0]["scores"], printed[0]["faces"][0]["scores"]
    assert printed[0]["file"].endswith("01.png")
    assert [one["score"] for one in by_torch] == pytest.approx([one["score"] for one in by_onnx], abs=1e-4)


def test_the_table_has_one_line_per_picture(
    onnx_folder: Path,  # noqa: F811
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [pictures / "01.png", pictures / "within" / "00.png"]
    predict.main([str(onnx_folder), *map(str, files), str(files[0])])
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == [str(file) for file in files]
    assert all(line.count("%") == 3 and line.split()[1] in CLASSES for line in printed)


def test_the_exit_code_is_1_only_if_nothing_could_be_read(
    onnx_folder: Path,  # noqa: F811
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        predict.main([str(onnx_folder), str(pictures / "half.jpg"), str(pictures / "notes.txt")])
    assert ended.value.code == 1
    assert "2 of 2 pictures could not be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["MODEL", "nothing-here"], "nothing-here: no such file or folder"),
        (["MODEL", "EMPTY"], "no picture in"),
        (["nothing/here", "PICTURE"], "could not be loaded from the Hub"),
        (["MODEL", "PICTURE", "--crop", "detect", "--face_detector", "no.onnx"], "face detector no.onnx"),
        (["MODEL", "PICTURE", "--crop", "detect"], "--face_detector"),
    ],
)
def test_mistakes_end_in_one_line(
    onnx_folder: Path,  # noqa: F811
    pictures: Path,
    tmp_path: Path,
    words: list[str],
    reason: str,
) -> None:
    (tmp_path / "empty").mkdir()
    given = {"MODEL": str(onnx_folder), "EMPTY": str(tmp_path / "empty"), "PICTURE": str(pictures / "01.png")}
    with pytest.raises(InputError, match=reason) as caught:
        predict.main([given.get(word, word) for word in words])
    assert "\n" not in str(caught.value)


def test_faces_are_found_as_in_the_app(
    onnx_folder: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "YUNET" not in os.environ:
        pytest.skip(f"YUNET names no file: download {crop.YUNET} from {crop.YUNET_PAGE}")
    photo = Image.new("RGB", (500, 300), (120, 130, 125))
    photo.paste(draw_face("happiness", 0, 3, 120), (20, 90))
    photo.paste(draw_face("surprise", 0, 5, 200), (250, 50))
    photo.save(tmp_path / "two.png")
    Image.new("RGB", (90, 90)).save(tmp_path / "none.png")
    words = [str(onnx_folder), str(tmp_path), "--crop", "detect", "--face_detector", os.environ["YUNET"]]
    predict.main([*words, "--json"])
    none, two = lines(capsys.readouterr())
    assert none["faces"] == []
    assert [face["box"][0] > 200 for face in two["faces"]] == [True, False], "the largest is first"
    predict.main(words)
    printed = capsys.readouterr().out.splitlines()
    assert "no face was found" in printed[0]
    assert ["two.png #1" in printed[1], "two.png #2" in printed[2]] == [True, True]


def test_the_command_has_exit_codes_and_ends_quietly_on_a_closed_pipe(
    onnx_folder: Path,  # noqa: F811
    pictures: Path,
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "hub.predict", str(onnx_folder), str(pictures)]
    done = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 40)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as left:
        left.stdout.close()
        said = left.stderr.read()
    assert "Traceback" not in said
    assert "BrokenPipe" not in said
    odd = os.fsdecode(b"face\xff.png")  # no text
    shutil.copy(next(pictures.rglob("*.png")), tmp_path / odd)
    printed = subprocess.run([*command[:-1], str(tmp_path / odd)], cwd=ROOT, capture_output=True, text=True)
    assert (printed.returncode, r"face\udcff.png" in printed.stdout) == (0, True), printed.stderr
    wrong = subprocess.run([*command[:-1], "nothing-here"], cwd=ROOT, capture_output=True, text=True)
    assert (wrong.returncode, wrong.stderr) == (2, "error: nothing-here: no such file or folder\n")
