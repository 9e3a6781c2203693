"""Keep customers' accounts in step with their rows.

A row is what is wanted of the account: its level's percentage, credit limit and status. A change marks the row out
of step, the account is brought there by commands to the ledger, and the row is marked in step again with what the
account then is. So a crash anywhere leaves a row that `reconcile` finishes, and what the ledger refuses goes back
to what the account has. The mark alone cannot be trusted for ever, as commands may take effect late and their sender
may die right then: `check_in_step` compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session, joinedload

from ledger.accounts import OPEN, SUSPENDED, Account
from ledger.append import Ledger
from ledger.commands import ChangeLevel, Command, OpenAccount, Reactivate, SetCreditLimit, Suspend
from ledger.directory.directory import Directory
from ledger.directory.levels import discount_percent
from ledger.directory.models import Customer, Level
from ledger.errors import BatchRefused, Refused, Unavailable
from ledger.pricing import FULL_PERCENT
from ledger.submission import Outcome, Submission

ACTIVE, DEACTIVATED = "active", "deactivated"
STEP_CUSTOMERS = 500
"""How many customers are brought in step at once."""
INLINE_CUSTOMERS_MAX = 5_000
"""How many a request brings in step itself; the sweeper does the rest."""
ROUNDS_MAX = 3
"""How often customers that others change meanwhile are tried; then `reconcile` finds them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks for a change, and in which request."""

    actor: str
    correlation_id: str


SYSTEM = Asker(actor="system:directory", correlation_id="reconcile")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Stepped:
    """What one step came to: refusals by customer, and customers whose rows changed meanwhile."""

    refused: dict[str, Refused]
    overtaken: list[str]


def reconcile(
    directory: Directory,
    ledger: Ledger,
    asker: Asker = SYSTEM,
    *,
    customers_max: int | None = None,
    level_id: str | None = None,
) -> int:
    """Bring in step every customer, or every one of a level, that is not, in bounded steps; return how many there were."""
    wanted = [Customer.in_step == 0] if level_id is None else [Customer.in_step == 0, Customer.level_id == level_id]
    done = 0
    after = ""
    while customers_max is None or done < customers_max:
        with directory.reading() as session:
            waiting = sa.select(Customer.id).where(*wanted, Customer.id > after).order_by(Customer.id)
            ids = list(session.scalars(waiting.limit(STEP_CUSTOMERS)))
        if not ids:
            break
        bring_in_step(directory, ledger, ids, asker)
        done += len(ids)
        after = ids[-1]
    return done


def check_in_step(directory: Directory, ledger: Ledger, after: str = "") -> str:
    """Hold the customers behind an id that are marked in step against their accounts, in one step, and bring those in step
    that differ; return the id behind which to go on, an empty one after the last.

    Source: docs/adr/0030.
    """
    with directory.reading() as session:
        behind = sa.select(Customer).options(joinedload(Customer.level)).where(Customer.id > after)
        rows = list(session.scalars(behind.order_by(Customer.id).limit(STEP_CUSTOMERS)))
    accounts = ledger.accounts([row.id for row in rows])
    differing = [row.id for row in rows if row.in_step and _commands(row, accounts.get(row.id), SYSTEM)]
    for customer_id in differing:
        _log.warning("account-differs-from-row", customer_id=customer_id)
    for customer_id, refused in bring_in_step(directory, ledger, differing, SYSTEM).items():
        _log.warning("account-change-refused", customer_id=customer_id, code=refused.code)
    return rows[-1].id if len(rows) == STEP_CUSTOMERS else ""


def bring_in_step(
    directory: Directory, ledger: Ledger, customer_ids: Sequence[str], asker: Asker, *, atomic: bool = False
) -> dict[str, Refused]:
    """Send the commands that take the accounts to where their customers' rows want them; return what was refused.

    `atomic`: one customer's change, which takes effect whole or not at all. Otherwise what is refused takes nothing along: a
    suspension holds, whatever else is wanted of that account or of others.
    """
    refused: dict[str, Refused] = {}
    for start in range(0, len(customer_ids), STEP_CUSTOMERS):
        ids = customer_ids[start : start + STEP_CUSTOMERS]
        for _ in range(ROUNDS_MAX):
            stepped = _step(directory, ledger, ids, asker, atomic=atomic)
            refused |= stepped.refused
            ids = stepped.overtaken
            if not ids:
                break
    return refused


def _step(directory: Directory, ledger: Ledger, customer_ids: Sequence[str], asker: Asker, *, atomic: bool) -> _Stepped:
    with directory.reading() as session:
        query = sa.select(Customer).options(joinedload(Customer.level)).where(Customer.id.in_(customer_ids))
        rows = list(session.scalars(query))
    accounts = ledger.accounts([row.id for row in rows])
    wanted = [(row.id, submission) for row in rows for submission in _commands(row, accounts.get(row.id), asker)]
    outcomes = ledger.append_batch([submission for _, submission in wanted], atomic=atomic)
    stepped = _Stepped(refused={}, overtaken=[])
    undecided: set[str] = set()
    for (customer_id, _), outcome in zip(wanted, outcomes, strict=True):
        _note(customer_id, outcome, stepped.refused, undecided)
    told = {customer_id for customer_id, _ in wanted}
    settled = ledger.accounts([row.id for row in rows])
    with directory.writing() as session:
        # Locked, so that a level that is being changed sends its customers through here once more.
        wanted_levels = sorted({row.level_id for row in rows if row.level_id is not None})
        query_levels = sa.select(Level.id, Level.revision).where(Level.id.in_(wanted_levels)).order_by(Level.id)
        levels = {row[0]: row[1] for row in session.execute(query_levels.with_for_update(read=True))}
        rows = [row for row in rows if row.id in settled]
        current = [row for row in rows if row.level is None or levels.get(row.level.id) == row.level.revision]
        done = _settle(session, [row for row in current if row.id not in stepped.refused.keys() | undecided])
        reverted = [row for row in current if row.id in stepped.refused]
        done |= {row.id for row in reverted if _settle_as_it_is(session, row, settled[row.id])}
        # Whoever changed a row meanwhile may have finished before these commands took effect.
        stepped.overtaken.extend(row.id for row in rows if row.id in told and row.id not in done)
        if stepped.overtaken:
            session.execute(sa.update(Customer).where(Customer.id.in_(stepped.overtaken)).values(in_step=0))
        if undecided:
            # Under the keys of another revision.
            session.execute(
                sa.update(Customer).where(Customer.id.in_(undecided)).values(revision=Customer.revision + 1)
            )
    return stepped


def _note(customer_id: str, outcome: Outcome, refused: dict[str, Refused], undecided: set[str]) -> None:
    if isinstance(outcome.error, Unavailable):
        raise outcome.error
    if isinstance(outcome.error, Refused):
        if not isinstance(outcome.error, BatchRefused):
            refused.setdefault(customer_id, outcome.error)
    elif outcome.error is not None:
        # A key that something else was recorded under, as after restoring an older directory; or a fault of ours.
        undecided.add(customer_id)


def _commands(row: Customer, account: Account | None, asker: Asker) -> list[Submission]:
    percent = FULL_PERCENT if row.level is None else discount_percent(row.level)
    wanted: list[Command] = []
    if account is None:
        wanted.append(
            OpenAccount(
                account_id=row.id,
                currency=row.currency,
                level_id=row.level_id,
                discount_percent=percent,
                credit_limit_minor=row.credit_limit_minor,
            )
        )
        is_open = True
    else:
        if (account.level_id, account.discount_percent) != (row.level_id, percent):
            wanted.append(ChangeLevel(account_id=row.id, level_id=row.level_id, discount_percent=percent))
        if account.credit_limit_minor != row.credit_limit_minor:
            wanted.append(SetCreditLimit(account_id=row.id, credit_limit_minor=row.credit_limit_minor))
        is_open = account.status == OPEN
    if is_open != (row.status == ACTIVE):
        wanted.append(Reactivate(account_id=row.id) if row.status == ACTIVE else Suspend(account_id=row.id))
    version = 0 if account is None else account.version
    return [
        Submission(
            command=command,
            actor=asker.actor,
            idempotency_key=f"{command.KIND}:{row.id}:{version}:{row.revision}:{percent}",
            correlation_id=asker.correlation_id,
        )
        for command in wanted
    ]


def _settle(session: Session, rows: Sequence[Customer]) -> set[str]:
    """Mark the rows in step that are still as they were read; return their ids."""
    if not rows:
        return set()
    as_read = sa.tuple_(Customer.id, Customer.revision).in_([(row.id, row.revision) for row in rows])
    ids = set(session.scalars(sa.select(Customer.id).where(as_read).with_for_update()))
    session.execute(sa.update(Customer).where(Customer.id.in_(ids)).values(in_step=1))
    return ids


def _settle_as_it_is(session: Session, row: Customer, account: Account) -> bool:
    """Put back what the ledger refused, while the row is still as it was read; say whether it is."""
    status = row.status if row.status == DEACTIVATED and account.status == SUSPENDED else None
    values: dict[str, Any] = {
        "in_step": 1,
        "credit_limit_minor": account.credit_limit_minor,
        "level_id": account.level_id,
        "status": status or (ACTIVE if account.status == OPEN else SUSPENDED),
        "revision": row.revision + 1,
    }
    settling = sa.update(Customer).where(Customer.id == row.id, Customer.revision == row.revision).values(**values)
    return session.execute(settling).rowcount == 1  # type: ignore[attr-defined, no-any-return]
