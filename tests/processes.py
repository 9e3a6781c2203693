"""Which processes a process has begun, and whether they are gone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

GONE_S_MAX = 5.0


def children_of(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def are_gone(pids: list[int]) -> bool:
    """Wait for processes to be gone; end those that are not, so that no test leaves any."""
    ends_at_s = time.monotonic() + GONE_S_MAX
    while (left := [pid for pid in pids if is_running(pid)]) and time.monotonic() < ends_at_s:
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return not left


def is_running(pid: int) -> bool:
    try:
        # Whoever takes over orphans may leave them as zombies.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
