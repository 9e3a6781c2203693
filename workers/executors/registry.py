"""Executors by name: the built-in ones, and those that installed packages declare in the entry point group
``orderledger.executors``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from ledger.codec import canonical_json
from ledger.executor_settings import ENTRY_POINT_GROUP, HTTP, SIMULATED
from workers.executors.http import open_http
from workers.executors.protocol import Executor, ExecutorFactory, UnusableExecutor
from workers.executors.simulated import open_simulated
from workers.settings import WorkerSettings

EXECUTORS_OPEN_MAX = 1_000
_BUILT_IN: dict[str, ExecutorFactory] = {HTTP: open_http, SIMULATED: open_simulated}


class Executors:
    """Opens executors with products' settings, and keeps those that are open."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._open: dict[tuple[str, bytes], Executor] = {}

    def open(self, name: str, settings: Mapping[str, Any]) -> Executor:
        """Return the executor. Raises UnusableExecutor when there is none of this name or it refuses the settings."""
        try:
            key = name, canonical_json(settings)
        except (TypeError, ValueError):
            raise UnusableExecutor("the settings are not JSON") from None
        executor = self._open.get(key)
        if executor is None:
            if len(self._open) >= EXECUTORS_OPEN_MAX:
                self._open.clear()
            executor = self._open[key] = factory(name)(
                settings,
                timeout_s=self._settings.executor_timeout_s,
                call_s_max=self._settings.call_s_max,
                allow_private=self._settings.executor_allow_private,
            )
        return executor


def factory(name: str) -> ExecutorFactory:
    """Return what opens executors of this name; a built-in name cannot be taken over. Raises UnusableExecutor."""
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    for entry_point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        try:
            loaded: ExecutorFactory = entry_point.load()
        except (ImportError, AttributeError):
            raise UnusableExecutor(f"the package that declares executor {name} cannot be imported") from None
        return loaded
    raise UnusableExecutor(f"no executor {name}")
