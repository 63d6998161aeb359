"""`hub.predict --csv`: rows of pictures and videos, their columns, errors as rows, the plot, and flat memory."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hub import predict
from hub.video import rows as rows_module
from pipeline import crop
from pipeline.drawn.face import draw_face
from pipeline.errors import InputError
from pipeline.expressions import CLASSES
from tests.hub.test_app import folder, onnx_folder  # noqa: F401
from tests.hub.video.clips import crossing, write_clip

COLUMNS = ["file", "time", "track", "left", "top", "right", "bottom", "detection", "label", *CLASSES, "error"]


def face_clip(path: Path, labels: list[str]) -> Path:
    """A frame a tenth of a second, each a drawn face that fills it."""
    frames = ((n / 10, np.asarray(draw_face(label, 0, n, 64))) for n, label in enumerate(labels))
    return write_clip(path, frames)


def read(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_per_picture_and_frame_with_the_scores_of_pipeline(
    onnx_folder: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    draw_face("fear", 0, 1, 64).save(photos / "a.png")
    (photos / "b.png").write_bytes(b"not a picture")
    os.mkfifo(photos / "pipe.mp4")
    clip = face_clip(photos / "clip.mp4", list(CLASSES))
    out, lines = tmp_path / "out.csv", tmp_path / "out.jsonl"
    with pytest.raises(SystemExit) as ended:
        predict.main([str(onnx_folder), str(photos), "--crop", "none", "--csv", str(out), "--jsonl", str(lines)])
    assert ended.value.code == 1
    rows = read(out)
    assert list(rows[0]) == COLUMNS
    assert [(row["file"], row["time"], row["track"]) for row in rows] == [
        (str(photos / "a.png"), "", ""),
        (str(photos / "b.png"), "", ""),
        *((str(clip), f"{n / 10}", "1") for n in range(7)),
        (str(photos / "pipe.mp4"), "", ""),
    ]
    assert [bool(row["error"]) for row in rows] == [False, True, *[False] * 7, True]
    assert "not a JPEG" in rows[1]["error"] and "not a video (MP4" in rows[1]["error"]
    assert rows[-1]["error"] == "not a regular file"
    for row in rows[:1] + rows[2:-1]:
        scores = [float(row[name]) for name in CLASSES]
        assert sum(scores) == pytest.approx(1, abs=1e-5)
        assert row["label"] == CLASSES[int(np.argmax(scores))]
    same = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert [["" if v is None else str(v) for v in one.values()] for one in same] == [list(row.values()) for row in rows]
    capsys.readouterr()
    predict.main([str(onnx_folder), str(photos / "a.png"), "--json"])
    (face,) = json.loads(capsys.readouterr().out)["faces"]
    expected = {one["label"]: one["score"] for one in face["scores"]}
    assert {name: float(rows[0][name]) for name in CLASSES} == pytest.approx(expected, abs=1e-6)


def test_frames_are_sampled_and_smoothed(onnx_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    clip = face_clip(tmp_path / "clip.mp4", list(CLASSES) * 3)
    words = [str(onnx_folder), str(clip), "--crop", "none", "--csv"]
    plain, sampled, smooth = (tmp_path / f"{name}.csv" for name in ("plain", "sampled", "smooth"))
    predict.main([*words, str(plain)])
    predict.main([*words, str(sampled), "--every", "0.5"])
    predict.main([*words, str(smooth), "--smooth", "0.4"])
    assert [row["time"] for row in read(sampled)] == ["0.0", "0.5", "1.0", "1.5", "2.0"]
    scores = np.array([[float(row[name]) for name in CLASSES] for row in read(plain)])
    means = np.array([scores[max(0, n - 2) : n + 3].mean(0) for n in range(len(scores))])
    assert np.array([[float(r[name]) for name in CLASSES] for r in read(smooth)]) == pytest.approx(means, abs=2e-6)


def test_a_damaged_video_keeps_its_rows_and_ends_in_a_row_with_the_error(
    onnx_folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    clip = face_clip(tmp_path / "clip.mkv", list(CLASSES) * 8)
    content = clip.read_bytes()
    clip.write_bytes(content[: len(content) * 2 // 3])
    other = face_clip(tmp_path / "whole.mp4", list(CLASSES))
    with pytest.raises(SystemExit):
        predict.main([str(onnx_folder), str(clip), str(other), "--crop", "none", "--csv", str(tmp_path / "out.csv")])
    rows = read(tmp_path / "out.csv")
    first = [row for row in rows if row["file"] == str(clip)]
    assert first[-1]["error"].startswith(("cut off", "damaged")) and not any(row["error"] for row in first[:-1])
    assert sum(row["file"] == str(other) for row in rows) == 7


def test_memory_does_not_grow_with_the_length_of_a_video(
    onnx_folder: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip = face_clip(tmp_path / "clip.mp4", list(CLASSES) * 20)
    given, taken, most = 0, 0, 0
    shots, search = rows_module._shots, rows_module._search

    def counting(*words: Any) -> Any:
        nonlocal given, most
        for shot in shots(*words):
            given += 1
            most = max(most, given - taken)
            yield shot

    def searched(*words: Any) -> Any:
        nonlocal taken
        taken += 1
        return search(*words)

    monkeypatch.setattr(rows_module, "_shots", counting)
    monkeypatch.setattr(rows_module, "_search", searched)
    predict.main([str(onnx_folder), str(clip), "--crop", "none", "--csv", str(tmp_path / "out.csv")])
    assert len(read(tmp_path / "out.csv")) == 140
    assert most <= rows_module.AHEAD


def test_the_plot_is_drawn(onnx_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    clip = face_clip(tmp_path / "clip.mp4", list(CLASSES) * 2)
    out, plot = tmp_path / "out.csv", tmp_path / "out.png"
    predict.main([str(onnx_folder), str(clip), "--crop", "none", "--csv", str(out), "--plot", str(plot)])
    assert "1 tracks" in capsys.readouterr().err
    with Image.open(plot) as drawn:
        assert drawn.width > 600 and len(drawn.convert("RGB").getcolors(1 << 24) or []) > 20
    out.unlink()
    with pytest.raises(InputError, match="/proc/p.png cannot be written"):
        predict.main([str(onnx_folder), str(clip), "--crop", "none", "--csv", str(out), "--plot", "/proc/p.png"])
    assert len(read(out)) == 14, "the rows stay"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["CLIP"], "is a video: name a file for its rows"),
        (["CLIP", "--every", "1"], "--every is for the rows"),
        (["CLIP", "--csv", "OUT", "--every", "-1"], "--every -1.0: give seconds"),
        (["CLIP", "--csv", "OUT", "--smooth", "nan"], "--smooth nan: give seconds"),
        (["CLIP", "--plot", "p.png"], "add --csv FILE"),
        (["CLIP", "--csv", "OUT", "--plot", "p.txt"], "end the name in .png"),
        (["CLIP", "--csv", "/no/such/place/out.csv"], "cannot be written"),
        (["CLIP", "--csv", "OUT", "--jsonl", "OUT"], "named twice"),
        (["CLIP", "--csv", "OUT", "--face_detector", "no.onnx"], "face detector no.onnx"),
        (["CLIP", "--csv", "CLIP"], "is one of the files to read"),
        (["CLIP", "--csv", "OUT", "--jsonl", "LINK"], "is one of the files to read"),
        (["CLIP", "--csv", "PIPE"], "cannot be written"),
        (["CLIP", "--csv", "n" * 300], "cannot be written"),
        (["CLIP", "--csv", "OUT", "--json"], "leave --json out"),
        (["CLIP", "--csv", "OUT", "--crop", "none", "--face_detector", "x.onnx"], "leave one of them out"),
    ],
)
def test_mistakes_end_in_one_line_and_write_nothing(
    onnx_folder: Path,  # noqa: F811
    tmp_path: Path,
    words: list[str],
    reason: str,
) -> None:
    clip = face_clip(tmp_path / "clip.mp4", list(CLASSES))
    content = clip.read_bytes()
    (tmp_path / "link.jsonl").symlink_to(clip)
    os.mkfifo(tmp_path / "pipe.csv")
    given = {"CLIP": str(clip)} | {f: str(tmp_path / f"{f.lower()}.{s}") for f, s in
                                   (("OUT", "csv"), ("LINK", "jsonl"), ("PIPE", "csv"))}  # fmt: skip
    with pytest.raises(InputError, match=reason):
        predict.main([str(onnx_folder), *(given.get(word, word) for word in words)])
    assert clip.read_bytes() == content
    assert [path.name for path in tmp_path.glob("*out*")] == []


def test_an_older_file_stays_until_the_new_one_is_complete(
    onnx_folder: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip, out = face_clip(tmp_path / "clip.mp4", list(CLASSES)), tmp_path / "out.csv"
    out.write_text("older")

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rows_module, "_scores", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict.main([str(onnx_folder), str(clip), "--crop", "none", "--csv", str(out)])
    assert out.read_text() == "older" and {path.name for path in tmp_path.glob("out*")} == {"out.csv"}
    (tmp_path / "out.csv.unfinished").write_text("of another run")
    with pytest.raises(InputError, match="another run writes it"):
        predict.main([str(onnx_folder), str(clip), "--crop", "none", "--csv", str(out)])
    assert (tmp_path / "out.csv.unfinished").read_text() == "of another run"


def test_two_people_who_cross_are_two_tracks(onnx_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    if "YUNET" not in os.environ:
        pytest.skip(f"YUNET names no file: download {crop.YUNET} from {crop.YUNET_PAGE}")
    times = [n / 10 for n in range(31)]
    clip = write_clip(tmp_path / "clip.mp4", crossing(times))
    out = tmp_path / "out.csv"
    predict.main([str(onnx_folder), str(clip), "--csv", str(out), "--face_detector", os.environ["YUNET"]])
    rows = read(out)
    assert {row["track"] for row in rows} == {"1", "2"}
    assert sorted({float(row["time"]) for row in rows}) == pytest.approx(times, abs=1e-3)
    middle = {
        track: [(float(row["left"]) + float(row["right"])) / 2 for row in rows if row["track"] == track]
        for track in "12"
    }
    for track in "12":
        steps = np.diff(middle[track])
        assert (steps > 0).mean() > 0.9 or (steps < 0).mean() > 0.9  # each walks on in its own direction
