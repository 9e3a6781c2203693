"""One sample of load: single commands by wrk where it is found, all else by our own client."""

from __future__ import annotations

import json
import math
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.http.servers import ROOT

SCRIPT = Path(__file__).with_name("load.lua")
ANSWER_S_MAX = 10
END_S_MAX = 90.0
WRK_S_MIN = 0.5
"""Below this our own client is as good: wrk takes whole seconds only."""


class LoadFailed(Exception):
    """Answers were missing, or some refused what was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent: `kind` is single, mixed or batch; `size` commands a batch."""

    kind: str
    connections: int
    accounts: int
    size: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What came of a sample."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float


def run(load: Load, port: int, token: str, seconds: float) -> Came:
    """Send the load for about this long; wrk knows whole seconds only. Raises LoadFailed."""
    arguments = [load.kind, str(load.accounts), str(load.size), token, secrets.token_hex(8) + "-"]
    done = subprocess.run(
        [*_client(load, port, seconds), *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=seconds + END_S_MAX,
        check=False,
    )
    if done.returncode != 0:
        raise LoadFailed(f"the client ended with code {done.returncode}: {done.stderr}")
    said = json.loads(done.stdout.strip().splitlines()[-1])
    if said["refused"] or said["lost"] or not said["requests"]:
        raise LoadFailed(f"{load}: {said}")
    return Came(
        requests=said["requests"], seconds=said["seconds"], p50_ms=said["p50_us"] / 1_000, p99_ms=said["p99_us"] / 1_000
    )


def wrk() -> str | None:
    """Return where wrk is, None when it is not installed."""
    return shutil.which("wrk")


def _client(load: Load, port: int, seconds: float) -> list[str]:
    program = wrk()
    if program is None or seconds < WRK_S_MIN or load.kind == "batch":
        return [sys.executable, "-m", "bench.http.client", str(port), str(load.connections), str(seconds)]
    options = [
        "-t1",
        f"-c{load.connections}",
        f"-d{math.ceil(seconds)}s",
        f"--timeout={ANSWER_S_MAX}s",
        "-s",
        str(SCRIPT),
    ]
    return [program, *options, f"http://127.0.0.1:{port}", "--"]
