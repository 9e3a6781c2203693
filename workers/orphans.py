"""A child process ends with its supervisor, even when that is killed and cannot tell it to."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1
LOOK_INTERVAL_S = 1.0


def end_with_parent(parent: int, *, grace_s: float) -> None:
    """Send this process SIGTERM once the parent with this process id is gone, and end it abruptly `grace_s` later."""
    if sys.platform == "linux":
        # The kernel tells at once; the thread below is for other systems and for a child that does not obey.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    threading.Thread(target=_watch, args=(parent, grace_s), name="parent-watch", daemon=True).start()


def _watch(parent: int, grace_s: float) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_INTERVAL_S)
    if sys.platform != "linux":
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    os._exit(1)
