"""Load processes, seen from the one that measures: started, asked, waited for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
STOP_S_MAX = 30.0


class LoadFailed(Exception):
    """A load process ended, or one of its callers did; the message says what it said."""


class LoadProcess:
    """`python -m bench.load`, or another module that speaks like it, with its requests and answers."""

    def __init__(self, order: Mapping[str, Any], *, module: str = "bench.load") -> None:
        self._way = order["way"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            # Unbuffered output of Python tears a long line when the process is stopped while it writes.
            env={**os.environ, "PYTHONUNBUFFERED": "", "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process: its input ends, or, after an error, it is killed."""
        if kind is not None:
            self._process.kill()
        try:
            self._process.communicate(timeout=STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def send(self, do: str, **arguments: Any) -> None:
        """Send a request without waiting for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Any:
        """Wait for the answer to the oldest request."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LoadFailed(f"the load process of {self._way} ended with code {self._process.wait()}")
        answer = json.loads(line)
        if isinstance(answer, dict) and answer.get("error") is not None:
            raise LoadFailed(f"a caller of {self._way} failed: {answer['error']}")
        return answer

    def ask(self, do: str, **arguments: Any) -> Any:
        """Send a request and wait for its answer."""
        self.send(do, **arguments)
        return self.receive()
