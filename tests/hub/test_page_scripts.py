"""The page's own arithmetic in node: tracking, smoothing, badges, and the face crop beside that of pipeline/crop.py."""

import base64
import io
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from hub.server import faces
from hub.server.answers import SENT
from hub.static_space.folder import CROP, any_size
from pipeline import class_shares, crop
from pipeline.drawn.face import draw_face
from tests.hub.node import in_node

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (61, 83, 3), dtype=np.uint8)
SOFT = np.asarray(draw_face("surprise", 0, 5, 83))[:61]
FACE = crop.Face((9.5, -3.25, 41.0, 55.5), (20.0, 21.0), (38.0, 27.0), 0.9)


def as_js(picture: NDArray[np.uint8]) -> dict[str, Any]:
    return {"data": picture.ravel().tolist(), "width": picture.shape[1], "height": picture.shape[0]}


def js_face(face: crop.Face) -> dict[str, Any]:
    return {"box": face.box, "rightEye": face.right_eye, "leftEye": face.left_eye, "score": face.score}


def pixels(result: dict[str, Any]) -> NDArray[np.int64]:
    return np.array(list(result["data"].values()) if isinstance(result["data"], dict) else result["data"]).reshape(
        result["height"], result["width"], 3
    )


def assert_nearly_the_same(given: NDArray, expected: NDArray) -> None:
    """OpenCV adds in float32: a value at the edge between two levels may fall on the other side."""
    apart = np.abs(given.astype(int) - expected)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.005


# ---- The crop


@pytest.mark.parametrize("picture", [NOISE, SOFT], ids=["noise", "a face"])
@pytest.mark.parametrize(
    ("width", "height"),
    [(40, 30), (83, 61), (41, 61), (200, 147), (97, 71), (1, 1)],
    ids=["smaller", "the same", "narrower", "larger", "a little larger", "one pixel"],
)
def test_a_picture_is_resized_as_opencv_does(
    picture: NDArray[np.uint8], width: int, height: int, tmp_path: Path
) -> None:
    shrinks = width < picture.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    code = """import { resize } from './resize.js';

const result = resize(given.picture, given.width, given.height, given.shrinks);"""
    given = {"picture": as_js(picture), "width": width, "height": height, "shrinks": shrinks}
    assert_nearly_the_same(
        pixels(in_node(tmp_path, code, given)), cv2.resize(picture, (width, height), interpolation=how)
    )


@pytest.mark.parametrize("times", [2, 3, 4])
def test_whole_blocks_are_averaged_to_the_bit(times: int, tmp_path: Path) -> None:
    picture = RNG.integers(0, 256, (12 * times, 8 * times, 3), dtype=np.uint8)
    code = """import { average } from './resize.js';

const result = average(given.picture, given.times, given.times);"""
    result = pixels(in_node(tmp_path, code, {"picture": as_js(picture), "times": times}))
    assert (result == cv2.resize(picture, (8, 12), interpolation=cv2.INTER_AREA)).all()


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("size", [16, 32, 96])
def test_a_face_is_cut_out_as_for_training(size: int, align: bool, tmp_path: Path) -> None:
    code = """import { cropFace, framing } from './faces.js';

const { picture, face, crop, size, align } = given;
const result = { crop: cropFace(picture, face, crop, size, align), framing: framing(face, crop, align) };"""
    given = {"picture": as_js(SOFT), "face": js_face(FACE), "crop": CROP, "size": size, "align": align}
    result = in_node(tmp_path, code, given)
    assert np.array(result["framing"]) == pytest.approx(crop.framing(FACE, align), abs=1e-9)
    assert_nearly_the_same(pixels(result["crop"]), crop.crop_face(SOFT, FACE, size, align))


# ---- The detector


