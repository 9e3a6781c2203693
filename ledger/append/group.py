"""Decide a group of commands in memory, in order, each with its own outcome.

Pure but for what it is given: the loaded state, the stored outcomes and the time. What comes out is everything that
one commit must hold: events, erasable details, outcomes, and the state that changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, get_args

from ledger import codec
from ledger.accounts import Account
from ledger.append.entry import Entry, Unit
from ledger.commands import CancelOrder, Command, OrderCommand, PlaceOrder, ReverseTransaction
from ledger.decide import Decision, State, apply, decide
from ledger.errors import BatchRefused, IdempotencyKeyReused, LedgerError, Refused
from ledger.events import AccountEvent, Event, Recorded
from ledger.leaf import leaf_bytes, leaf_hash
from ledger.postings import encode_postings
from ledger.submission import Balance, Outcome

ACCOUNT_EVENTS = get_args(AccountEvent)
PLAN_GROWTH = 250
"""How many outcomes are worth statements of their own while the next commands are decided."""


class Stored(NamedTuple):
    """An outcome as it is kept: the event's position, or the refusal's JSON, or neither when it was already so.

    `details`: its event's erasable text, None when it was erased; `has_details`: whether it ever had one.
    """

    digest: bytes
    fingerprint: bytes
    position: int | None
    refusal: bytes | None
    has_details: bool
    details: bytes | None


class Requested(NamedTuple):
    """A cancellation that waits for its executor: its key is no other command's, though it has no outcome yet."""

    digest: bytes
    order_id: str
    details: bytes | None


class NewOutcome(NamedTuple):
    """An outcome to store."""

    entry: Entry
    position: int | None
    refusal: bytes | None


@dataclass(slots=True)
class Loaded:
    """What the group's decisions start from, read under the head's lock."""

    position: int
    recorded_at_us: int
    state: State
    outcomes: dict[bytes, Stored]
    requests: dict[bytes, Requested] = field(default_factory=dict)


@dataclass(slots=True)
class Plan:
    """What the commit must hold, and the answers once it has succeeded (a Stored still wants its event read).

    `…_written`: how many of them the database has already. `accounts`: those whose money may have moved;
    `accounts_reshaped`: those that are new or changed otherwise.
    """

    position: int
    recorded_at_us: int
    state: State
    events: list[Recorded] = field(default_factory=list)
    events_written: int = 0
    outcomes_written: int = 0
    details: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    outcomes: list[NewOutcome] = field(default_factory=list)
    accounts: set[str] = field(default_factory=set)
    accounts_reshaped: set[str] = field(default_factory=set)
    orders_new: set[str] = field(default_factory=set)
    orders_changed: set[str] = field(default_factory=set)
    reversals: list[tuple[int, int]] = field(default_factory=list)
    answers: list[list[Outcome | Stored]] = field(default_factory=list)


def decide_group(
    units: Sequence[Unit],
    loaded: Loaded,
    now_us: int,
    grown: Callable[[Plan], None] | None = None,
) -> Plan:
    """Decide every unit in order. `loaded.state` becomes the state after the group.

    `grown` is called when PLAN_GROWTH more outcomes can be written while the next commands are decided.
    """
    plan = Plan(position=loaded.position, recorded_at_us=max(now_us, loaded.recorded_at_us), state=loaded.state)
    known: dict[bytes, Stored | NewOutcome] = dict(loaded.outcomes)
    fresh: dict[bytes, Outcome] = {}
    for unit in units:
        answers: list[Outcome | Stored] = []
        plan.answers.append(answers)
        if unit.atomic and (refused := _decide_atomic(unit.entries, plan, loaded.requests, known, fresh)) is not None:
            answers += refused
            continue
        for entry in unit.entries:
            answers.append(_decide_one(entry, plan, loaded.requests, known, fresh))
            if grown is not None and len(plan.outcomes) - plan.outcomes_written >= PLAN_GROWTH:
                grown(plan)
    return plan


def _decide_atomic(
    entries: Sequence[Entry],
    plan: Plan,
    requests: Mapping[bytes, Requested],
    known: dict[bytes, Stored | NewOutcome],
    fresh: dict[bytes, Outcome],
) -> list[Outcome | Stored] | None:
    """Return the answers when one of the entries is refused, for then all are; None when they may be decided."""
    refusals: dict[int, LedgerError] = {}
    seen: dict[bytes, Entry] = {}
    trial = plan.state.copy()
    for index, entry in enumerate(entries):
        earlier = seen.setdefault(entry.digest, entry)
        if earlier is not entry:
            if not _asks_the_same(entry, earlier):
                refusals[index] = IdempotencyKeyReused()
            continue
        repeat = known.get(entry.digest)
        if repeat is not None:
            if not _is_repeat(entry, repeat):
                refusals[index] = IdempotencyKeyReused()
            elif repeat.refusal is not None:
                refusals[index] = BatchRefused(index=index)
            continue
        if _is_taken(entry, requests):
            refusals[index] = IdempotencyKeyReused()
            continue
        try:
            apply(trial, decide(trial, entry.submission.command), position=plan.position)
        except Refused as refusal:
            refusals[index] = refusal
    if not refusals:
        return None
    first = min(refusals)
    answers: list[Outcome | Stored] = []
    for index, entry in enumerate(entries):
        if entry.digest in known:
            answers.append(_repeat(entry, plan, known, fresh))
            continue
        if _is_taken(entry, requests):
            answers.append(Outcome(position=plan.position, error=IdempotencyKeyReused()))
            continue
        error = refusals.get(index)
        answers.append(
            _refuse(entry, error if isinstance(error, Refused) else BatchRefused(index=first), plan, known, fresh)
        )
    return answers


