"""What folds noted of the read model, so that the next one need not read it: good for one checkpoint of one generation.

Whoever else moves the checkpoint, or takes Redis back to an earlier one, makes all of it void.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from projections.generations import Checkpoint, Generation

NOTES_MAX = 20_000
"""Notes kept; of more, the older half is forgotten."""


class Recent:
    """The notes of one process on one projection."""

    def __init__(self) -> None:
        self._of: tuple[str, Checkpoint] | None = None
        self._notes: dict[Any, Any] = {}

    def at(self, generation: Generation, checkpoint: Checkpoint) -> Mapping[Any, Any]:
        """Return what is known of the generation at this checkpoint."""
        return self._notes if self._of == (generation.generation, checkpoint) else {}

    def keep(self, generation: Generation, before: Checkpoint, noted: Mapping[Any, Any], after: Checkpoint) -> None:
        """Take over what a step noted that led from one checkpoint to the next."""
        if self._of != (generation.generation, before):
            self._notes = {}
        for key in noted:
            # What is noted again becomes the youngest.
            self._notes.pop(key, None)
        self._notes.update(noted)
        if len(self._notes) > NOTES_MAX:
            for key in list(islice(self._notes, len(self._notes) // 2)):
                del self._notes[key]
        self._of = (generation.generation, after)

    def forget(self) -> None:
        """Make everything void."""
        self._of, self._notes = None, {}
