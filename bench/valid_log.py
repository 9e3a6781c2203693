"""A long log, made as fast as the tables take it: decided by the ledger's own rules, inserted in bulk.

A mix as a shop has it: recharges, deductions, and orders of which most complete, some in part, some fail, some are
cancelled before they start. Events and outcomes go in group by group; an order's row is written once, when the order
ends or the log does; so are the accounts' rows. What is then in the database is what the ledger would have left.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from bench.ledger_way import ACTOR, CURRENCY, account_id
from ledger.append.entry import Entry, Unit, prepare
from ledger.append.group import Loaded, Plan, decide_group
from ledger.append.statements import writing
from ledger.clock import now_us
from ledger.commands import (
    CancelOrder,
    Command,
    CompleteOrder,
    Deduct,
    FailOrder,
    OpenAccount,
    PlaceOrder,
    ProductTerms,
    Recharge,
    StartOrder,
)
from ledger.database import open_append_connection
from ledger.decide import State
from ledger.ids import new_id
from ledger.migrate import upgrade
from ledger.orders import TERMINAL
from ledger.settings import LedgerSettings
from ledger.submission import Submission

GROUP = 1_000
EVENTS_PER_ACCOUNT = 100
GROUPS_UNDER_WAY_MAX = 2
"""How far deciding may be ahead of inserting."""
TERMS = ProductTerms(sku="sms", unit_price="0.10", tiers=(), quantity_min=1, quantity_max=1_000_000, currency=CURRENCY)
_STEP_US = 3_000


def fill(url: str, events: int, progress: Callable[[int], None] = lambda done: None) -> None:
    """Migrate an empty MariaDB and give it a log of so many events, the accounts' rows and all else in step."""
    upgrade(url)
    connection = open_append_connection(url, LedgerSettings(database_url=url))
    with ThreadPoolExecutor(max_workers=1) as inserting:
        under_way: deque[Future[None]] = deque()

        def insert(statements: list[str]) -> None:
            for statement in ["BEGIN", *statements, "COMMIT"]:
                connection.cursor().execute(statement)

        # Nobody recovers or replicates this database.
        connection.cursor().execute("SET sql_log_bin=0")
        for position, statements in _groups(events):
            under_way.append(inserting.submit(insert, statements))
            if len(under_way) > GROUPS_UNDER_WAY_MAX:
                under_way.popleft().result()
            progress(position)
        for each in under_way:
            each.result()
    connection.close()


def _groups(events: int) -> Iterator[tuple[int, list[str]]]:
    accounts = max(1, events // EVENTS_PER_ACCOUNT)
    commands = _commands(accounts, random.Random(events))
    state, position, time_us = State(), 0, now_us() - events * _STEP_US
    while position < events:
        size = min(GROUP, events - position)
        entries = [_entry(next(commands)) for _ in range(size)]
        plan = decide_group([Unit(entries, atomic=False)], Loaded(position, time_us, state, {}), time_us)
        position, time_us = plan.position, time_us + size * _STEP_US
        _keep_rows_for_later(plan, is_last=position >= events)
        yield position, writing(plan, mysql=True)
        for order_id in plan.orders_new:
            del state.orders[order_id]


def _keep_rows_for_later(plan: Plan, *, is_last: bool) -> None:
    touched = plan.orders_new | plan.orders_changed
    plan.orders_changed = set()
    if is_last:
        plan.accounts, plan.orders_new = set(plan.state.accounts), set(plan.state.orders)
    else:
        plan.accounts = set()
        plan.orders_new = {each for each in touched if plan.state.orders[each].status in TERMINAL}


def _entry(command: Command) -> Entry:
    return prepare(Submission(command=command, actor=ACTOR, idempotency_key=new_id("k"), correlation_id=new_id("req")))


def _commands(accounts: int, chance: random.Random) -> Iterator[Command]:
    """Yield commands that are all accepted: every account opens with credit, then whatever a shop's day brings."""
    for number in range(1, accounts + 1):
        yield OpenAccount(account_id=account_id(number), currency=CURRENCY, credit_limit_minor=10**12)
    placed: deque[tuple[str, int]] = deque()
    started: deque[tuple[str, int]] = deque()
    while True:
        number, dice = chance.randint(1, accounts), chance.random()
        if dice < 0.10:
            yield Recharge(
                account_id=account_id(number),
                amount_minor=chance.randint(1_000, 100_000),
                currency=CURRENCY,
                reference=f"transfer {chance.randint(1, 10**9)}",
            )
        elif dice < 0.20:
            yield Deduct(account_id=account_id(number), amount_minor=chance.randint(1, 1_000), currency=CURRENCY)
        elif dice < 0.50:
            order_id, quantity = new_id("ord"), chance.randint(1, 1_000)
            yield PlaceOrder(
                account_id=account_id(number),
                product=TERMS.sku,
                quantity=quantity,
                order_id=order_id,
                terms=TERMS,
                reference=f"PO-{chance.randint(1, 10**6)}",
            )
            placed.append((order_id, quantity))
        elif dice < 0.75 and placed:
            order_id, quantity = placed.popleft()
            if dice < 0.52:
                yield CancelOrder(order_id=order_id)
                continue
            yield StartOrder(order_id=order_id, attempt=1, executor="simulated")
            started.append((order_id, quantity))
        elif started:
            order_id, quantity = started.popleft()
            if dice < 0.78:
                yield FailOrder(order_id=order_id, attempt=1, code="executor-refused")
            else:
                delivered = quantity if dice < 0.97 else quantity // 2
                yield CompleteOrder(order_id=order_id, attempt=1, delivered=delivered)
