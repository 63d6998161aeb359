"""How many cores this process may use: by its affinity, and by the CPU quota of its container."""

import os
import sys
from pathlib import Path

import pytest

from pipeline.cores import cores

NO_QUOTA = 10**9


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 16 cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"cpu.max": "200000 100000"}, 2),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "10000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 16),
        ({"cpu.max": f"{NO_QUOTA} 100000"}, 16),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16),
        ({}, 16),
    ],
    ids=[
        "2 cores",
        "1.5 cores",
        "a tenth",
        "no limit",
        "more than there are",
        "version 1",
        "version 1, none",
        "no files",
    ],
)
def test_the_quota_of_the_container_limits_the_cores(
    many: None, files: dict[str, str], count: int, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert cores(tmp_path) == count


@pytest.mark.skipif(sys.platform != "linux", reason="affinity is read on Linux only")
def test_affinity_limits_the_cores(tmp_path: Path) -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cores(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, allowed)
