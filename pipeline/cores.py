"""How many CPU cores this process may use. A container often sees more cores than it has time on."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def cores(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """Return the number of cores, at least 1: the CPU affinity, limited by the CPU quota of each cgroup around us.

    A quota of 1.5 cores counts as 2. Both versions of cgroups are read
    (https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/scheduler/sched-bwc.html).

    Args:
        cgroups: folder where the cgroup file systems are mounted.
        membership: file that names the cgroups of this process.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = filter(None, map(_quota, _folders(cgroups, membership)))
    return min([affinity, *map(math.ceil, quotas)])


def _folders(cgroups: Path, membership: Path) -> Iterator[Path]:
    """The cgroups of this process that may limit its CPU time, from its own up to the root.

    Inside a container the path may be the one that the host sees. It does not exist here, but the root does, and the
    root is the container's own cgroup.
    """
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    paths = {"": "/", "cpu": "/"}  # version 2, and the controller of version 1
    for _, controllers, path in (line.split(":", 2) for line in lines):
        paths |= {name: path for name in controllers.split(",") if name in paths}
    for name, path in paths.items():
        root = cgroups / name
        own = root / path.lstrip("/")
        yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(root))


def _quota(cgroup: Path) -> float | None:
    """CPU quota of one cgroup in cores; None where it has no limit."""
    files = ("cpu.max",) if (cgroup / "cpu.max").is_file() else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    try:
        words = " ".join((cgroup / name).read_text(encoding="utf-8") for name in files).split()
        quota, period = map(int, words)
    except (OSError, ValueError):  # no such file, or the word "max"
        return None
    return quota / period if quota > 0 and period > 0 else None
