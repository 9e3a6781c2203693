"""The rule by which every process chooses the node it writes to; pure.

All choose the first fit node of the same list, so that they meet at one without speaking to each other. A node is left
as soon as it says that it is unfit, or did not answer several times in a row. To a better node, such as one that came
back, they go when it was fit several times in a row: an unsteady one would be entered and left for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.nodes.looking import Fitness, Look

MISSES_MAX = 2
"""Looks in a row without an answer after which a node counts as gone."""
STEADY_LOOKS = 5
"""Looks in a row at which a node was fit before one goes back to it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the last looks at a node came to. `look` is None before the first answer."""

    look: Look | None = None
    misses: int = 0
    steady: int = 0

    @property
    def fitness(self) -> Fitness:
        """How fit it is, as far as one knows."""
        return Fitness.UNFIT if self.look is None or self.misses >= MISSES_MAX else self.look.fitness

    def after(self, look: Look | None) -> Standing:
        """Return the standing after one more look; None: no answer in time."""
        if look is None:
            return Standing(self.look, self.misses + 1, 0)
        return Standing(look, 0, self.steady + 1 if look.fitness is Fitness.FIT else 0)


def choose(standings: Sequence[Standing], current: int | None) -> int | None:
    """Return the index of the node to write to, None when there is none.

    None also when several take writes that no engine keeps in step: two primaries would each go on with a log of its
    own, and which of them is right only a person can say.
    """
    candidates = [index for index, each in enumerate(standings) if each.fitness is not Fitness.UNFIT]
    if len(groups_of(standings)) != 1:
        return None
    fittest = max(standings[index].fitness for index in candidates)
    best = next(index for index in candidates if standings[index].fitness is fittest)
    if current in candidates and standings[current].fitness is fittest and standings[best].steady < STEADY_LOOKS:
        return current
    return best


def groups_of(standings: Sequence[Standing]) -> set[str]:
    """Return the groups of the nodes that take writes: more than one is a split that the engines did not prevent."""
    return {each.look.group for each in standings if each.look is not None and each.fitness is not Fitness.UNFIT}
