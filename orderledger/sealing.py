"""Sealing and publishing as things that maintenance looks after."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import sqlalchemy as sa
import structlog

from ledger import log
from ledger.errors import BadSetting, LedgerError
from ledger.proofs.sealing import Sealed, extend, latest, seal
from ledger.proofs.settings import ProofSettings
from ledger.proofs.signer import Signer
from ledger.reading import read
from ledger.settings import PREFIX, read_settings, texts
from workers.sweeper import Part

LOOK_INTERVAL_S = 1.0
STEPS_MAX = 20
PUBLISH_TIMEOUT_S = 20.0
DELIVERY_WAIT_S = 0.5
"""How long a look waits for the delivery that it began; what takes longer goes on beside all else."""
DELIVERY_S_MAX = 2 * PUBLISH_TIMEOUT_S
"""From when on a delivery counts as failed that has not ended: a target may hang, or say a little now and then, for ever."""
Deliver = Callable[[Sealed], None]

_log = structlog.get_logger(__name__)


class PublishingFailed(LedgerError):
    """A checkpoint did not get where it was to be published; it, or a newer one, is tried again."""

    code = "publishing-failed"
    message = "a checkpoint could not be published"


def sealing_parts(environment: Mapping[str, str], engine: sa.Engine) -> list[Part]:
    """Return what seals new events and what publishes checkpoints. Raises BadSetting."""
    settings = read_settings(ProofSettings, environment)
    sealer = Sealer(engine, settings)
    parts = [Part(name="sealing", interval_s=min(LOOK_INTERVAL_S, settings.seal_interval_s), run=sealer.look)]
    for number, target in enumerate(texts(settings.publish_checkpoints_to), start=1):
        publisher = Publisher(engine, deliver_to(target))
        parts.append(Part(name=f"publishing-{number}", interval_s=settings.seal_interval_s, run=publisher.look))
    return parts


class Sealer:
    """Seals the log when there are enough new events, or the interval is over."""

    def __init__(self, engine: sa.Engine, settings: ProofSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._sealed_at_s = -settings.seal_interval_s
        self._has_said = False

    def look(self) -> None:
        """Seal if it is time. Raises what `seal` does."""
        path = Path(self._settings.signing_key_file)
        if not path.exists():
            if not self._has_said:
                _log.warning("log-not-sealed", problem="there is no signing key", mend="orderledger audit keygen NAME")
            self._has_said = True
            return
        # A long log that was never sealed is taken up bit by bit: others are looked after in between.
        if not extend(self._engine, steps_max=STEPS_MAX):
            return
        now_s = time.monotonic()
        if (
            now_s - self._sealed_at_s < self._settings.seal_interval_s
            and self._new_events() < self._settings.seal_events
        ):
            return
        self._sealed_at_s = now_s
        # Read each time: a key that was added signs from now on.
        sealed = seal(self._engine, Signer(path))
        if sealed is not None:
            _log.info("log-sealed", size=sealed.size, root=sealed.root.hex())

    def _new_events(self) -> int:
        def query(connection: sa.Connection) -> int:
            last = latest(connection)
            return log.head(connection).position - (0 if last is None else last.size)

        return read(self._engine, query)


class Publisher:
    """Delivers each newest checkpoint once; after a failure, or a new start, again.

    Deliveries have a thread of their own, one at a time: a target that does not answer delays nothing but itself. One
    that is under way when the process ends is made again after the next start.
    """

    def __init__(self, engine: sa.Engine, deliver: Deliver) -> None:
        self._engine = engine
        self._deliver = deliver
        self._size = 0
        self._delivery: threading.Thread | None = None
        self._began_at_s = 0.0
        self._failure: Exception | None = None

    def look(self) -> None:
        """Deliver the newest checkpoint if it is new. Raises PublishingFailed until one got there."""
        if not self._is_delivering():
            newest = read(self._engine, latest)
            if newest is not None and newest.size != self._size:
                self._began_at_s = time.monotonic()
                self._delivery = threading.Thread(target=self._run, args=(newest,), name="publishing", daemon=True)
                self._delivery.start()
                self._delivery.join(DELIVERY_WAIT_S)
        elif time.monotonic() - self._began_at_s > DELIVERY_S_MAX:
            raise PublishingFailed()
        if self._failure is not None:
            raise PublishingFailed() from self._failure

    def _is_delivering(self) -> bool:
        return self._delivery is not None and self._delivery.is_alive()

    def _run(self, newest: Sealed) -> None:
        try:
            self._deliver(newest)
        except Exception as error:  # noqa: BLE001 - The edge of a thread: whoever looks is told.
            self._failure = error
        else:
            self._size, self._failure = newest.size, None


def deliver_to(target: str) -> Deliver:
    """Return how checkpoints get to a target. Raises BadSetting."""
    if target.startswith("!"):
        command = shlex.split(target[1:])
        if command:
            return lambda sealed: _to_command(command, sealed)
    elif target.startswith(("https://", "http://")):
        return lambda sealed: _to_url(target, sealed)
    elif target.startswith("/"):
        return lambda sealed: _to_directory(Path(target), sealed)
    raise BadSetting(
        variable=f"{PREFIX}PUBLISH_CHECKPOINTS_TO",
        problem="expected an absolute directory, an https:// URL, or ! and a command",
    )


def _to_directory(directory: Path, sealed: Sealed) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in (f"checkpoint-{sealed.size}", "checkpoint"):
            beside = directory / f".{name}.{os.getpid()}.new"
            beside.write_text(sealed.note, "utf-8")
            beside.replace(directory / name)
    except OSError as error:
        raise PublishingFailed() from error


def _to_url(url: str, sealed: Sealed) -> None:
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    request = urllib.request.Request(url, sealed.note.encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=PUBLISH_TIMEOUT_S):
            return
    except (OSError, ValueError) as error:
        raise PublishingFailed() from error


def _to_command(command: list[str], sealed: Sealed) -> None:
    try:
        subprocess.run(command, input=sealed.note.encode(), check=True, timeout=PUBLISH_TIMEOUT_S, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise PublishingFailed() from error