def outputs_of_yunet(width: int, height: int) -> dict[str, NDArray[np.float32]]:
    """Random outputs in the shapes of YuNet's: few cells have a high score."""
    outputs = {}
    for stride in (8, 16, 32):
        cells = (width // stride) * (height // stride)
        for name, channels, low, high in (
            ("cls", 1, -0.2, 1.2),
            ("obj", 1, -0.2, 1.2),
            ("bbox", 4, -1, 2),
            ("kps", 10, -2, 2),
        ):
            values = RNG.uniform(low, high, (1, cells, channels)).astype(np.float32)
            outputs[f"{name}_{stride}"] = values
    return outputs


def decoded(outputs: dict[str, NDArray[np.float32]], width: int) -> NDArray[np.float64]:
    """Rows of box (left, top, width, height), right eye, left eye, score; cells in the order of the strides."""
    rows = []
    for stride in (8, 16, 32):
        cls, obj, bbox, kps = (outputs[f"{name}_{stride}"][0].astype(float) for name in ("cls", "obj", "bbox", "kps"))
        cell = np.arange(len(cls))
        grid = np.stack([cell % (width // stride), cell // (width // stride)], 1)
        score = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))
        extent = np.exp(bbox[:, 2:]) * stride
        corner = (grid + bbox[:, :2]) * stride - extent / 2
        eyes = (np.tile(grid, 2) + kps[:, :4]) * stride
        rows.append(np.hstack([corner, extent, eyes, score]))
    return np.vstack(rows)


DECODE = """import { decode, notOverlapping } from './faces.js';

const found = notOverlapping(decode(given.outputs, given.input, given.crop.score), given.crop);
const result = found.map(({ box, rightEye, leftEye, score }) => [...box, ...rightEye, ...leftEye, score]);"""


def test_outputs_of_yunet_become_the_faces_that_opencv_would_keep(tmp_path: Path) -> None:
    width, height = 128, 96
    outputs = outputs_of_yunet(width, height)
    rows = decoded(outputs, width)
    rows = rows[rows[:, -1] >= crop.SCORE]
    kept = cv2.dnn.NMSBoxes(
        rows[:, :4].astype(int).tolist(), rows[:, -1].astype(np.float32), crop.SCORE, crop.OVERLAP, 1.0, crop.CANDIDATES
    )
    given = {"outputs": {name: values.ravel().tolist() for name, values in outputs.items()}, "crop": CROP}
    result = in_node(tmp_path, DECODE, given | {"input": {"width": width, "height": height}})
    assert 3 < len(kept) < len(rows), "some overlap, and some stay"
    assert np.array(result) == pytest.approx(rows[np.array(kept)], abs=1e-4)


@pytest.mark.parametrize(
    ("left", "kept"), [(5.9, 1), (6.0, 2), (-5.9, 1)], ids=["overlap of whole px only", "too little", "left of 0"]
)
def test_overlap_is_that_of_whole_px_as_in_opencv(left: float, kept: int, tmp_path: Path) -> None:
    """Without cutting off, 5.9 px would overlap by .24 and not by .33, and both faces would stay."""
    boxes = [(0.0, 0.0, 10.0, 10.0), (left, 0.0, 10.9, 10.0)]
    whole = [[math.trunc(edge) for edge in box] for box in boxes]
    theirs = cv2.dnn.NMSBoxes(whole, [0.9, 0.8], crop.SCORE, crop.OVERLAP)
    code = """import { notOverlapping } from './faces.js';

const result = notOverlapping(given.faces, given.crop).length;"""
    faces = [{"box": box, "score": score} for box, score in zip(boxes, (0.9, 0.8), strict=True)]
    assert in_node(tmp_path, code, {"faces": faces, "crop": CROP}) == len(theirs) == kept


def test_the_detectors_input_is_blue_first_and_black_at_its_lower_right(tmp_path: Path) -> None:
    code = """import { blobOf } from './faces.js';

const { values, width, height } = blobOf(given);
const result = { values: [...values], width, height };"""
    result = in_node(tmp_path, code, as_js(NOISE))
    blob = np.array(result["values"]).reshape(3, 64, 96)
    assert (result["height"], result["width"]) == (64, 96)
    assert (blob[:, :61, :83] == NOISE[..., ::-1].transpose(2, 0, 1)).all()
    assert not blob[:, 61:].any() and not blob[:, :, 83:].any()


def test_yunet_finds_the_faces_that_opencv_finds(tmp_path: Path, yunet: Path) -> None:
    photo = np.full((300, 520, 3), 200, np.uint8)
    photo[40:240, 30:230] = np.asarray(draw_face("happiness", 2026, 3, 200))
    photo[60:240, 300:480] = np.asarray(draw_face("anger", 1, 3, 180))
    expected = crop.find_faces(crop.load_detector(yunet), photo)
    session = onnxruntime.InferenceSession(any_size(yunet.read_bytes()))
    code = """import { roundToEven, resize } from './resize.js';
import { blobOf } from './faces.js';

const scale = 256 / 520;
const input = blobOf(resize(given, 256, roundToEven(300 * scale), true));
const result = { ...input, values: [...input.values] };"""
    blob = in_node(tmp_path, code, as_js(photo))
    values = np.array(blob["values"], np.float32).reshape(1, 3, blob["height"], blob["width"])
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, {session.get_inputs()[0].name: values}), strict=True))
    given = {"outputs": {name: v.ravel().tolist() for name, v in outputs.items()}, "crop": CROP, "input": blob}
    found = np.array(in_node(tmp_path, DECODE, given))
    assert len(found) == len(expected) == 2
    across, down = 520 / 256, 300 / 148
    boxes = found[:, :4] * (across, down, across, down)
    assert boxes == pytest.approx(np.array([face.box for face in expected]), abs=0.01)


