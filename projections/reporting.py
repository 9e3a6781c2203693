"""The figures of all processes in one place: each puts its own into Redis every few seconds, one scrape shows them all.

Processes behind one port, and those that serve nothing over HTTP, could not be asked otherwise. A process that ended is
forgotten after a few intervals. Nothing depends on what is kept here.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis
from prometheus_client import Metric
from prometheus_client.registry import Collector

from projections import keys

FORGOTTEN_INTERVALS = 4
PROCESSES_MAX = 1_000
"""Processes whose figures are shown; more would be a mistake in the deployment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """A process: its role, and a name that no other one has now."""

    role: str
    process: str

    @classmethod
    def of_this_process(cls, role: str) -> Who:
        """Name this process by host and process id."""
        return cls(role=role, process=f"{socket.gethostname()}:{os.getpid()}")

    @property
    def labels(self) -> dict[str, str]:
        """What each of its figures is labelled with."""
        return {"role": self.role, "process": self.process}


class Reporter:
    """Puts this process's figures into Redis every `interval_s`, on a thread of its own."""

    def __init__(self, client: redis.Redis, who: Who, registries: Sequence[Collector], interval_s: float) -> None:
        self.who = who
        self.interval_s = interval_s
        self._client = client
        self._registries = registries
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporting", daemon=True)
        self._thread.start()

    def report(self) -> None:
        """Put the figures there now. Raises redis.RedisError."""
        families = [_plain(each) for registry in self._registries for each in registry.collect()]
        report = {"at_s": time.time(), "interval_s": self.interval_s, "labels": self.who.labels, "families": families}
        self._client.hset(keys.reports(), self.who.process, json.dumps(report, separators=(",", ":")))

    def others(self) -> list[Metric]:
        """Return the other processes' figures, labelled; those of processes that ended are removed.

        Raises redis.RedisError.
        """
        stored = cast("dict[bytes, bytes]", self._client.hgetall(keys.reports()))
        families: list[Metric] = []
        gone = []
        for name, text in list(stored.items())[:PROCESSES_MAX]:
            report = json.loads(text)
            if time.time() - report["at_s"] > FORGOTTEN_INTERVALS * report["interval_s"]:
                gone.append(name)
            elif name.decode() != self.who.process:
                families += (_metric(each, report["labels"]) for each in report["families"])
        if gone:
            self._client.hdel(keys.reports(), *gone)
        return families

    def close(self) -> None:
        """Report no more; what was reported is forgotten soon."""
        self._ending.set()
        self._thread.join(self.interval_s)

    def _run(self) -> None:
        while not self._ending.wait(self.interval_s):
            try:
                self.report()
            except redis.RedisError:
                # What Redis being away means is shown elsewhere.
                continue


def merged(families: Iterable[Metric]) -> list[Metric]:
    """Return one family for each name, with everybody's samples."""
    found: dict[str, Metric] = {}
    for each in families:
        found.setdefault(each.name, Metric(each.name, each.documentation, each.type)).samples.extend(each.samples)
    return list(found.values())


def labelled(families: Iterable[Metric], labels: dict[str, str]) -> Iterator[Metric]:
    """Yield the families with more labels on every sample."""
    return (_metric(_plain(each), labels) for each in families)


def _plain(family: Metric) -> list[Any]:
    # When something was created is not shown, and would double what is sent.
    samples = [[each.name, each.labels, each.value] for each in family.samples if not each.name.endswith("_created")]
    return [family.name, family.documentation, family.type, samples]


def _metric(plain: Sequence[Any], labels: dict[str, str]) -> Metric:
    name, documentation, kind, samples = plain
    metric = Metric(name, documentation, kind)
    for sample_name, own, value in samples:
        metric.add_sample(sample_name, {**own, **labels}, value)
    return metric
