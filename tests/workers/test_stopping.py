"""Being told to stop by a signal, at any moment: in a process of its own, which is sent thousands."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

# Its waits are so short that most signals come while it prepares one or clears up behind it.
PROGRAM = """
import os, time
from workers.stopping import Stop
heard = 0
class Counting(Stop):
    def set(self):
        global heard
        heard += 1
        super().set()
told = Counting()
told.on_signals()
print("ready", flush=True)
ends_at_s = time.monotonic() + 60
while heard < 3_000 and time.monotonic() < ends_at_s:
    told._is_set = False
    told.wait(1e-6)
print("heard", flush=True)
os._exit(0)
"""


def test_a_signal_at_any_moment_of_a_wait_neither_hangs_nor_is_lost() -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"

    ends_at_s = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < ends_at_s:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.0002)

    process.kill()
    assert process.wait() == 0, "it hung"
    assert process.stdout.read() == b"heard\n"