@pytest.fixture
def yunet(detector_weights: Path) -> Path:
    if crop.YUNET_SHA256 != "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4":
        pytest.skip("YUNET names no file")
    return detector_weights


# ---- Files

INSPECT = """import { inspect } from './formats.js';

const result = [];
for (const file of given) result.push(await inspect(new Blob([Buffer.from(file, 'base64')])));"""


def saved(format: str, orientation: int | None = None, **options: Any) -> bytes:
    buffer, exif = io.BytesIO(), Image.Exif()
    if orientation is not None:
        exif[0x010F], exif[0x0112] = "a maker", orientation
    picture = Image.new(options.pop("mode", "RGB"), (8, 6))
    picture.save(buffer, format, **({} if orientation is None else {"exif": exif}), **options)
    return buffer.getvalue()


def inspected(tmp_path: Path, *files: bytes) -> list[tuple[str | None, bool, bool]]:
    found = in_node(tmp_path, INSPECT, [base64.b64encode(file).decode() for file in files])
    return [(each.get("format"), each["deepGray"], each["turned"]) for each in found]


def test_the_formats_of_the_server_are_told_by_their_content_and_no_other_is_taken(tmp_path: Path) -> None:
    taken = ("JPEG", "PNG", "WebP", "GIF", "BMP", "AVIF")
    assert {name.upper() for name in taken} == set(SENT)
    refused = [
        saved("TIFF"),
        saved("ICO"),
        saved("PPM"),
        b"",
        b"RIFF",
        b"<svg/>",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    ]
    found = inspected(tmp_path, *map(saved, taken), *refused)
    assert found == [(name, False, False) for name in taken] + [(None, False, False)] * len(refused)


def test_gray_of_16_bits_is_told_from_gray_of_8_and_from_colour(tmp_path: Path) -> None:
    pictures = [saved("PNG", mode=mode) for mode in ("I;16", "L", "LA", "RGB")]
    assert [deep for _, deep, _ in inspected(tmp_path, *pictures)] == [True, False, False, False]


