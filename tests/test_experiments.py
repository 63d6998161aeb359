"""Benchmarks and one-off experiments are run by hand, so only their imports are tested."""

import importlib
from pathlib import Path

import pytest

from tests.conftest import ROOT

SERVER = "plain_server.py"  # loads its model when it is imported
MODULES = sorted(p for name in ("benchmarks", "experiments") for p in (ROOT / "tests" / name).glob("*.py"))


@pytest.mark.parametrize("module", [p for p in MODULES if p.name != SERVER], ids=lambda p: p.stem)
def test_it_can_be_imported(module: Path) -> None:
    importlib.import_module(".".join(module.relative_to(ROOT).with_suffix("").parts))
