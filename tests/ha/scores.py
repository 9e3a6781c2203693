"""What became of each scenario: acknowledged, lost, doubled, and how long until answers came again."""

from __future__ import annotations

from dataclasses import dataclass, field

RECOVERY_S_MAX = 30.0
"""R of the invariants: within it after a fault, commands are answered again."""


@dataclass(frozen=True, slots=True)
class Score:
    """One scenario's line; a recovery of None means that there was nothing to recover from."""

    scenario: str
    acknowledged: int
    lost: int
    doubled: int
    recovery_s: float | None
    note: str


@dataclass(slots=True)
class Scores:
    """The lines of a run."""

    _scores: list[Score] = field(default_factory=list)

    def add(
        self,
        scenario: str,
        *,
        acknowledged: int,
        lost: int,
        doubled: int,
        recovery_s: float | None = None,
        note: str = "",
    ) -> None:
        """Keep a scenario's figures to be printed; asserting them is the test's own business."""
        self._scores.append(Score(scenario, acknowledged, lost, doubled, recovery_s, note))

    def lines(self) -> list[str]:
        """Return the table, a line each, nothing when no scenario ran."""
        if not self._scores:
            return []
        width = max(len(each.scenario) for each in self._scores)
        return [
            f"{'scenario':<{width}}  acknowledged  lost  doubled  recovery",
            *(
                f"{each.scenario:<{width}}  {each.acknowledged:>12}  {each.lost:>4}  {each.doubled:>7}  "
                f"{'-' if each.recovery_s is None else f'{each.recovery_s:.1f} s':>8}"
                f"{f'  {each.note}' if each.note else ''}"
                for each in self._scores
            ),
        ]
