"""What transformers sees of a model's folder: checked copies of its settings and its weights, and nothing else.

A folder of somebody else may hold Python files that `auto_map` names, an adapter that names another repository, or
settings that make transformers fetch kernels from the Hub. None of them is there when the model is loaded. The module
needs only the standard library, because a Space carries a copy of it.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.own_file import why_not_own

CONFIG = "config.json"
PROCESSOR = "preprocessor_config.json"
PROCESSOR_5 = "processor_config.json"  # holds the first inside, since transformers 5
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
ONNX = "onnx/model.onnx"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_PICKLE = "adapter_model.bin"
MAX_JSON = 16 * 2**20  # bytes; the largest configs of the Hub have less than one
HOW_TO_RUN = frozenset(
    {
        *("auto_map", "custom_pipelines"),  # Python code of the repository
        *("attn_implementation", "_attn_implementation", "_attn_implementation_internal", "experts_implementation"),
        *("dtype", "torch_dtype", "_commit_hash", "_name_or_path"),
        *("backbone", "use_pretrained_backbone", "use_timm_backbone", "backbone_kwargs"),  # weights from elsewhere
        "transformers_weights",  # a file of another name
    }
)
"""Fields that say how to run a model or where it comes from, not what it is. They may name code, also on the Hub."""
OF_TIMM = (
    *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"),
    *("scriptable", "exportable", "no_jit"),
)
"""Arguments of `timm.create_model` itself, beside those of the architecture: they load other files, also pickles."""


def read_object(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in the file `name` of a model's folder.

    Raises:
        InputError: it is not a regular file of this folder, too large, or not a JSON object.
    """
    file = f"{folder.name}/{name}"
    if why := why_not_own(folder, name):
        raise InputError(f"{file} {why}: this is not the folder of a model")
    if (size := (folder / name).stat().st_size) > MAX_JSON:
        raise InputError(f"{file} has {size:,} bytes: at most {MAX_JSON:,} are read")
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8-sig"))  # some editors begin a file with a mark
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise InputError(f"{file} cannot be read: it is not JSON in UTF-8") from None
    if not isinstance(content, dict):
        raise InputError(f"{file} holds a {type(content).__name__}, not a JSON object: it does not describe a model")
    return content


def without_code(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config, or the settings of a processor, without the fields `HOW_TO_RUN`, also in what it contains.

    Raises:
        InputError: timm would load other files than those of the folder.
    """
    arguments = config.get("model_args")
    foreign = sorted(set(OF_TIMM) & set(arguments)) if isinstance(arguments, dict) else []
    if foreign:
        raise InputError(f"{CONFIG}: model_args has {foreign[0]}, which makes timm load other files: take it out")
    architecture = config.get("architecture")
    if isinstance(architecture, str) and set(architecture) & set(":/\\"):
        raise InputError(f"{CONFIG}: architecture {architecture!r} names a place; give the name of a model of timm")
    return {name: _clean(value) for name, value in config.items() if name not in HOW_TO_RUN}


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return without_code(value)
    return [_clean(each) for each in value] if isinstance(value, list) else value


def refuse_adapter(folder: Path, name: str) -> None:
    """Refuse a PEFT adapter, with or without a model beside it: here it would be left out, and the base would answer.

    Args:
        folder: of a model.
        name: what the message calls it.

    Raises:
        InputError: the folder holds an adapter. The message names its base model if the adapter does.
    """
    files = (ADAPTER_CONFIG, ADAPTER_WEIGHTS, ADAPTER_PICKLE, WEIGHTS, INDEX, ONNX)
    there = {file for file in files if why_not_own(folder, file) != "is missing"}
    is_whole, has_weights = bool(there & {WEIGHTS, INDEX, ONNX}), bool(there & {ADAPTER_WEIGHTS, ADAPTER_PICKLE})
    if not has_weights and ADAPTER_CONFIG not in there:
        return
    if is_whole and not has_weights:
        raise InputError(
            f"{name} holds {ADAPTER_CONFIG} without an adapter beside a model, and from_pretrained would open the base "
            "that it names: delete that file, and the model answers"
        )
    cure = "merge it with peft's merge_and_unload(), save the result with save_pretrained, and give that folder"
    if is_whole:
        raise InputError(f"{name} holds a PEFT adapter beside a model, and only one of them would be used: {cure}")
    base = read_object(folder, ADAPTER_CONFIG).get("base_model_name_or_path") if ADAPTER_CONFIG in there else None
    of = f" of {base}" if isinstance(base, str) and base.isprintable() else ""
    raise InputError(
        f"{name} is only a PEFT adapter{of}, without its base model: give the folder of the run that made it, or {cure}"
    )


def timm_name(config: Mapping[str, Any]) -> str | None:
    """The Hub id of a checkpoint of timm: its config.json names architecture and tag. None for every other model."""
    pretrained = config.get("pretrained_cfg")
    tag = pretrained.get("tag") if isinstance(pretrained, dict) else None
    return f"timm/{config['architecture']}.{tag}" if tag and config.get("architecture") else None


def weight_files(folder: Path) -> list[str]:
    """The names of the safetensors files of a model: one, or the shards that its index lists.

    Raises:
        InputError: there is none, or one is not a regular file of this folder.
    """
    names = [WEIGHTS]
    if why_not_own(folder, WEIGHTS) == "is missing" and why_not_own(folder, INDEX) != "is missing":
        listed = read_object(folder, INDEX).get("weight_map")
        if not isinstance(listed, dict) or not listed or not all(isinstance(name, str) for name in listed.values()):
            raise InputError(f"{folder.name}/{INDEX} has no weight_map: copy the folder again")
        names = sorted(set(listed.values()))
        missing = [name for name in names if why_not_own(folder, name) == "is missing"]
        if missing:
            raise InputError(f"{len(missing)} of its {len(names)} weight files are missing, first {missing[0]}")
    for name in names:
        if why := why_not_own(folder, name):
            raise InputError(f"its weights {name!r}: this file {why}")
    return names


@contextmanager
def plain_folder(
    folder: Path, weights: bool = True, processors: Sequence[str] = (PROCESSOR, PROCESSOR_5)
) -> Iterator[Path]:
    """A temporary folder for `from_pretrained`: config.json and the `processors` without code, and the weights.

    Raises:
        InputError: as `read_object`, `without_code` and `weight_files`.
    """
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        for name in (CONFIG, *processors):
            if name == CONFIG or why_not_own(folder, name) != "is missing":
                text = json.dumps(without_code(read_object(folder, name)))
                (place / name).write_text(text, encoding="utf-8")
        names = weight_files(folder) if weights else []
        if names and names != [WEIGHTS]:
            names.append(INDEX)
        for name in names:
            _link(folder / name, place / name)
        yield place


def _link(file: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.symlink_to(file.resolve())
    except OSError:  # Windows, where only some users may make links
        shutil.copyfile(file, place)
