"""The supervisor with real child processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from workers.stopping import Stop
from workers.supervisor import Child, run_supervisor

ROOT = Path(__file__).resolve().parents[2]


def wait_for(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    ends_at_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_at_s, "not in time"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def program(folder: Path, name: str, text: str) -> Child:
    (folder / f"{name}.py").write_text(textwrap.dedent(text))
    return Child(name=name, module=name, arguments=(str(folder),))


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)}


class Supervised:
    """A supervisor in a thread, and the processes it started."""

    def __init__(self, children: list[Child], folder: Path, stop_timeout_s: float = 5.0) -> None:
        self.pids: list[int] = []
        self.stop = Stop()
        self.exit_code: int | None = None

        def run() -> None:
            self.exit_code = run_supervisor(
                children,
                environment=environment(folder),
                stop_timeout_s=stop_timeout_s,
                stop=self.stop,
                started=lambda child, pid: self.pids.append(pid),
            )

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def end(self) -> float:
        began_s = time.monotonic()
        self.stop.set()
        self.thread.join(20)
        return time.monotonic() - began_s


@pytest.mark.parametrize("ending", ["sys.exit(0)", "sys.exit(3)", "os.kill(os.getpid(), 9)"])
def test_a_child_is_started_again_whatever_it_ended_with(tmp_path: Path, ending: str) -> None:
    child = program(tmp_path, "brief", f"import os, sys\n{ending}")

    supervised = Supervised([child], tmp_path)
    wait_for(lambda: len(supervised.pids) >= 3)

    supervised.end()
    assert not any(is_running(pid) for pid in supervised.pids)


def test_children_finish_their_work_when_stopped(tmp_path: Path) -> None:
    child = program(
        tmp_path,
        "worker_that_finishes",
        """
        import pathlib, signal, sys, time
        folder = pathlib.Path(sys.argv[1])
        def finish(*_):
            time.sleep(0.5)
            (folder / "finished").touch()
            sys.exit(0)
        signal.signal(signal.SIGTERM, finish)
        (folder / "ready").touch()
        time.sleep(60)
        """,
    )
    supervised = Supervised([child], tmp_path)
    wait_for((tmp_path / "ready").exists)

    supervised.end()

    assert supervised.exit_code == 0
    assert (tmp_path / "finished").exists()


def test_a_child_that_does_not_obey_is_killed(tmp_path: Path) -> None:
    child = program(
        tmp_path,
        "stubborn",
        """
        import pathlib, signal, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (pathlib.Path(sys.argv[1]) / "ready").touch()
        time.sleep(60)
        """,
    )
    supervised = Supervised([child], tmp_path, stop_timeout_s=0.5)
    wait_for((tmp_path / "ready").exists)

    took_s = supervised.end()

    assert supervised.exit_code == 1
    assert took_s < 5
    assert not is_running(supervised.pids[0])


def test_children_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    program(
        tmp_path,
        "follower",
        """
        import os, pathlib, sys, time
        from workers.orphans import end_with_parent
        end_with_parent(int(sys.argv[2]), grace_s=1)
        (pathlib.Path(sys.argv[1]) / "pid").write_text(str(os.getpid()))
        time.sleep(60)
        """,
    )
    run = f"""
import os, sys
sys.path[:0] = [{str(ROOT)!r}]
from workers.supervisor import Child, run_supervisor
child = Child(name="follower", module="follower", arguments=({str(tmp_path)!r},))
run_supervisor([child], environment=dict(os.environ), stop_timeout_s=1)
"""
    supervisor = subprocess.Popen([sys.executable, "-c", run], env=environment(tmp_path))
    pid_file = tmp_path / "pid"
    wait_for(lambda: pid_file.exists() and pid_file.read_text() != "")

    supervisor.kill()
    supervisor.wait()

    wait_for(lambda: not is_running(int(pid_file.read_text())), timeout_s=5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_supervisor_and_its_children(tmp_path: Path, number: int) -> None:
    program(
        tmp_path,
        "sleeper",
        """
        import os, pathlib, sys, time
        (pathlib.Path(sys.argv[1]) / "pid").write_text(str(os.getpid()))
        time.sleep(60)
        """,
    )
    run = f"""
import os, sys
sys.path[:0] = [{str(ROOT)!r}]
from workers.supervisor import Child, run_supervisor
child = Child(name="sleeper", module="sleeper", arguments=({str(tmp_path)!r},))
sys.exit(run_supervisor([child], environment=dict(os.environ), stop_timeout_s=5))
"""
    supervisor = subprocess.Popen([sys.executable, "-c", run], env=environment(tmp_path))
    pid_file = tmp_path / "pid"
    wait_for(lambda: pid_file.exists() and pid_file.read_text() != "")

    supervisor.send_signal(number)

    assert supervisor.wait(10) == 0
    assert not is_running(int(pid_file.read_text()))
