"""A server's process hears the signals that it is sent, whichever of its threads the system gives them to."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The main thread of a server's process sleeps on a lock until a handler lets it go; another thread gets the signal.
PROGRAM = """
import signal, sys, threading, time
from api.draining import Draining
draining, ended = Draining(), threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
draining.begin_when_told()
def be_told():
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), int(sys.argv[1]))
    ends_at_s = time.monotonic() + 5
    while not draining.is_on and time.monotonic() < ends_at_s:
        time.sleep(0.01)
    print("draining" if draining.is_on else "deaf", flush=True)
    if int(sys.argv[1]) != signal.SIGTERM:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
teller = threading.Thread(target=be_told)
teller.start()
ended.wait()
print("ended", flush=True)
teller.join()
"""
BESIDE = """
import signal, socket
from api.draining import Draining
ours, theirs = socket.socketpair()
theirs.setblocking(False)
signal.set_wakeup_fd(theirs.fileno())
Draining().begin_when_told()
print(signal.set_wakeup_fd(-1) == theirs.fileno())
"""


@pytest.mark.parametrize("told", [signal.SIGUSR2, signal.SIGTERM])
def test_a_signal_that_another_thread_was_given_is_heard(told: signal.Signals) -> None:
    done = _run(PROGRAM, str(int(told)))

    assert sorted(done.stdout.split()) == ["draining", "ended"]
    assert done.returncode == 0


def test_a_server_that_is_awake_for_signals_by_itself_stays_so() -> None:
    assert _run(BESIDE).stdout == "True\n"


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )
