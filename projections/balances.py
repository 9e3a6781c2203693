"""The balances read model: each account's money, currency and status right after its last event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import redis

from ledger import codec
from ledger.accounts import OPEN, SUSPENDED
from ledger.errors import CorruptLog, ReadUnavailable
from ledger.events import EVENT_CLASSES, AccountOpened, AccountReactivated, AccountSuspended
from ledger.log import Excerpt
from projections import generations, keys
from projections.generations import CHECKPOINT_FIELDS, checkpoint_of
from projections.redis_clients import reading
from projections.steps import Reader, Step, Unappliable

NAME = "balances"
ACCOUNTS_MAX = 1_000
"""Accounts read in one go at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBalance:
    """An account's money right after its event at `position`."""

    account_id: str
    available_minor: int
    held_minor: int
    currency: str
    status: str
    version: int
    position: int

    @property
    def total_minor(self) -> int:
        """Available and held together."""
        return self.available_minor + self.held_minor


def fold(events: Sequence[Excerpt], reader: Reader) -> Step:
    """Return what the events change: each account's last event has its balance. Raises Unappliable."""
    known = _known(events, reader)
    last: dict[str, Excerpt] = {}
    for each in events:
        if each.type == AccountOpened.TYPE:
            known[each.account_id] = (_currency(each), OPEN)
        elif each.account_id not in known or each.type not in EVENT_CLASSES:
            raise Unappliable(each.position, "unknown account or type of event")
        elif each.type == AccountSuspended.TYPE:
            known[each.account_id] = (known[each.account_id][0], SUSPENDED)
        elif each.type == AccountReactivated.TYPE:
            known[each.account_id] = (known[each.account_id][0], OPEN)
        last[each.account_id] = each
    step = Step()
    for account_id, each in last.items():
        currency, status = known[account_id]
        values = f"{each.available_minor},{each.held_minor},{each.version},{each.position},{currency},{status}"
        step.put(keys.ACCOUNTS, account_id, values)
        step.noted[account_id] = currency, status
    return step


def _known(events: Sequence[Excerpt], reader: Reader) -> dict[str, tuple[str, str]]:
    """Return currency and status of the events' accounts, as far as they were open before."""
    accounts = dict.fromkeys(each.account_id for each in events)
    known = {account_id: reader.recent[account_id] for account_id in accounts if account_id in reader.recent}
    others = [account_id for account_id in accounts if account_id not in known]
    stored = reader.fields([(keys.ACCOUNTS, account_id) for account_id in others])
    for account_id, text in zip(others, stored, strict=True):
        if text is not None:
            currency, status = text.split(",")[4:]
            known[account_id] = currency, status
    return known


def _currency(event: Excerpt) -> str:
    try:
        return str(codec.content(event.type, event.schema_version, event.data)["currency"])
    except CorruptLog:
        raise Unappliable(event.position, "its data cannot be read") from None


def read_balances(client: redis.Redis, account_ids: Sequence[str]) -> tuple[int, Mapping[str, AccountBalance]]:
    """Return the position reflected, and the balances of those accounts that are open by then.

    Raises ReadUnavailable when the read model is not there (yet) or cannot be reached.
    """
    if len(account_ids) > ACCOUNTS_MAX:
        raise ValueError(f"at most {ACCOUNTS_MAX} accounts at a time")
    with reading():
        live = generations.live(client, NAME)
        if live is None:
            raise ReadUnavailable(reason="the read model is being built")
        pipeline = client.pipeline(transaction=True)
        pipeline.hmget(keys.checkpoint(NAME, live.generation), CHECKPOINT_FIELDS)
        if account_ids:
            pipeline.hmget(live.prefix + keys.ACCOUNTS, list(account_ids))
        answers = pipeline.execute()
    checkpoint = checkpoint_of(cast("list[bytes | None]", answers[0]))
    if checkpoint is None or checkpoint.is_building:
        raise ReadUnavailable(reason="the read model is being built")
    found = {}
    for account_id, text in zip(account_ids, answers[1] if account_ids else [], strict=True):
        if text is not None:
            found[account_id] = _balance(account_id, text.decode())
    return checkpoint.position, found


def _balance(account_id: str, text: str) -> AccountBalance:
    available, held, version, position, currency, status = text.split(",")
    return AccountBalance(
        account_id=account_id,
        available_minor=int(available),
        held_minor=int(held),
        currency=currency,
        status=status,
        version=int(version),
        position=int(position),
    )
