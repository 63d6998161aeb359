"""Drawn pictures and a two-layer ViT, which the tests train on."""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# Before any library reads them: tests never touch the network or the user's caches.
CACHES = tempfile.TemporaryDirectory(prefix="fer-tests-", ignore_cleanup_errors=True)
for name in ("HF_DATASETS_CACHE", "HF_HUB_CACHE"):
    os.environ.pop(name, None)
os.environ |= {"HF_HOME": CACHES.name, "HF_HUB_OFFLINE": "1"}
os.environ |= {"HF_HUB_DISABLE_TELEMETRY": "1", "ORT_DISABLE_TELEMETRY": "1"}
if "PYTEST_XDIST_WORKER" in os.environ:  # OpenMP's waiting threads would spin on the cores of the tests beside
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402
from datasets import ClassLabel, Dataset, Features, Image, List, Value  # noqa: E402
from onnx import ModelProto, TensorProto, helper, numpy_helper, save  # noqa: E402
from PIL import Image as PILImage  # noqa: E402
from transformers import TrainerCallback  # noqa: E402

from pipeline import crop  # noqa: E402
from pipeline.expressions import CLASSES  # noqa: E402
from pipeline.settings.files import recipe_from  # noqa: E402
from pipeline.settings.recipe import Recipe  # noqa: E402

ROOT = Path(__file__).parent.parent
HALF = [0.5] * 3

TINY = {
    "source": "drawn",
    "drawn_faces": 100,
    "near_copies": False,
    "image_size": 32,
    "geometry": "whole_picture",  # checkpoints of tests have the processors that their libraries write
    "vit_config": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "patch_size": 8,
    },
    "layer_decay": 1.0,
    "total_batch_size": 16,
    "num_train_epochs": 2,
    "learning_rate": 1e-3,
    "precision": "fp32",
    "bootstrap_resamples": 50,
    "seed": 0,
    "disable_tqdm": True,
}

# Augmentation off.
STILL = {
    "flip": 0.0,
    "rotation": 0.0,
    "crop_area": 1.0,
    "crop_ratio": 1.0,
    "brightness": 0.0,
    "contrast": 0.0,
    "erasing": 0.0,
}


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Recipe]:
    """A recipe that trains in a second; keyword arguments override its settings."""

    def make(**settings: Any) -> Recipe:
        return recipe_from(TINY | {"output_dir": str(tmp_path / "run")} | settings, "test")

    return make


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training stays on the CPU, also where there is a GPU."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")


