"""Check settings and servers from the command line, and before anything starts.

A server that cannot be reached does not stop a start: whoever restarts together with its database must come up without
a person. What could not be asked then is asked again and again; until it was, the committer looks at each connection
itself (ledger.safety.server), so that no command gets past it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import structlog

from api import doctor
from ledger.errors import UnsafeStart
from ledger.safety.checks import Finding, refusals, sentence
from ledger.settings import PREFIX
from orderledger.opening import opened_directory, opened_engine
from projections.redis_clients import open_redis

LOOK_AGAIN_S = 2.0
"""Pause between two looks at a server that could not be asked at the start."""

_log = structlog.get_logger(__name__)


def examine(environment: Mapping[str, str]) -> list[Finding]:
    """Return every check's finding for what the environment names."""
    with _servers(environment) as servers:
        return doctor.examine(environment, **servers)


class StartCheck:
    """Refuses to start on what is unsafe; what cannot be asked yet is asked later.

    `say` gets a line for each refusal. `refused` is set when it was found only later: then the process gets a SIGTERM.
    """

    def __init__(self, environment: Mapping[str, str], say: Callable[[str], object]) -> None:
        self._environment = environment
        self._say = say
        self._ended = threading.Event()
        self.refused = False

    def begin(self) -> None:
        """Look now, and go on looking beside the caller while a server cannot be asked. Raises UnsafeStart."""
        findings, is_whole = self._look()
        if findings:
            raise UnsafeStart(lines=tuple(sentence(each) for each in findings))
        if not is_whole:
            _log.warning("start-check-postponed", problem="a server cannot be reached; it is looked at when it can")
            threading.Thread(target=self._look_again, name="start-check", daemon=True).start()

    def end(self) -> None:
        """Look no more."""
        self._ended.set()

    def _look_again(self) -> None:
        while not self._ended.wait(LOOK_AGAIN_S):
            findings, is_whole = self._look()
            if findings:
                self.refused = True
                for each in findings:
                    self._say(sentence(each))
                os.kill(os.getpid(), signal.SIGTERM)
            if findings or is_whole:
                return

    def _look(self) -> tuple[list[Finding], bool]:
        with _servers(self._environment) as servers:
            findings, is_whole = doctor.unsafe_at_start(self._environment, **servers)
        return refusals(findings), is_whole


@contextmanager
def _servers(environment: Mapping[str, str]) -> Iterator[doctor.Servers]:
    models = environment[PREFIX + "REDIS_URL"]
    urls = sorted({models, environment.get(PREFIX + "QUEUE_REDIS_URL") or models})
    with ExitStack() as closing:
        log = closing.enter_context(opened_engine(environment))
        directory = closing.enter_context(opened_directory(environment))
        clients = [closing.enter_context(open_redis(url)) for url in urls]
        yield {"log": log, "directory": directory.engine, "clients": clients}
