"""Position of YuNet's box in pictures framed as FER2013, and how well the crop recovers such pictures from a photo.

python -m tests.benchmarks.crop_geometry face_detection_yunet_2023mar.onnx FERPLUS_FOLDER --pictures 1500

The folder holds train*.parquet with a column `image`. It uses one thread, so that milliseconds are comparable.
"""

import argparse
import io
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from pipeline import crop

SIDES = (48, 96, 144, 192, 240, 256, 288, 320, 384, 512, 640)  # px that a picture is resized to for the detector
PHOTO = (480, 640)  # height and width of a made photo, px
PASTED = (48, 320)  # side of a picture pasted into it, px


def pictures_of(folder: Path, number: int) -> list[np.ndarray]:
    """Pictures (H, W, 3) uint8 drawn at random from the train rows of a folder of parquet files."""
    rows = pq.read_table(sorted(folder.glob("train*.parquet")), columns=["image"])["image"]
    drawn = np.random.default_rng(0).permutation(len(rows))[:number]
    return [np.asarray(Image.open(io.BytesIO(rows[int(i)].as_py()["bytes"])).convert("RGB")) for i in drawn]


def photo_of(picture: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    """The picture pasted at a random scale and place into noisy soft colours: photo, its centre there, its side."""
    height, width = PHOTO
    colours = rng.integers(30, 226, (5, 6, 3)).astype(np.float32)
    photo = cv2.resize(colours, (width, height), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 5, (*PHOTO, 1))
    photo = np.clip(photo, 0, 255).astype(np.uint8)
    side = round(np.exp(rng.uniform(*np.log(PASTED))))
    left, top = rng.integers(0, (width - side + 1, height - side + 1))
    shrinks = side < len(picture)
    pasted = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    photo[top : top + side, left : left + side] = pasted
    return photo, np.array([left, top]) + side / 2, side


def spread(values: np.ndarray) -> str:
    """Median, and 5th to 95th percentile."""
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{middle:6.3f} ({low:6.3f} to {high:6.3f})"


def measures(faces: Sequence[crop.Face], side: float) -> dict[str, np.ndarray]:
    """Boxes in sides of their pictures, (N,) each; roll in degrees."""
    x, y, width, height = np.array([face.box for face in faces]).T / side
    eyes = np.array([np.subtract(face.left_eye, face.right_eye) for face in faces])
    return {
        "box width": width,
        "box height": height,
        "box centre x": x + width / 2,
        "box centre y": y + height / 2,
        "side of the crop": np.sqrt(width * height / (crop.BOX_WIDTH * crop.BOX_HEIGHT)),
        "roll, degrees": np.abs(np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0]))),
    }


def detection_by_side(detector: cv2.FaceDetectorYN, pictures: Sequence[np.ndarray]) -> None:
    """Print what is detected when the pictures are shown to the detector at each of SIDES."""
    print("shown at px  detected  ms a picture  median box width  height")
    for side in SIDES:
        start = time.perf_counter()
        found = [crop.largest(crop._detect(detector, picture, side)) for picture in pictures]
        milliseconds = (time.perf_counter() - start) / len(pictures) * 1000
        faces = [face for face in found if face]
        box = np.median([face.box for face in faces], axis=0) / len(pictures[0])
        print(f"{side:11d}  {len(faces) / len(found):8.3f}  {milliseconds:12.1f}  {box[2]:16.3f}  {box[3]:6.3f}")


def geometry(detector: cv2.FaceDetectorYN, pictures: Sequence[np.ndarray]) -> None:
    """Print where the largest face of `find_faces` lies, in sides of its picture; each is seen mirrored as well."""
    both = [*pictures, *(picture[:, ::-1] for picture in pictures)]
    faces = [face for picture in both if (face := crop.largest(crop.find_faces(detector, picture)))]
    print(f"\nas find_faces sees them and their mirrors: {len(faces)} of {len(both)} ({len(faces) / len(both):.3f})")
    for name, values in measures(faces, len(pictures[0])).items():
        print(f"{name:<18} {spread(values)}")


def recropped(detector: cv2.FaceDetectorYN, pictures: Sequence[np.ndarray]) -> None:
    """Print how far the crop of a pasted picture lies from where it was pasted, in sides of the pasted picture."""
    rng, errors, milliseconds = np.random.default_rng(1), [], []
    for picture in pictures:
        photo, centre, side = photo_of(picture, rng)
        start = time.perf_counter()
        face = crop.largest(crop.find_faces(detector, photo))
        if face:
            crop.crop_face(photo, face, 112, align=False)
            square = crop.framing(face, align=False)
            off = (square @ (0.5, 0.5, 1) - centre) / side
            errors.append((*off, np.hypot(*off), square[0, 0] / side))
        milliseconds.append((time.perf_counter() - start) * 1000)
    x, y, distance, scale = np.array(errors).T
    print(f"\npasted into photos of {PHOTO[1]} x {PHOTO[0]} px at {PASTED[0]} to {PASTED[1]} px:")
    print(f"detected           {len(errors)} of {len(pictures)} ({len(errors) / len(pictures):.3f})")
    for name, values in (("centre off, x", x), ("centre off, y", y), ("scale", scale)):
        print(f"{name:<18} {spread(values)}")
    for name, values in (("centre error", distance), ("scale error", np.abs(scale - 1))):
        print(f"{name:<18} median {np.median(values):.3f}, 90 % below {np.quantile(values, 0.9):.3f}")
    print(f"ms a photo         median {np.median(milliseconds):.1f}, 90 % below {np.quantile(milliseconds, 0.9):.1f}")


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=1500)
    words = parser.parse_args()
    cv2.setNumThreads(1)
    detector, pictures = crop.load_detector(words.weights), pictures_of(words.folder, words.pictures)
    print(f"OpenCV {cv2.__version__}, {len(pictures)} pictures of {len(pictures[0])} px")
    detection_by_side(detector, pictures)
    geometry(detector, pictures)
    recropped(detector, pictures)


if __name__ == "__main__":
    main()
