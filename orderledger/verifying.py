"""Verifying the log now and then as a thing that maintenance looks after, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping

import sqlalchemy as sa
import structlog

from ledger import log
from ledger.audit.recording import latest_verification
from ledger.clock import now_us
from ledger.proofs.settings import ProofSettings
from ledger.reading import read
from ledger.settings import read_settings
from workers.sweeper import Part

LOOK_INTERVAL_S = 10.0
RETRY_S = 600.0
NICENESS = 10
_COMMAND = [sys.executable, "-m", "orderledger", "audit", "verify", "--record", "--workers", "1"]
_STOP_S_MAX = 5.0

_log = structlog.get_logger(__name__)


class Verifier:
    """Starts an audit when one is due, one at a time, and tells how it ended.

    `environment` is the whole one of the process it starts.
    """

    def __init__(self, environment: Mapping[str, str], engine: sa.Engine) -> None:
        self._environment = environment
        self._engine = engine
        self._interval_s = read_settings(ProofSettings, environment).verify_interval_s
        self._not_before_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def part(self) -> Part:
        """How often to look whether one is due."""
        return Part(name="verifying", interval_s=LOOK_INTERVAL_S, run=self.look)

    def look(self) -> None:
        """Start an audit if it is time. Raises ReadUnavailable."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            _tell(self._process)
            self._process = None
        now_s = time.monotonic()
        if self._interval_s == 0 or now_s < self._not_before_s:
            return
        pause_s = read(self._engine, self._pause_s)
        if pause_s is not None:
            self._not_before_s = now_s + pause_s
            # Not with what is in os.environ beside it: a secret that came in a file would be set twice.
            self._process = subprocess.Popen(
                ["nice", "-n", str(NICENESS), *_COMMAND],
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )

    def close(self) -> None:
        """Stop what runs."""
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=_STOP_S_MAX)

    def _pause_s(self, connection: sa.Connection) -> float | None:
        """Return for how long none is begun after one that is due now; None when none is due."""
        # One that ends without an outcome is not begun again at once.
        retry_s = min(RETRY_S, self._interval_s)
        last = latest_verification(connection)
        if last is None:
            return retry_s if log.head(connection).position > 0 else None
        age_us = now_us() - last.finished_at_us
        if age_us < 0:
            # A clock was ahead when it was recorded. So is whatever is recorded after it, and does not say when that was.
            return self._interval_s
        return retry_s if age_us >= self._interval_s * 1_000_000 else None


def _tell(ended: subprocess.Popen[bytes]) -> None:
    # The verdict in a sentence, and what kept it from being reached or recorded: each a line.
    said = [stream.decode("utf-8", "replace").partition("\n")[0] for stream in ended.communicate()]
    if ended.returncode == 0:
        _log.info("log-verified")
    else:
        problem = "; ".join(filter(None, said))
        _log.error("log-not-verified", exit_code=ended.returncode, problem=problem, mend="orderledger audit verify")
