"""The face detector in a model's repository: its file, its licence, and a picture to try it on."""

from pathlib import Path

from PIL import Image

from pipeline import crop
from pipeline.errors import InputError

FOLDER = "face_detector"
FILE = f"{FOLDER}/{crop.YUNET}"
LICENCE = """MIT License

Copyright (c) 2020 Shiqi Yu <shiqi.yu@gmail.com>

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""
"""The licence of YuNet: https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet."""
PHOTO_SIZE, PHOTO_PLACE, BACKGROUND = (480, 360), (250, 110), (96, 112, 128)


def stage(folder: Path, weights: Path, face: Image.Image) -> str:
    """Write detector, licence and `examples/photo.png`, which shows `face` off its middle; the detector's file.

    Raises:
        InputError: `weights` is not the file of the detector that the crop was measured with.
    """
    content = read(weights)
    (folder / FOLDER).mkdir(parents=True)
    (folder / FILE).write_bytes(content)
    (folder / FOLDER / "LICENSE").write_text(LICENCE, encoding="utf-8")
    (folder / "examples").mkdir(exist_ok=True)
    photo_of(face).save(folder / "examples" / "photo.png")
    return FILE


def read(weights: Path) -> bytes:
    """The content of the detector's file.

    Raises:
        InputError: it is not the file that the crop was measured with.
    """
    try:
        return crop.read_weights(weights)
    except ValueError as error:
        raise InputError(f"{error}, and give its path with --face_detector") from None


def photo_of(face: Image.Image) -> Image.Image:
    """A wall with `face` off its middle, RGB."""
    photo = Image.new("RGB", PHOTO_SIZE, BACKGROUND)
    photo.paste(face, PHOTO_PLACE)
    return photo
