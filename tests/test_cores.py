"""A process takes as many cores as its affinity and its cgroups allow."""

import os
from pathlib import Path

import pytest

from pipeline.cores import cores

AFFINITY = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores_in(folder: Path, membership: str, files: dict[str, str]) -> int:
    """Cores of a process with this membership file, where the cgroup mount holds these files."""
    for name, content in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n", encoding="utf-8")
    (folder / "membership").write_text(membership + "\n", encoding="utf-8")
    return cores(folder / "cgroup", folder / "membership")


V1 = {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/", {"cpu.max": "100000 100000"}, 1),
        ("0::/", {"cpu.max": "20000 100000"}, 1),
        ("0::/", {"cpu.max": "110000 100000"}, 2),
        ("0::/docker/12ab", {"cpu.max": "100000 100000"}, 1),  # the host's path, which a container does not have
        ("0::/user/work", {"user/work/cpu.max": "max 100000", "user/cpu.max": "50000 50000"}, 1),
        ("4:memory:/x\n1:cpu,cpuacct:/", V1, 1),
        ("1:cpu:/y", {name.replace("/", "/y/"): content for name, content in V1.items()}, 1),
        ("1:cpuset:/y\n1:cpu:/docker/12ab", V1, 1),
    ],
    ids=str,
)
def test_a_cpu_quota_limits_the_cores(tmp_path: Path, membership: str, files: dict[str, str], quota: int) -> None:
    assert cores_in(tmp_path, membership, files) == min(AFFINITY, quota)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"cpu.max": "max 100000"},
        {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
        {"cpu.max": ""},
        {"cpu.max": "6400000 100000"},
        {"other/cpu.max": "100000 100000"},  # somebody else's
    ],
    ids=str,
)
def test_without_a_quota_below_it_the_affinity_counts(tmp_path: Path, files: dict[str, str]) -> None:
    assert cores_in(tmp_path, "0::/user\n1:cpu:/user", files) == AFFINITY


def test_where_there_are_no_cgroups_the_affinity_counts(tmp_path: Path) -> None:
    assert cores(tmp_path / "none", tmp_path / "none") == AFFINITY


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_the_affinity_limits_the_cores_too() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, before)