@pytest.fixture(scope="session")
def table() -> Dataset:
    """70 rows of noise pictures (24 x 20 px) in the columns every source yields; targets are soft."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(7), size=70).astype(np.float32)
    features = Features(
        {
            "image": Image(),
            "label": ClassLabel(names=list(CLASSES)),
            "target": List(Value("float32"), length=7),
            "source": Value("string"),
            "person": Value("string"),
            "key": Value("string"),
        }
    )
    rows = {
        "image": [PILImage.fromarray(rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)) for _ in shares],
        "label": shares.argmax(1).tolist(),
        "target": shares.tolist(),
        "source": ["noise"] * 70,
        "person": [None] * 70,
        "key": [f"noise-{i:03d}" for i in range(70)],
    }
    return Dataset.from_dict(rows, features=features)


@pytest.fixture
def trainer_of(table: Dataset, tmp_path: Path) -> Callable[..., Any]:
    """The trainer of a recipe on `table`, built as train_hf.py builds it; `folder` is its output_dir."""
    from pipeline.training.arguments import training_arguments
    from pipeline.training.log import TrainingLog
    from pipeline.training.plan import make_plan
    from pipeline.training.steps import build_trainer
    from pipeline.training.transforms import map_pictures

    rows = map_pictures(table, 32, "rows")

    def make(recipe: Recipe, folder: str = "run", callbacks: Sequence[TrainerCallback] = ()) -> Any:
        plan = make_plan(replace(recipe, trainer=recipe.trainer | {"output_dir": str(tmp_path / folder)}))
        log = TrainingLog(tmp_path / folder / "logs", recipe.outputs, recipe.task)
        return build_trainer(plan, training_arguments(plan), rows, rows, log, callbacks)

    return make


def save_sharp_model(folder: Path, size: int) -> None:
    """Random weights so large that a small change of a picture changes the scores much."""
    from pipeline.training.model import build_model

    settings = {"image_size": size, "vit_config": TINY["vit_config"], "seed": 3, "output_dir": "-"}
    model, processor = build_model(recipe_from(settings, "test"))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def write_recipe(path: Path, **settings: Any) -> Path:
    """A recipe file with the tiny settings and these."""
    path.write_text(yaml.safe_dump(TINY | settings))
    return path


def process_of(*words: str, **how: Any) -> subprocess.Popen[str]:
    """Start `python train_hf.py WORDS`; `how` goes to Popen."""
    return subprocess.Popen(
        [sys.executable, "train_hf.py", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )


def wait_for_checkpoint(process: subprocess.Popen[str], run: Path, step: int) -> None:
    """Wait until the checkpoint of a step is complete; the process must still be running."""
    while not (run / f"checkpoint-{step}" / "trainer_state.json").is_file():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)


def run_train_hf(*words: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run `python train_hf.py WORDS` to its end; `how` goes to Popen."""
    with process_of(*words, **how) as process:
        try:
            out, err = process.communicate(timeout=300)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def train_hf(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`python train_hf.py WORDS` as a process; its settings make a run of a second or two.

    Without a recipe among the words it gets the tiny one with `settings`, and `tmp_path/run` as its output_dir.
    `before` is called in the new process; keyword arguments in capitals are environment variables.
    """

    def run(
        *words: str,
        settings: dict[str, Any] | None = None,
        before: Callable[[], None] | None = None,
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        named = []
        if not words or words[0].startswith("--"):
            made = {"output_dir": str(tmp_path / "run")} | (settings or {})
            named = [str(write_recipe(tmp_path / "tiny.yaml", **made))]
        return run_train_hf(*named, *words, env=os.environ | environment, preexec_fn=before)

    return run


@dataclass(frozen=True)
class Finished:
    """A finished run: its folder, the recipe file it was made from, and what its process printed."""

    path: Path
    recipe: Path
    process: subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One finished run of twelve steps with six checkpoints, for all tests that only look at it."""
    folder = tmp_path_factory.mktemp("finished")
    made = {"max_steps": 12, "save_strategy": "steps", "save_steps": 2, "logging_steps": 1, "cutmix": 0.5}
    recipe = write_recipe(folder / "shared.yaml", output_dir=str(folder / "run"), **made)
    return Finished(folder / "run", recipe, run_train_hf(str(recipe)))


@pytest.fixture(scope="session")
def publishable_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two steps with test figures, that a test may look at but not change."""
    folder = tmp_path_factory.mktemp("publishable")
    recipe = write_recipe(folder / "drawn_tiny.yaml", output_dir=str(folder / "run"), max_steps=2, evaluate_test=True)
    ended = run_train_hf(str(recipe))
    assert ended.returncode == 0, ended.stderr
    return folder / "run"


@pytest.fixture(scope="session")
def scored_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of six steps on the intensity of drawn faces, that a test may look at but not change."""
    folder = tmp_path_factory.mktemp("scored")
    made = {"task": "regression", "scores": ["intensity"], "max_steps": 6, "evaluate_test": True, "flip_average": True}
    ended = run_train_hf(str(write_recipe(folder / "scored.yaml", output_dir=str(folder / "run"), **made)))
    assert ended.returncode == 0, ended.stderr
    (folder / "said.txt").write_text(ended.stdout)
    return folder / "run"


@pytest.fixture
def detector_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """YuNet's weights where `YUNET` names them; otherwise a file like it that sees one large face in every picture."""
    if "YUNET" in os.environ:
        return Path(os.environ["YUNET"])
    save(one_face_everywhere(), path := tmp_path / "weights.onnx")
    monkeypatch.setattr(crop, "YUNET_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def one_face_everywhere() -> ModelProto:
    """YuNet's inputs and outputs, which do not depend on the picture: cells of 32 px are faces of about 640 px."""
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 640, 640])
    outputs, nodes, constants = [], [], []
    for stride in (8, 16, 32):
        is_face = float(stride == 32)
        for kind, bias in (("cls", [is_face]), ("obj", [is_face]), ("bbox", [0.5, 0.5, 3.0, 3.0]), ("kps", [0.5] * 10)):
            name, channels = f"{kind}_{stride}", len(bias)
            kernel = np.zeros((channels, 3, stride, stride), np.float32)
            for of, values in (("kernel", kernel), ("bias", np.array(bias, np.float32))):
                constants.append(numpy_helper.from_array(values, f"{name}_{of}"))
            constants.append(numpy_helper.from_array(np.array([1, -1, channels]), f"{name}_shape"))
            steps = (
                ("Conv", ["input", f"{name}_kernel", f"{name}_bias"], {"strides": [stride, stride]}),
                ("Transpose", [f"{name}_Conv"], {"perm": [0, 2, 3, 1]}),
                ("Reshape", [f"{name}_Transpose", f"{name}_shape"], {}),
            )
            for op, inputs, settings in steps:
                output = name if op == "Reshape" else f"{name}_{op}"
                nodes.append(helper.make_node(op, inputs, [output], **settings))
            cells = (640 // stride) ** 2
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, cells, channels]))
    graph = helper.make_graph(nodes, "like YuNet", [given], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


@pytest.fixture(autouse=True)
def _threads() -> None:
    torch.set_num_threads(2)
