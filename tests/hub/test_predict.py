"""`python -m hub.predict`: what it prints, how it reports unreadable pictures, and its exit codes."""

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from transformers import pipeline

from hub import face_detector, predict
from hub.picture_paths import find_pictures
from hub.server.engine import load_model
from pipeline import crop
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from tests.conftest import ROOT
from tests.hub.test_app import folder, onnx_folder  # noqa: F401

LEFT_OUT = "left out, because their suffix is not one of .avif, .bmp, .gif, .jpeg, .jpg, .png, .tif, .tiff, .webp"


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
    with pytest.raises(SystemExit) as ended:
        predict.main([str(onnx_folder), str(pictures), "--json"])
    captured = capsys.readouterr()
    printed = lines(captured)
    assert len(printed) == 41
    assert [one["file"] for one in printed] == sorted(one["file"] for one in printed)
    (bad,) = (one for one in printed if "error" in one)
    assert bad.keys() == {"file", "error"}
    assert bad["file"] == str(pictures / "half.jpg") and bad["error"].startswith("not a JPEG")
    printed.remove(bad)
    assert (ended.value.code, captured.err) == (1, f"{LEFT_OUT}: .txt 1\n1 of 41 pictures could not be read\n")
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


def test_the_exit_code_is_1_if_a_picture_could_not_be_read(
    onnx_folder: Path,  # noqa: F811
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [pictures / "01.png", pictures / "half.jpg", pictures / "notes.txt"]
    with pytest.raises(SystemExit) as ended:
        predict.main([str(onnx_folder), *map(str, files)])
    captured = capsys.readouterr()
    assert ended.value.code == 1
    assert len(captured.out.splitlines()) == 1
    assert captured.err.startswith(f"{files[1]}: not a JPEG") and f"\n{files[2]}: not a JPEG" in captured.err
    assert captured.err.endswith("2 of 3 pictures could not be read\n")


def test_a_file_of_any_name_is_one_line_of_the_table_and_of_json(
    onnx_folder: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ["a\nb", "a\rb", "a\tb", "\x1b[31mred", "\u202egnp", "\u2028", "with blank", "ünïcode"]
    files = [tmp_path / f"{name}.png" for name in names]
    for file in files:
        draw_face("fear", 0, 1, 40).save(file)
    (tmp_path / "un\nreadable.png").write_bytes(b"x")
    with pytest.raises(SystemExit):
        predict.main([str(onnx_folder), *map(str, files), str(tmp_path / "un\nreadable.png")])
    captured = capsys.readouterr()
    printed = captured.out.split("\n")[:-1]
    assert len(printed) == len(names) and all(line.isprintable() for line in printed)
    shown = [line.removeprefix(f"{tmp_path}/").partition(".png")[0] for line in printed]
    assert shown == [r"a\nb", r"a\rb", r"a\tb", r"\x1b[31mred", r"\u202egnp", r"\u2028", "with blank", "ünïcode"]
    assert captured.err.split("\n")[0].startswith(f"{tmp_path}/un\\nreadable.png: not a JPEG")
    predict.main([str(onnx_folder), *map(str, files), "--json"])
    assert [one["file"] for one in lines(capsys.readouterr())] == list(map(str, files))


def test_pictures_are_answered_in_batches_and_in_their_order(
    onnx_folder: Path,  # noqa: F811
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, sizes = load_model(str(onnx_folder)), []

    def counted(pixels: Any) -> Any:
        sizes.append(len(pixels))
        return model.run(pixels)

    monkeypatch.setattr(predict, "load_model", lambda *_: replace(model, run=counted))
    files = sorted(map(str, pictures.rglob("*.png")), key=lambda file: file[::-1])
    predict.main([str(onnx_folder), *files, "--json"])
    assert sizes == [32, 8]
    given = lines(capsys.readouterr())
    assert [one["file"] for one in given] == files
    predict.main([str(onnx_folder), files[33], "--json"])
    (alone,) = lines(capsys.readouterr())
    scores = [one["faces"][0]["scores"] for one in (given[33], alone)]
    assert [s["score"] for s in scores[0]] == pytest.approx([s["score"] for s in scores[1]], abs=1e-6)


@pytest.mark.parametrize(
    ("words", "stdin", "expected"),
    [
        (["-"], "within/00.png\n01.png\r\n\nwithin/02.png", ["within/00.png", "01.png", "within/02.png"]),
        (["-"], "within/00.png\0" "01.png\0", ["within/00.png", "01.png"]),
        (["03.png", "-", "05.png"], "./01.png\n", ["03.png", "./01.png", "05.png"]),
        (["-"], "gone.png\n01.png\n", ["gone.png", "01.png"]),
        (["./01.png", "01.png"], "", ["./01.png"]),
        (["0[13].png"], "", ["01.png", "03.png"]),
        (["**/0?.png"], "", ["01.png", "03.png", "05.png", "07.png", "09.png"]
         + [f"within/0{n}.png" for n in (0, 2, 4, 6, 8)]),
        (["within/0*", "01.png"], "", [f"within/0{n}.png" for n in (0, 2, 4, 6, 8)] + ["01.png"]),
        (["[1].png"], "", ["[1].png"]),
    ],
)  # fmt: skip
def test_pictures_are_named_as_in_other_commands(
    words: list[str], stdin: str, expected: list[str], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures)
    (pictures / "[1].png").write_bytes(b"")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
    assert find_pictures(words, pytest.fail) == expected


def test_files_of_folders_that_are_left_out_are_counted(pictures: Path) -> None:
    for name in ("x.heic", "y.heic", "LICENSE", "z.PNG"):
        (pictures / "within" / name).write_bytes(b"")
    said: list[str] = []
    assert len(find_pictures([str(pictures)], said.append)) == 42
    assert said == [LEFT_OUT + ": .heic 2, .txt 1, no suffix 1"]


def test_linked_folders_are_counted_and_not_searched(pictures: Path, tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "own").mkdir()
    draw_face("fear", 0, 1, 40).save(tmp_path / "own" / "a.png")
    (tmp_path / "own" / "circle").symlink_to(tmp_path)
    (tmp_path / "own" / "more").symlink_to(pictures)
    assert find_pictures([str(tmp_path / "own")], said.append) == [str(tmp_path / "own" / "a.png")]
    (line,) = said
    assert line.startswith("not searched, because they are links: 2 folders, such as ")
    assert len(find_pictures([str(tmp_path / "own" / "more")], said.append)) > 1, "one that is named is searched"


def test_a_folder_without_pictures_is_named(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said: list[str] = []
    assert len(find_pictures([str(tmp_path / "empty"), str(pictures / "01.png")], said.append)) == 1
    assert said == [f"{tmp_path / 'empty'}: no picture in this folder"]


def test_a_picture_on_standard_input_is_not_a_list(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((pictures / "01.png").read_bytes())))
    with pytest.raises(InputError, match="- reads a list of paths from standard input, and this is a picture"):
        find_pictures(["-"], pytest.fail)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["MODEL", "nothing-here"], "nothing-here: no such file or folder"),
        (["MODEL", "nothing\nhere"], r"nothing\\nhere: no such file or folder"),
        (["MODEL", "*.nothing"], "no such file or folder"),
        (["MODEL", ""], "an empty path: no such file or folder"),
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


def test_the_detector_that_lies_with_the_model_is_the_default(tmp_path: Path, detector_weights: Path) -> None:
    published = tmp_path / "published"
    published.mkdir()
    assert predict._beside(str(published), "") is None
    file = face_detector.stage(published, detector_weights, draw_face("fear", 0, 1, 40))
    assert predict._beside(str(published), "") == str(published / file)


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
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 41)
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
