"""The ledger's own append path with its promises switched off, to see what they cost; only in this process, never in
the product.

Off are:
- the leaf hash: no bytes are put together, nothing is hashed, 32 zero bytes are stored in its place;
- the outcome: no fingerprint of the command is made, none is looked up before deciding, none is stored, so that a repeat
  would be posted again;
- positions without gaps over all processes: the head is neither locked nor read nor written, positions are counted in
  memory, so that a second process would be handed the same ones.

On stay the decision, the account's balance and version, balanced postings, the event with its indexes, and the number
of round trips. A reading statement is sent where the head's is, because a group's reading begins with one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from bench.ledger_way import LedgerWay
from bench.ways import AMOUNT_MINOR
from ledger.append import group, loading, statements
from ledger.append.entry import Entry
from ledger.append.group import Loaded, Plan
from ledger.submission import Submission

NO_HASH = bytes(32)


class BareLedger(LedgerWay):
    """A Ledger over functions that leave the promises out; one process only."""

    def __init__(self, url: str, *, accounts: int, callers: int) -> None:
        self._position = 0
        self._patch()
        super().__init__(url, accounts=accounts, callers=callers)

    def check(self) -> int:
        """Compare what is left, balances and versions, with the events; see that the promises were off."""
        with self._engine.connect() as connection:
            events, first, last = connection.execute(
                sa.text("SELECT COUNT(*), MIN(position), MAX(position) FROM events")
            ).one()
            taken_minor, versions = connection.execute(
                sa.text("SELECT -SUM(available_minor), SUM(version) FROM accounts")
            ).one()
            outcomes, hashes, head = connection.execute(
                sa.text(
                    "SELECT (SELECT COUNT(*) FROM outcomes), (SELECT COUNT(DISTINCT leaf_hash) FROM events),"
                    " (SELECT position FROM log_head)"
                )
            ).one()
        assert (outcomes, hashes, head) == (0, 1, 0), "a promise was kept"
        posts = int(events) - self._accounts
        assert (first, last, int(versions)) == (1, events, events) and int(taken_minor) == posts * AMOUNT_MINOR
        return posts

    def _patch(self) -> None:
        reading, loaded = loading.reading, loading.loaded
        growing, writing = statements.growing, statements.writing

        def read_without_outcomes(entries: Iterable[Entry], *, mysql: bool) -> dict[str, str]:
            found = reading(entries, mysql=mysql)
            del found["outcomes"]
            return found

        def loaded_at_own_position(head: Any, results: Mapping[str, Any]) -> Loaded:
            found = loaded([("0,0",)], {**results, "outcomes": ()})
            return dataclasses.replace(found, position=self._position)

        def grow_without_outcomes(plan: Plan) -> list[str]:
            plan.outcomes_written = len(plan.outcomes)
            return growing(plan)

        def write_without_head(plan: Plan, *, mysql: bool) -> list[str]:
            written = writing(plan, mysql=mysql)
            self._position = plan.position
            return [each for each in written if not each.startswith("UPDATE log_head ")]

        patches: list[tuple[Any, str, Any]] = [
            (loading, "reading", read_without_outcomes),
            (loading, "loaded", loaded_at_own_position),
            (loading, "locking", lambda **_: "SELECT 0"),
            (statements, "growing", grow_without_outcomes),
            (statements, "writing", write_without_head),
            (group, "leaf_bytes", lambda *_: b""),
            (group, "leaf_hash", lambda _: NO_HASH),
            (Submission, "fingerprint", lambda _: b""),
        ]
        for owner, name, function in patches:
            # A name that is no longer there would leave a promise on in silence.
            assert callable(getattr(owner, name)), name
            setattr(owner, name, function)
