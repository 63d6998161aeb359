"""Publishing at the end of a training run: `train_hf.py --publish USER/NAME`."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[1] / "push_to_hub.py"
LAUNCHER = ("ACCELERATE_", "TORCHELASTIC_", "MASTER_", "RANK", "LOCAL_", "WORLD_SIZE", "GROUP_", "ROLE_")
"""Environment variables of `accelerate launch`, which a child process must not inherit, begin with these."""


def check_publishing(repo_id: str, settings: Mapping[str, Any]) -> None:
    """Check what is published, login and the right to write before hours of training; `settings` are the recipe's.

    Raises:
        InputError: as `hub.health.refuse_at_the_end` and `hub.access.check_access`.
    """
    from hub.health import refuse_at_the_end

    refuse_at_the_end(settings, repo_id)
    from huggingface_hub import HfApi

    from hub.access import check_access
    from pipeline.hub_client import limit_requests

    limit_requests()
    check_access(HfApi(), repo_id, print)


def check_export(model: Path) -> None:
    """Trace a saved model as publishing will, before hours of training: torch cannot write every model as ONNX.

    Raises:
        InputError: as `hub.export.onnx_files.graph_of` and `hub.export.preprocessed.write`.
    """
    from hub.export import preprocessed
    from hub.export.classifier import load_classifier

    with tempfile.TemporaryDirectory() as folder:
        preprocessed.write(load_classifier(model), Path(folder) / preprocessed.FORMAT.file)


def push_to_hub(run: Path, repo_id: str) -> None:
    """Run push_to_hub.py in a child process, with the data of the run. A failed push does not fail the run."""
    words = [SCRIPT.name, run.as_posix(), "--repo_id", repo_id, "--data_path"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHER)}
    if subprocess.run([sys.executable, str(SCRIPT), *words[1:]], env=environment).returncode:
        print(f"not published, though the run is whole; to try again: python {' '.join(words)}")
