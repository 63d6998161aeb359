"""How well the whole chain (photo, detector, crop, model) agrees with the cropped face, over HTTP.

    python -m tests.benchmarks.chain_agreement MODEL PATH... --face_detector PATH [--most 1000] [--seed 0]

A PATH is a parquet file with a column `image`, or a folder of pictures: faces framed like those of FER2013. Each is
sent to a running app as a cropped face (`POST /`) and as a photo (`POST /predict`), as it is and pasted into a made-up
photo (see `crop_matters`). The difference between the two answers is the cost of finding and framing the face. Labels
are not used.
"""

import argparse
import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
from datasets import Dataset, load_dataset
from PIL import Image as PILImage
from tqdm.auto import tqdm

from tests.benchmarks.crop_matters import HEIGHT, SIDES, WIDTH, photos
from tests.benchmarks.leak_worth import shown
from tests.benchmarks.serving import OURS, Row, running

Scores = dict[str, float]


def read(path: Path, most: int) -> Dataset:
    """The first `most` rows, with a decoded `image`."""
    kind, where = ("imagefolder", {"data_dir": str(path)}) if path.is_dir() else ("parquet", {"data_files": str(path)})
    table = load_dataset(kind, **where, split="train")
    return table.select(range(min(most, len(table))))


def png(image: PILImage.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def ask_face(client: httpx2.Client, face: PILImage.Image) -> Scores:
    """The app's scores of all classes for a cropped face."""
    asked = {"inputs": base64.b64encode(png(face)).decode(), "parameters": {"top_k": 10**6}}
    return _by_label(client.post("/", json=asked).raise_for_status().json())


def ask_photo(client: httpx2.Client, photo: PILImage.Image) -> Scores | None:
    """The app's scores for the largest face of a photo; None if it finds no face."""
    answer = client.post("/predict", files={"files": ("photo.png", png(photo))}).raise_for_status().json()
    faces = answer["files"][0]["faces"]
    return _by_label(faces[0]["scores"]) if faces else None


def _by_label(scores: list[dict]) -> Scores:
    return {one["label"]: one["score"] for one in scores}


def compare(client: httpx2.Client, table: Dataset, photos: Iterator[dict], name: str) -> str:
    """A row of the table."""

    def ask(pair: tuple[dict, dict]) -> tuple[Scores, Scores | None]:
        face, photo = (row["image"].convert("RGB") for row in pair)
        return ask_face(client, face), ask_photo(client, photo)

    with ThreadPoolExecutor(2) as pool:
        pairs = list(tqdm(pool.map(ask, zip(table, photos, strict=True)), name, len(table)))
    found = [(face, photo) for face, photo in pairs if photo is not None]
    same = np.array([max(face, key=face.get) == max(photo, key=photo.get) for face, photo in found])
    apart = np.array([max(abs(face[label] - photo[label]) for label in face) for face, photo in found])
    rest = f"{shown(same)} | {apart.mean():.3f} | {np.quantile(apart, 0.95):.3f} |" if found else "- | - | - |"
    return f"| {name} | {len(pairs):,} | {len(found) / len(pairs):.3f} | {rest}"


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    parser.add_argument("--face_detector", required=True)
    parser.add_argument("--most", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    rows = []
    app = Row("", OURS, {"FER_MODEL": words.model, "FER_FACE_DETECTOR": words.face_detector})
    with running(app, png(PILImage.new("RGB", (48, 48)))):
        client = httpx2.Client(base_url=f"http://127.0.0.1:{app.port}", timeout=60, trust_env=False)
        for path in words.paths:
            table = read(path, words.most)
            shown_as = f"{path.parent.name}/{path.stem}"
            rows.append(compare(client, table, iter(table), f"{shown_as}, as they are"))
            rows.append(compare(client, table, photos(table, words.seed), f"{shown_as}, pasted into photos"))
    print(
        f"{Path(words.model).name}; pasted: {SIDES[0]} to {SIDES[1]} px in {WIDTH} x {HEIGHT} px, seed {words.seed}\n"
    )
    print(
        "| photos | n | face found | same first class (95 %, Wilson) | largest difference, mean | 95 % of them below |"
    )
    print("|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
