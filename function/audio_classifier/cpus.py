"""Count the CPUs that this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

CGROUP_ROOT: Final = Path("/sys/fs/cgroup")


def available_cpus(cgroup_root: Path = CGROUP_ROOT) -> int:
    """Return the CPUs of the affinity mask, or of the container's quota if that is lower; at least 1.

    A quota of 1.5 CPUs counts as 2: two threads, of which one is throttled half of the time, are faster than
    a single thread.
    """
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cpus = os.cpu_count() or 1
    quota = _cgroup_quota(cgroup_root)
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def _cgroup_quota(root: Path) -> float | None:
    """Return the CPUs that the control group (version 2, then 1) grants, or None if it sets no limit."""
    try:
        quota_us, period_us = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota_us = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period_us = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        quota = int(quota_us) / int(period_us)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return quota if quota > 0 else None  # version 1 uses -1 for no limit
