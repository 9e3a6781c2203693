"""Verifying the log now and then as a thing that maintenance looks after, in a process of its own."""

from __future__ import annotations

import os
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
_COMMAND = [sys.executable, "-m", "orderledger", "audit", "verify", "--record", "--json", "--workers", "1"]
_STOP_S_MAX = 5.0

_log = structlog.get_logger(__name__)


class Verifier:
    """Starts an audit when one is due, one at a time, and tells how it ended."""

    def __init__(self, environment: Mapping[str, str], engine: sa.Engine) -> None:
        self._environment = environment
        self._engine = engine
        self._interval_us = int(read_settings(ProofSettings, environment).verify_interval_s * 1_000_000)
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
            self._tell(self._process.returncode)
            self._process = None
        now_s = time.monotonic()
        if self._interval_us and now_s >= self._not_before_s and read(self._engine, self._is_due):
            # One that ends without an outcome is not begun again at once.
            self._not_before_s = now_s + min(RETRY_S, self._interval_us / 1_000_000)
            self._process = subprocess.Popen(
                ["nice", "-n", str(NICENESS), *_COMMAND],
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def close(self) -> None:
        """Stop what runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(_STOP_S_MAX)

    def _is_due(self, connection: sa.Connection) -> bool:
        last = latest_verification(connection)
        if last is None:
            return log.head(connection).position > 0
        return now_us() - last.finished_at_us >= self._interval_us

    def _tell(self, exit_code: int) -> None:
        if exit_code == 0:
            _log.info("log-verified")
        else:
            _log.error("log-not-verified", exit_code=exit_code, mend="orderledger audit verify")