def _decide_one(
    entry: Entry,
    plan: Plan,
    requests: Mapping[bytes, Requested],
    known: dict[bytes, Stored | NewOutcome],
    fresh: dict[bytes, Outcome],
) -> Outcome | Stored:
    if entry.digest in known:
        return _repeat(entry, plan, known, fresh)
    if _is_taken(entry, requests):
        return Outcome(position=plan.position, error=IdempotencyKeyReused())
    try:
        decision = decide(plan.state, entry.submission.command)
    except Refused as refusal:
        return _refuse(entry, refusal, plan, known, fresh)
    if decision.event is None:
        outcome = Outcome(
            position=plan.position,
            balance=_balance(plan.state.accounts[decision.account_id]),
            details=entry.submission.details,
        )
        _remember(entry, outcome, NewOutcome(entry, None, None), plan, known, fresh)
        return outcome
    outcome = _record(entry, decision, decision.event, plan)
    _remember(entry, outcome, NewOutcome(entry, outcome.position, None), plan, known, fresh)
    return outcome


def _is_taken(entry: Entry, requests: Mapping[bytes, Requested]) -> bool:
    """Say whether another cancellation than this one waits under the entry's key."""
    waiting = requests.get(entry.digest)
    if waiting is None:
        return False
    command = entry.submission.command
    if not isinstance(command, CancelOrder):
        return True
    return (command.order_id, entry.details) != (waiting.order_id, waiting.details)


def _repeat(
    entry: Entry, plan: Plan, known: Mapping[bytes, Stored | NewOutcome], fresh: Mapping[bytes, Outcome]
) -> Outcome | Stored:
    earlier = known[entry.digest]
    if not _is_repeat(entry, earlier):
        return Outcome(position=plan.position, error=IdempotencyKeyReused())
    if isinstance(earlier, Stored):
        return earlier
    return fresh[entry.digest]._replace(replayed=True)


def _refuse(
    entry: Entry, refusal: Refused, plan: Plan, known: dict[bytes, Stored | NewOutcome], fresh: dict[bytes, Outcome]
) -> Outcome:
    stored = codec.canonical_json({"code": refusal.code, "fields": refusal.fields()})
    outcome = Outcome(position=plan.position, error=refusal)
    _remember(entry, outcome, NewOutcome(entry, None, stored), plan, known, fresh)
    return outcome


def _remember(
    entry: Entry,
    outcome: Outcome,
    stored: NewOutcome,
    plan: Plan,
    known: dict[bytes, Stored | NewOutcome],
    fresh: dict[bytes, Outcome],
) -> None:
    plan.outcomes.append(stored)
    known[entry.digest] = stored
    fresh[entry.digest] = outcome


def _is_repeat(entry: Entry, earlier: Stored | NewOutcome) -> bool:
    if isinstance(earlier, NewOutcome):
        return _asks_the_same(entry, earlier.entry)
    if earlier.fingerprint != entry.fingerprint:
        return earlier.fingerprint == entry.submission.fingerprint_with_details()
    if earlier.position is None:
        # Of what led to no event no free text is kept.
        return True
    if not earlier.has_details or entry.details is None:
        return not earlier.has_details and entry.details is None
    return earlier.details is None or earlier.details == entry.details


def _asks_the_same(entry: Entry, other: Entry) -> bool:
    return (entry.fingerprint, entry.details) == (other.fingerprint, other.details)


def _record(entry: Entry, decision: Decision, event: Event, plan: Plan) -> Outcome:
    submission, state, account_id = entry.submission, plan.state, decision.account_id
    position = plan.position + 1
    apply(state, decision, position=position)
    account = state.accounts[account_id]
    # In the order of Recorded's fields, which is that of a leaf's.
    envelope = (
        position,
        entry.event_id,
        account_id,
        account.version,
        event.TYPE,
        event.SCHEMA_VERSION,
        decision.order_id,
        submission.actor,
        entry.key,
        submission.correlation_id,
        submission.causation_id,
        plan.recorded_at_us,
        account.available_minor,
        account.held_minor,
        entry.details_hash,
        codec.encode(event),
        encode_postings(event, account_id, account.currency),
    )
    recorded = Recorded(*envelope, leaf_hash(leaf_bytes(*envelope)))
    plan.position = position
    plan.events.append(recorded)
    if entry.salt is not None and entry.details is not None:
        plan.details.append((position, entry.salt, entry.details))
    _mark_changed(submission.command, decision, plan, position)
    return Outcome(
        position=position,
        event=recorded,
        order=None if decision.order_id is None else state.orders[decision.order_id],
        balance=_balance(account),
        details=submission.details,
    )


def _mark_changed(command: Command, decision: Decision, plan: Plan, position: int) -> None:
    if isinstance(decision.event, ACCOUNT_EVENTS):
        plan.accounts_reshaped.add(decision.account_id)
    else:
        plan.accounts.add(decision.account_id)
    if isinstance(command, PlaceOrder):
        plan.orders_new.add(command.order_id)
    elif isinstance(command, OrderCommand) and command.order_id not in plan.orders_new:
        plan.orders_changed.add(command.order_id)
    elif isinstance(command, ReverseTransaction):
        plan.reversals.append((command.reverses_position, position))


def _balance(account: Account) -> Balance:
    return Balance(
        available_minor=account.available_minor,
        held_minor=account.held_minor,
        currency=account.currency,
        version=account.version,
        position=account.position,
    )
