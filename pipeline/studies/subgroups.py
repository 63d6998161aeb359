"""Accuracy of a finished run by group: of people where the holder of the data knows them, and of pictures always.

    python -m pipeline.subgroups RUN [--groups CSV] [--data_path FACES] [--split validation] --output_dir FOLDER

Some columns are always measured: brightness, contrast, sharpness and size of the picture in quarters, and with
`--face_detector` roll and turn of the head. `source` and `person` come from the data. Other columns, such as age,
gender or skin tone, come from `--groups`: a csv with a column `key` (as in predictions.parquet) and one column for each
property. Empty cells are unknown and stay out of that column. What nobody knows is reported as not measured, not
guessed.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray

from pipeline.crop import Face, find_faces, load_detector
from pipeline.data.measure import SIDE, measure_pictures
from pipeline.data.readers.text import read_csv
from pipeline.errors import InputError
from pipeline.evaluation.figures import FEW
from pipeline.pictures import decode_cell
from pipeline.run_folder import read_run, write_json
from pipeline.studies.groups import FAMILY_LEVEL, Group, by_group, quarters
from pipeline.studies.opened_test import refuse_closed, say_opened
from pipeline.studies.run_pictures import add_options, answers_of, pictures_of

SUBGROUPS = "subgroups.json"
NOT_MEASURED = ("age", "gender", "skin tone")
Column = NDArray[np.object_]  # (N,) str, None where unknown


def measured_columns(table: datasets.Dataset) -> dict[str, Column]:
    """Quarters of what can be measured of every picture, by name."""
    measures = measure_pictures(table, "subgroups")
    thumbnails = np.stack([np.frombuffer(each, np.uint8) for each in measures.thumbnail.to_pylist()])
    values = {
        "brightness": measures.brightness,
        "contrast": measures.contrast,
        "sharpness": sharpness(thumbnails.reshape(-1, SIDE, SIDE)),
        "size, px": np.minimum(measures.width, measures.height),
    }
    columns = {name: quarters(of) for name, of in values.items()}
    return {name: column for name, column in columns.items() if len(set(column)) > 1}


def sharpness(gray: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Standard deviation of the Laplacian (Pech-Pacheco et al. 2000) over that of the picture: (N, S, S) to (N,).

    Without the division a dark picture would be a blurred one by definition.
    """
    image = gray.astype(np.float64)
    inner = image[:, 1:-1, 1:-1]
    around = image[:, :-2, 1:-1] + image[:, 2:, 1:-1] + image[:, 1:-1, :-2] + image[:, 1:-1, 2:]
    return (around - 4 * inner).std((1, 2)) / np.maximum(image.std((1, 2)), 1)


def pose_columns(table: datasets.Dataset, detector: Path) -> dict[str, Column]:
    """Quarters of roll and turn (yaw) of the head, from the points that the detector finds; None without a face.

    Roll is in degrees, to either side. Turn is how far the nose lies from the middle of the eyes, along the line
    through them and to either side, in distances of the eyes: 0 in a frontal face. An angle would need a model of the
    head.

    Raises:
        InputError: the detector's file cannot be used.
    """
    try:
        found = load_detector(detector)
    except ValueError as error:
        raise InputError(str(error)) from None
    poses = np.full((len(table), 2), np.nan)
    undecoded = table.cast_column("image", datasets.Image(decode=False))
    for row, cell in enumerate(undecoded["image"]):
        faces = find_faces(found, np.asarray(decode_cell(cell).convert("RGB")))
        if faces:
            poses[row] = roll_and_turn(faces[0])
    return {name: quarters(of) for name, of in zip(("roll, degrees", "turn, eye distances"), poses.T, strict=True)}


def roll_and_turn(face: Face) -> tuple[float, float]:
    """Of a head: degrees, and distances of the eyes; see `pose_columns`."""
    right, left, nose = (np.array(point) for point in (face.right_eye, face.left_eye, face.nose))
    eyes = left - right
    turn = (nose - (right + left) / 2) @ eyes / max(float(eyes @ eyes), 1e-9)
    return abs(float(np.degrees(np.arctan2(eyes[1], eyes[0])))), abs(float(turn))


