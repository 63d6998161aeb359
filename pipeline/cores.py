"""How many CPU cores this process may use."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cores(cgroup: Path = CGROUP) -> int:
    """Cores that this process may use, at least 1: the smaller of its CPU affinity and its container's CPU quota.

    Args:
        cgroup: where Linux mounts the control groups, version 1 or 2. A quota of 1.5 cores counts as 2.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, count if quota is None else min(count, math.ceil(quota)))


def _quota(cgroup: Path) -> float | None:
    """The container's CPU time per second of wall time, or None without a limit."""
    version_2, version_1 = ("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")
    for files in (version_2, version_1):
        try:
            quota, period = " ".join((cgroup / name).read_text(encoding="utf-8") for name in files).split()
            if int(quota) > 0:  # version 1 writes -1 for no limit
                return int(quota) / int(period)
        except (OSError, ValueError):  # no such file, or "max", which is no limit
            continue
    return None
