"""The type checker sees `hub/server`: a call with a wrong argument in a copy of the project makes it fail.

mypy is not among the packages of requirements.txt. `MYPY` may name its command, as `.ci/run` does.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

WRONG = '\n\nload_preprocessing(Path("folder"), 3)\n'
"""A call across two modules of the package; the second parameter is a `str`."""


@pytest.fixture
def mypy() -> list[str]:
    """The command that checks the types of the working directory as `pyproject.toml` says."""
    if "MYPY" not in os.environ and importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed here: let MYPY name its command")
    command = [os.environ["MYPY"]] if "MYPY" in os.environ else [sys.executable, "-m", "mypy"]
    return [*command, "--python-executable", sys.executable, "--cache-dir", str(ROOT / ".mypy_cache")]


@pytest.mark.slow
def test_a_wrong_argument_in_the_server_fails_the_type_check(mypy: list[str], tmp_path: Path) -> None:
    for name in ("hub", "pipeline"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (ROOT / "pyproject.toml", *ROOT.glob("*.py"), *ROOT.glob(".ci/*.py")):
        (tmp_path / file.relative_to(ROOT)).parent.mkdir(exist_ok=True)
        shutil.copy(file, tmp_path / file.relative_to(ROOT))
    engine = tmp_path / "hub" / "server" / "engine.py"
    engine.write_text(engine.read_text(encoding="utf-8") + WRONG, encoding="utf-8")
    done = subprocess.run(mypy, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "hub/server/engine.py" in done.stdout
    assert 'to "load_preprocessing" has incompatible type "int"' in done.stdout
    assert "Found 1 error in 1 file" in done.stdout, "nothing else is wrong in the copy"