@pytest.mark.parametrize("lossless", [True, False])
def test_a_webp_picture_that_a_tag_turns_is_told(lossless: bool, tmp_path: Path) -> None:
    """Chromium does not turn it. Values that EXIF does not have turn nothing, in Pillow too."""
    tags = (None, 0, 1, 2, 6, 8, 9)
    files = [saved("WebP", tag, lossless=lossless) for tag in tags]
    found = inspected(tmp_path, *files, files[4][:-20], files[4][: len(files[4]) // 2], saved("JPEG", 6))
    assert [turned for _, _, turned in found] == [False, False, False, True, True, True, False, *[False] * 3]


SIZES = """import { sizeOf } from './sizes.js';

const result = [];
for (const [file, format] of given) result.push(await sizeOf(new Blob([Buffer.from(file, 'base64')]), format));"""


def test_the_size_of_a_picture_is_read_from_the_head_of_its_file(tmp_path: Path) -> None:
    files = [(saved(name), name) for name in ("PNG", "GIF", "BMP", "JPEG", "WebP", "AVIF")]
    files += [(saved("WebP", lossless=True), "WebP"), (saved("WebP", 6), "WebP"), (saved("JPEG", 6), "JPEG")]
    files += [(saved("JPEG", progressive=True, comment=b"c" * 60_000), "JPEG")]
    files += [(file[:9], name) for file, name in files[:5]] + [(b"\xff\xd8\xff\xe0\0\0" * 9, "JPEG")]
    found = in_node(tmp_path, SIZES, [(base64.b64encode(file).decode(), name) for file, name in files])
    assert found == [[8, 6]] * 5 + [None] + [[8, 6]] * 4 + [None] * 6


# ---- Workers

DEAD = """import { startWorker } from './workers.js';

let dies;
globalThis.Worker = class {
  constructor() { if (given === 'is refused') throw new Error('no worker here'); }
  addEventListener(kind, act) { if (kind === 'error') dies = act; }
  postMessage() {}
};
const ask = startWorker();
const before = ask('find');
dies?.();
const reason = (asked) => asked.then(() => 'an answer', (error) => [error.name, error.message]);
const result = await Promise.all([reason(before), reason(ask('find'))]);"""


@pytest.mark.parametrize("how", ["is refused", "ends"])
def test_every_task_of_a_worker_that_does_not_run_is_refused(how: str, tmp_path: Path) -> None:
    """Without an answer to the second one, a picture would wait for ever."""
    refused = ["Error", "The browser could not run the model. Reload the page."]
    assert in_node(tmp_path, DEAD, how) == [refused] * 2


# ---- The map


def test_the_map_of_what_the_model_needs_is_the_servers(tmp_path: Path) -> None:
    height, width = 37, 50
    picture = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    scores = RNG.uniform(0, 1, 49).tolist()
    code = """import { cover, needed, windows } from './occlusion.js';

const { picture, scores } = given;
picture.data = Uint8Array.from(picture.data);
const { need, fall } = needed(0.8, scores, picture.width, picture.height);
const covered = windows(picture.width, picture.height).map((part) => [...cover(picture, part).data]);
const result = { need: [...need], fall, covered };"""
    result = in_node(tmp_path, code, {"picture": as_js(picture), "scores": scores})
    need, fall = faces.needed(0.8, scores, height, width)
    assert np.array(result["need"]).reshape(height, width) == pytest.approx(need, abs=1e-9)
    assert result["fall"] == pytest.approx(fall, abs=1e-9)
    assert (np.array(result["covered"]).reshape(49, height, width, 3) == faces.covered(picture)).all()


# ---- Faces over time

TRACK = """import { Tracker } from './tracking.js';

const tracker = new Tracker();
const result = given.map(({ at, found }) => {
  const gone = tracker.update(found, at).map((face) => face.number);
  const faces = tracker.faces.map(({ number, box, scores }) => ({ number, box, scores }));
  return { gone, faces: structuredClone(faces) };
});"""


def seen(left: float, joy: float = 1.0, side: float = 100.0) -> dict[str, Any]:
    scores = [{"label": "happiness", "score": joy}, {"label": "anger", "score": 1 - joy}]
    return {"box": [left, 0, left + side, side], "scores": scores}


def frames(tmp_path: Path, *frames: tuple[float, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return in_node(tmp_path, TRACK, [{"at": at, "found": found} for at, found in frames])


def test_a_face_that_moves_keeps_its_number_and_two_that_swap_their_order_too(tmp_path: Path) -> None:
    states = frames(tmp_path, (0, [seen(0), seen(300)]), (50, [seen(320), seen(20)]), (100, [seen(40), seen(340)]))
    assert [[(face["number"], face["box"][0]) for face in state["faces"]] for state in states] == [
        [(1, 0), (2, 300)], [(1, 20), (2, 320)], [(1, 40), (2, 340)]
    ]  # fmt: skip


@pytest.mark.parametrize(("left", "numbers"), [(50, [1]), (60, [1, 2])], ids=["overlap .33", "overlap .25"])
def test_a_face_is_the_same_one_from_an_overlap_of_three_tenths(
    left: float, numbers: list[int], tmp_path: Path
) -> None:
    _, state = frames(tmp_path, (0, [seen(0)]), (50, [seen(left)]))
    assert [face["number"] for face in state["faces"]] == numbers


def test_the_better_pair_joins_first(tmp_path: Path) -> None:
    """The first found overlaps the known face too, but less than the second does."""
    _, state = frames(tmp_path, (0, [seen(0)]), (50, [seen(40), seen(2)]))
    assert [(face["number"], face["box"][0]) for face in state["faces"]] == [(1, 2), (2, 40)]


def test_a_face_far_away_is_another_one_and_a_lost_face_goes_after_a_second(tmp_path: Path) -> None:
    states = frames(tmp_path, (0, [seen(0)]), (900, [seen(500)]), (1001, [seen(500)]), (1050, [seen(500), seen(0)]))
    assert [[face["number"] for face in state["faces"]] for state in states] == [[1], [1, 2], [2], [2, 1]]
    assert [state["gone"] for state in states] == [[], [], [1], []]


@pytest.mark.parametrize("step", [50, 200, 600])
def test_scores_follow_in_time_however_many_frames_there_are(step: int, tmp_path: Path) -> None:
    times = range(0, 601, step)
    states = frames(tmp_path, *((at, [seen(0, float(at > 0))]) for at in times))
    joy = next(s["score"] for s in states[-1]["faces"][0]["scores"] if s["label"] == "happiness")
    assert joy == pytest.approx(1 - math.exp(-1), abs=1e-9)
    assert sum(s["score"] for s in states[-1]["faces"][0]["scores"]) == pytest.approx(1)


SEARCHES = """import { FrameFaces } from './frames.js';

const result = [];
const frames = new FrameFaces(async (photo) => { result.push(photo.at); return photo.faces; });
for (const photo of given) await frames.of(photo, photo.at);"""


def test_a_webcams_faces_are_searched_for_a_few_times_a_second_and_in_every_frame_without_one(tmp_path: Path) -> None:
    faces = [[]] * 3 + [[1]] * 12
    frames = [{"at": 40 * i, "width": 640, "height": 480, "faces": found} for i, found in enumerate(faces)]
    frames.append({"at": 570, "width": 480, "height": 640, "faces": []})
    assert in_node(tmp_path, SEARCHES, frames) == [0, 40, 80, 120, 280, 440, 570]


# ---- Numbers of faces

BADGE = """import { badgeSides } from './badge.js';

const result = given.map((boxes) => badgeSides(boxes, 400, 300));"""


def test_the_number_of_a_face_stands_beside_it_and_on_no_other_face(tmp_path: Path) -> None:
    box, neighbour = [100, 100, 200, 220], [205, 90, 300, 220]
    asked = [
        (box, []),
        (box, [neighbour]),
        (box, [neighbour, [20, 90, 95, 220]]),
        (box, [neighbour, [20, 90, 95, 220], [90, 0, 190, 90]]),
        ([300, 50, 399, 250], []),
        ([0, 0, 400, 300], []),
        ([0, 0, 400, 200], []),
    ]
    sides = in_node(tmp_path, BADGE, [[box, *others] for box, others in asked])
    assert [first for first, *_ in sides] == ["right", "left", "above", "below", "left", "inside", "below"]


def test_the_numbers_of_two_faces_side_by_side_do_not_cover_each_other(tmp_path: Path) -> None:
    """Between them is room for one number, and on the right of the right face is none."""
    (sides,) = in_node(tmp_path, BADGE, [[[100, 100, 200, 220], [240, 100, 390, 220]]])
    assert sides == ["right", "above"]


# ---- The switch that counts all classes as equally frequent


def test_the_switch_gives_the_scores_of_uniform_shares_and_says_what_it_does(tmp_path: Path) -> None:
    assumed = {"anger": 0.1, "neutral": 0.7, "surprise": 0.2}
    given = {"anger": 0.30, "neutral": 0.45, "surprise": 0.25}
    scores = [{"label": label, "score": score} for label, score in given.items()]
    code = """import { even, evenly, offerEven } from './even.js';

const parts = {};
const of = (id) => (parts[id] ??= { checked: false, box: { hidden: true }, closest() { return this.box; } });
globalThis.document = { getElementById: of };
const result = { model_is_silent: [evenly(given.face) === given.face] };
offerEven({ assumed_shares: null });
result.hidden = [of("even").box.hidden];
offerEven({ assumed_shares: given.assumed, not_sure_below: 0.4 });
result.hidden.push(of("even").box.hidden);
result.note = of("even-note").textContent;
result.off = evenly(given.face) === given.face;
of("even").checked = true;
result.on = evenly(given.face);
result.same_answer = even(given.face, { anger: 0.3, neutral: 0.4, surprise: 0.3 }, 0.9);"""
    face = {"scores": scores, "map": "data:map", "crop": "data:crop", "sure": True}
    result = in_node(tmp_path, code, {"face": face, "assumed": assumed})
    shares, uniform = np.array(list(assumed.values())), np.full(3, 1 / 3)
    expected = np.exp(np.log(list(given.values())) + class_shares.log_ratios(uniform, shares, 0.5))
    assert [one["score"] for one in result["on"]["scores"]] == pytest.approx(expected / expected.sum())
    assert [one["label"] for one in result["on"]["scores"]] == list(given)
    assert result["on"]["map"] is None and result["on"]["crop"] == "data:crop", "another answer than the map explains"
    assert result["on"]["sure"] and not result["same_answer"]["sure"] and result["same_answer"]["map"] == "data:map"
    assert result["off"] and result["model_is_silent"] == [True] and result["hidden"] == [True, False]
    assert "70.0 % are neutral and 10.0 % anger" in result["note"] and "square root of its share" in result["note"]
