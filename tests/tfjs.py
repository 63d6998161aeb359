"""A TensorFlow.js graph of a MobileNet-v1: made with random weights, packed as npm does, and evaluated node by node.

The evaluation shares no code with `pipeline.training.tfjs_graph` and knows nothing of timm.
"""

import base64
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
MEAN_BGR = (103.939, 116.779, 123.68)

Node = dict[str, Any]
Weights = dict[str, NDArray]


def mobilenet(seed: int = 0) -> tuple[list[Node], Weights]:
    """Nodes and weights of the feature extractor; a depthwise layer has a scale, the others have it in the kernel."""
    random, nodes, weights = np.random.default_rng(seed), [], {}
    nodes.append({"name": "input_1", "op": "Placeholder"})

    def convolve(name: str, op: str, shape: tuple[int, ...], stride: int) -> None:
        is_depthwise = op == "DepthwiseConv2dNative"
        kernel = f"{name}/{'depthwise_kernel' if is_depthwise else 'convolution/merged_input'}"
        fan_in = shape[0] * shape[1] * (1 if is_depthwise else shape[2])
        spread = (2 / fan_in) ** 0.5 / (60 if name == "conv1" else 1)
        weights[kernel] = random.normal(0, spread, shape).astype(np.float32)
        channels, bn = shape[2 if is_depthwise else 3], f"{name}_bn/batchnorm_1"
        text = base64.b64encode(b"SAME").decode()
        where = {"strides": {"list": {"i": ["1", str(stride), str(stride), "1"]}}, "padding": {"s": text}}
        nodes.append({"name": f"{name}/out", "op": op, "input": [nodes[-1]["name"], kernel], "attr": where})
        weights[f"{bn}/sub"] = random.normal(0.2, 0.3, channels).astype(np.float32)
        steps = [("Add", f"{bn}/sub"), ("Relu", None), ("Minimum", f"{name}_relu/Cast"), ("Maximum", f"{name}_relu/0")]
        if is_depthwise:
            weights[f"{bn}/mul"] = random.uniform(0.5, 2, channels).astype(np.float32)
            steps = [("Mul", f"{bn}/mul"), *steps]
        weights[f"{name}_relu/Cast"], weights[f"{name}_relu/0"] = np.array(6, np.float32), np.array(0, np.float32)
        for op_name, other in steps:
            inputs = [nodes[-1]["name"], *([other] if other else [])]
            nodes.append({"name": f"{name}/{op_name}", "op": op_name, "input": inputs})

    convolve("conv1", "Conv2D", (3, 3, 3, WIDTHS[0]), STRIDES[0])
    for block in range(1, len(WIDTHS)):
        before, after = WIDTHS[block - 1 : block + 1]
        convolve(f"conv_dw_{block}", "DepthwiseConv2dNative", (3, 3, before, 1), STRIDES[block])
        convolve(f"conv_pw_{block}", "Conv2D", (1, 1, before, after), 1)
    weights["axes"] = np.array([1, 2], np.int32)
    nodes.append({"name": "global_pooling/Mean", "op": "Mean", "input": [nodes[-1]["name"], "axes"]})
    return nodes, weights


def pack(tarball: Path, nodes: list[Node], weights: Weights, model: str = "models/faceres-deep") -> Path:
    """An npm package with this graph."""
    manifest = [{"name": n, "shape": list(w.shape), "dtype": str(w.dtype)} for n, w in weights.items()]
    constants = [{"name": name, "op": "Const"} for name in weights]
    described = {
        "format": "graph-model",
        "modelTopology": {"node": [*constants, *nodes]},
        "weightsManifest": [{"paths": ["x.bin"], "weights": manifest}],
    }
    files = {
        f"{model}.json": json.dumps(described).encode(),
        f"{model}.bin": b"".join(w.tobytes() for w in weights.values()),
        "LICENSE": b"MIT License\n",
    }
    with tarfile.open(tarball, "w:gz", compresslevel=1) as package:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            package.addfile(member, io.BytesIO(content))
    return tarball


def evaluate(nodes: list[Node], weights: Weights, pictures: NDArray, output: str = "global_pooling/Mean") -> NDArray:
    """The graph's features (N, C) of `pictures` (N, H, W, 3) uint8 RGB: it takes BGR less its mean, channels last."""
    bgr = torch.from_numpy(np.array(pictures[..., ::-1], np.float32) - np.array(MEAN_BGR, np.float32))
    values: dict[str, torch.Tensor] = {"input_1": bgr.permute(0, 3, 1, 2)}
    for node in nodes:
        if node["op"] in ("Const", "Placeholder"):
            continue
        x, *others = (values[name] if name in values else torch.from_numpy(weights[name]) for name in node["input"])
        values[node["name"]] = _apply(node, x, *others)
        if node["name"] == output:
            break
    return values[output].numpy()


def _apply(node: Node, x: torch.Tensor, other: torch.Tensor | None = None) -> torch.Tensor:
    op = node["op"]
    if op in ("Conv2D", "DepthwiseConv2dNative"):
        assert base64.b64decode(node["attr"]["padding"]["s"]) == b"SAME"
        stride = int(node["attr"]["strides"]["list"]["i"][1])
        kernel = other.permute(2, 3, 0, 1) if op == "DepthwiseConv2dNative" else other.permute(3, 2, 0, 1)
        groups = x.shape[1] if op == "DepthwiseConv2dNative" else 1
        side, size = x.shape[2], kernel.shape[2]
        missing = max((-(-side // stride) - 1) * stride + size - side, 0)  # TensorFlow pads the end more than the start
        x = F.pad(x, (missing // 2, missing - missing // 2) * 2)
        return F.conv2d(x, kernel, stride=stride, groups=groups)
    if op in ("Add", "Mul"):
        other = other.view(1, -1, 1, 1)
        return x + other if op == "Add" else x * other
    simple = {"Minimum": torch.minimum, "Maximum": torch.maximum}
    return {"Relu": F.relu, "Mean": lambda x, _: x.mean((2, 3))}.get(op, simple.get(op))(
        *([x] if op == "Relu" else [x, other])
    )