def columns_of_data(table: datasets.Dataset) -> dict[str, Column]:
    """Source and person, where there are several of them."""
    columns = {name: np.array(table[name][:], object) for name in ("source", "person")}
    return {name: column for name, column in columns.items() if len(set(column) - {None}) > 1}


def columns_of_file(path: Path, keys: Sequence[str]) -> dict[str, Column]:
    """The columns of a csv beside `key`, in the order of `keys`; None where a cell is empty or a key is not in it.

    Raises:
        InputError: as `read_csv`; a key stands there twice, no key is in the data, or there is no other column.
    """
    cells: dict[str, dict[str, str]] = {}
    for line, row in read_csv(path, ["key"]):
        key = row.pop("key")
        if key in cells:
            raise InputError(f"{path} line {line}: the key {key!r} stands here twice; keep one of the rows")
        cells[key] = row
    names = list(next(iter(cells.values()), {}))
    if not names:
        raise InputError(f"{path} has no column beside key: add one, such as age_group")
    if not set(cells) & set(keys):
        raise InputError(f"{path}: none of its {len(cells)} keys is in the data; a key of the data is {keys[0]!r}")
    return {
        name: np.array([cells.get(key, {}).get(name, "").strip() or None for key in keys], object) for name in names
    }


def report(groups: Sequence[Group], columns: Mapping[str, Column], about: Mapping[str, Any]) -> dict[str, Any]:
    """The content of `subgroups.json`."""
    asked = {name.casefold().replace("_", " ") for name in columns}
    return {
        **about,
        "family_level": FAMILY_LEVEL,
        "few": FEW,
        "unknown_rows": {name: int(sum(value is None for value in column)) for name, column in columns.items()},
        "groups": [asdict(group) for group in groups],
        "tested": sum(group.p is not None for group in groups),
        "not_measured": [name for name in NOT_MEASURED if not any(name in each for each in asked)],
    }


def text_of(found: Mapping[str, Any]) -> str:
    """The table for the terminal."""
    lines = [f"{found['n']:,} {found['split']} rows, accuracy {found['accuracy']:.3f}; difference at equal classes"]
    column = None
    for group in found["groups"]:
        if group["column"] != column:
            column = group["column"]
            unknown = found["unknown_rows"][column]
            lines.append(f"{column}" + (f" ({unknown:,} rows unknown)" if unknown else ""))
        shown = "not tested" if group["difference"] is None else (
            f"{group['difference']:+.3f} [{group['low']:+.3f}, {group['high']:+.3f}], p {group['p']:.3f}"
            + (" beyond chance" if group["beyond_chance"] else "")
        )  # fmt: skip
        few = f" (fewer than {FEW} rows)" if group["n"] < FEW else ""
        lines.append(f"  {group['value']:28} n {group['n']:>6,}  {group['accuracy']:.3f}  {shown}{few}")
    lines.append(f"{found['tested']} groups tested; beyond chance: {FAMILY_LEVEL:.0%} over all of them together (Holm)")
    if found["not_measured"]:
        lines.append(f"not measured: {', '.join(found['not_measured'])} (add columns with --groups)")
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    """Measure, group, test, and write the report."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.subgroups",
        description="Accuracy of a finished run by group of people or pictures.",
        allow_abbrev=False,
    )
    add_options(parser)
    parser.add_argument("--groups", type=Path, help="csv with key and a column for each property")
    parser.add_argument("--face_detector", type=Path, help="YuNet's file, to measure roll and turn of the head")
    options = parser.parse_args(argv)
    run = read_run(options.run)
    refuse_closed(run, options.split)
    say_opened(options.split, run, print)
    table = pictures_of(run, options.data_path, options.split)
    right, label = answers_of(options.run, table)
    columns = columns_of_data(table) | measured_columns(table)
    if options.face_detector:
        columns |= pose_columns(table, options.face_detector)
    if options.groups:
        columns |= columns_of_file(options.groups, table["key"][:])
    groups = by_group(right, label, columns, seed=0)
    about = {"run": options.run.name, "split": options.split, "n": len(right), "accuracy": float(right.mean())}
    found = report(groups, columns, about)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    write_json(options.output_dir / SUBGROUPS, found)
    print(text_of(found))
    print(f"written: {options.output_dir / SUBGROUPS}")
