"""Files of somebody who means harm, each made by a few lines: pictures, the folder of a model, the graph of a model."""

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, save
from PIL import Image

from pipeline.expressions import CLASSES

SIDE = 16
GHOSTSCRIPT = b"%%!PS-Adobe-3.0 EPSF-3.0\n%%%%BoundingBox: 0 0 9 9\n(%s) (w) file closefile\nshowpage\n"
"""PostScript that makes a file when Ghostscript runs it: the name of the file goes in by `%`."""


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """The content of a file of Pillow's format `kind`."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *before: bytes, data: bytes = b"") -> bytes:
    """A gray PNG of one bit a pixel made of its chunks; `before` stand in front of the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND")


def jpeg_of_scans(width: int, height: int, scans: int, between: bytes = b"") -> bytes:
    """A gray progressive JPEG whose last scan, of a few bytes, comes again and again, after `between`."""
    whole = encoded(Image.new("L", (width, height), 128), "JPEG", progressive=True)
    last = whole.rfind(b"\xff\xda")
    return whole[:last] + (between + whole[last:-2]) * scans + whole[-2:]


def bmp_of_runs(width: int, height: int) -> bytes:
    """A BMP of runs of one pixel, which Pillow decodes in Python."""
    body = (b"\x01\x05" * width + b"\0\0") * height + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(body), 0, 0, 1078) + head + bytes(range(256)) * 4 + body


def tiff(*more: tuple[int, int, int, int], rows: int = 64, strips: int = 1) -> bytes:
    """A gray TIFF of 64 x `rows` px in `strips`, with `more` tags: (tag, type, count, value)."""
    where = (strips, 8) if strips > 1 else (1, 8)
    tags = [(256, 4, 1, 64), (257, 4, 1, rows), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, *where)]
    tags += [(277, 3, 1, 1), (278, 4, 1, rows // strips), (279, 4, strips, 8 if strips > 1 else 64 * rows), *more]
    body = bytes(max(4 * strips, 64 * rows // strips))
    listed = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + struct.pack("<H", len(tags)) + listed + bytes(4)


def jpeg_2000_of_tiles(side: int, tile: int) -> bytes:
    """A JPEG 2000 of `side` px whose header cuts it into tiles; it holds the pixels of one."""
    content = bytearray(encoded(Image.new("L", (64, 64)), "JPEG2000", no_jp2=True))
    size = content.find(b"\xff\x51")
    struct.pack_into(">II", content, size + 6, side, side)
    struct.pack_into(">II", content, size + 22, tile, tile)
    return bytes(content)


def frames(kind: str, count: int) -> bytes:
    """An animation, or a TIFF of many pages."""
    if kind == "TIFF":  # Pillow takes minutes to write one
        tags = [(256, 4, 8), (257, 4, 8), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 4, 8), (279, 4, 64)]
        page = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, type_, 1, n) for tag, type_, n in tags)
        nexts = [72 + (len(page) + 4) * n for n in range(1, count)] + [0]
        return b"II*\0" + struct.pack("<I", 72) + bytes(64) + b"".join(page + struct.pack("<I", n) for n in nexts)
    pictures = [Image.new("RGB", (8, 8), (n % 256, n // 256, 0)) for n in range(count)]
    return encoded(pictures[0], kind, save_all=True, append_images=pictures[1:])


def save_graph(
    path: Path,
    *,
    endless: bool = False,
    outside: str = "",
    classes: int = len(CLASSES),
    scale: float = 1.0,
    noise: float = 0.0,
) -> None:
    """A classifier of three numbers a picture as ONNX.

    Args:
        path: of the new file.
        endless: with a loop that never ends.
        outside: the name of a file that holds its weights.
        classes: how many logits it gives.
        scale: of its weights; 0 for the same answer to every picture.
        noise: standard deviation of what it adds at random.
    """
    weights = scale * np.random.default_rng(0).standard_normal((3, classes)).astype(np.float32)
    weights = weights.astype(np.float32)
    tensor = helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True)
    if outside:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", outside
    nodes = [helper.make_node("ReduceMean", ["pixel_values"], ["means"], axes=[2, 3], keepdims=0)]
    initial = [tensor]
    if endless:
        state = helper.make_tensor_value_info
        body = helper.make_graph(
            [helper.make_node("Identity", ["on"], ["on_out"]), helper.make_node("Identity", ["held"], ["held_out"])],
            "body",
            [state("n", TensorProto.INT64, []), state("on", TensorProto.BOOL, []), state("held", 1, [None, 3])],
            [state("on_out", TensorProto.BOOL, []), state("held_out", 1, [None, 3])],
        )
        initial.append(helper.make_tensor("true", TensorProto.BOOL, [], [True]))
        nodes.append(helper.make_node("Loop", ["", "true", "means"], ["looped"], body=body))
    nodes.append(helper.make_node("MatMul", ["looped" if endless else "means", "weights"], ["scores"]))
    last = "scores"
    if noise:
        nodes.append(helper.make_node("RandomNormalLike", ["scores"], ["noise"], scale=noise, seed=1.0))
        nodes.append(helper.make_node("Add", ["scores", "noise"], ["noisy"]))
        last = "noisy"
    nodes.append(helper.make_node("Identity", [last], ["logits"]))
    given = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, [None, 3, SIDE, SIDE])
    answer = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [None, classes])
    graph = helper.make_graph(nodes, "hostile", [given], [answer], initial)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def model_folder(path: Path) -> Path:
    """A published folder with ONNX, of a few hundred bytes: what each test spoils."""
    path.mkdir(parents=True)
    config = {"model_type": "vit", "id2label": {str(n): name for n, name in enumerate(CLASSES)}}
    processor = {"do_resize": True, "do_rescale": True, "do_normalize": True, "resample": 3}
    processor |= {"size": {"height": SIDE, "width": SIDE}, "rescale_factor": 1 / 255}
    processor |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "image_processor_type": "ViTImageProcessor"}
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (path / "preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")
    save_graph(path / "onnx" / "model.onnx")
    (path / "examples").mkdir()
    Image.new("RGB", (8, 8)).save(path / "examples" / "anger.png")
    return path


def change(file: Path, **fields: Any) -> None:
    """Set fields of a JSON file."""
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(content | fields), encoding="utf-8")
