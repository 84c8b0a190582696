"""The memory of processes, from Linux's /proc."""

from __future__ import annotations

import re
from pathlib import Path


def peak_bytes(pid: int) -> int:
    """Return the highest memory use of a process so far; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    peak = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(peak[1]) << 10 if peak else 0


def tree_bytes(pid: int) -> int:
    """Return the memory of a process and its descendants now; what they share counts once for each."""
    total = 0
    waiting = [pid]
    while waiting:
        process = Path("/proc") / str(waiting.pop())
        try:
            resident = re.search(r"VmRSS:\s*(\d+) kB", (process / "status").read_text())
            total += int(resident[1]) << 10 if resident else 0
            for task in (process / "task").iterdir():
                waiting.extend(map(int, (task / "children").read_text().split()))
        except OSError:  # it has ended
            continue
    return total
