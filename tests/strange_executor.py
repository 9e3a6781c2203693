"""An executor of another package for tests: whatever it is asked, it says, or raises, what `SAYS` has under the name in its
settings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SAYS: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class StrangeExecutor:
    """Says one thing."""

    says: Any
    timeout_s: float = 1.0

    def execute(self, order: object, timeout_s: float) -> Any:
        return self._said()

    def enquire(self, order: object, timeout_s: float) -> Any:
        return self._said()

    def cancel(self, order: object, timeout_s: float) -> Any:
        return self._said()

    def _said(self) -> Any:
        if isinstance(self.says, BaseException):
            raise self.says
        return self.says


def open_strange(settings: Mapping[str, str], **limits: object) -> StrangeExecutor:
    """Open it. Raises KeyError when nothing is said under the name."""
    return StrangeExecutor(SAYS[settings["says"]])


def open_cancelled(settings: Mapping[str, str], **limits: object) -> StrangeExecutor:
    """Raise what asyncio raises in what it cancels."""
    raise asyncio.CancelledError
