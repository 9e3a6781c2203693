"""A log to read: recharges, deductions, orders and their ends, in the shares of an ordinary shop.

The first events go through the ledger. What is longer is made of copies of them under other customers and orders,
straight in the tables: their hashes are those of the first, which a read model does not look into.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import sqlalchemy as sa

from ledger import log
from ledger.append import Ledger
from ledger.commands import (
    CancelOrder,
    Command,
    CompleteOrder,
    Deduct,
    OpenAccount,
    PlaceOrder,
    ProductTerms,
    Recharge,
    StartOrder,
)
from ledger.database import open_engine
from ledger.ids import new_id
from ledger.migrate import upgrade
from ledger.settings import LedgerSettings
from ledger.submission import Submission

EVENTS_PER_ACCOUNT = 50
GENUINE_MAX = 50_000
"""Events that go through the ledger; more are copies."""
BATCH = 1_000
BIG_ACCOUNT_SHARE = 0.05
"""Of all events, how many are the first customer's."""
CURRENCY = "CNY"
ACTOR = f"key:key_{0x0193:032x}"
PRODUCTS = tuple(f"product-{number}" for number in range(1, 21))
ORDERS, DEDUCTIONS, RECHARGES = 200, 250, 150
"""Of a batch; an order's start and end come in the next two batches."""
_RECHARGE_MINOR = 1_000_000_000


def account_id(number: int) -> str:
    """Return the id of a numbered account; the digits in front are those of its copy."""
    return f"cus_00000000{number:024x}"


def order_id(number: int) -> str:
    """Return the id of a numbered order, scattered as a real one."""
    return f"ord_00000000{random.Random(number).getrandbits(96):024x}"


def make_log(url: str, events: int, progress: Callable[[int], None] = lambda _: None) -> None:
    """Make exactly so many events in an empty database, or as many again; `progress` hears how many there are."""
    upgrade(url)
    settings = LedgerSettings(database_url=url)
    engine = open_engine(url, settings)
    ledger = Ledger(engine, settings)
    genuine = min(events, GENUINE_MAX)
    shop = _Shop(accounts=max(2, genuine // EVENTS_PER_ACCOUNT))
    done = 0
    while done < genuine:
        commands = shop.commands()[: genuine - done]
        for start in range(0, len(commands), BATCH):
            outcomes = ledger.append_batch(shop.submissions(commands[start : start + BATCH]), atomic=False)
            refused = next((each.error for each in outcomes if each.error is not None), None)
            assert refused is None, refused
        done += len(commands)
        progress(done)
    ledger.close()
    for copy in range(1, events // genuine):
        _copy(engine, copy, genuine)
        progress(genuine * (copy + 1))
    engine.dispose()


class _Shop:
    """Commands in turn, none of which is refused."""

    def __init__(self, *, accounts: int) -> None:
        self._chance = random.Random(1)
        self._accounts = accounts
        self._opened = False
        self._placed: list[int] = []
        self._started: list[int] = []
        self._orders = 0
        self._sent = 0

    def commands(self) -> list[Command]:
        """Return the next commands, about a batch."""
        if not self._opened:
            self._opened = True
            numbers = range(1, self._accounts + 1)
            opened = [OpenAccount(account_id=account_id(each), currency=CURRENCY) for each in numbers]
            return [*opened, *(self._recharge(each, _RECHARGE_MINOR) for each in numbers)]
        ended = [self._end(each) for each in self._started]
        started = [StartOrder(order_id=order_id(each), attempt=1, executor="simulated") for each in self._placed]
        self._started, self._placed = self._placed, list(range(self._orders + 1, self._orders + ORDERS + 1))
        self._orders += ORDERS
        fresh: list[Command] = [self._place(each) for each in self._placed]
        fresh += [self._deduct(self._account()) for _ in range(DEDUCTIONS)]
        fresh += [self._recharge(self._account(), self._amount()) for _ in range(RECHARGES)]
        found = [*ended, *started, *fresh]
        self._chance.shuffle(found)
        return found

    def submissions(self, commands: list[Command]) -> list[Submission]:
        """Return the commands as clients send them."""
        found = []
        for each in commands:
            self._sent += 1
            key = f"key-{self._sent:032x}"
            found.append(Submission(command=each, actor=ACTOR, idempotency_key=key, correlation_id=new_id("req")))
        return found

    def _account(self) -> int:
        return 1 if self._chance.random() < BIG_ACCOUNT_SHARE else self._chance.randint(1, self._accounts)

    def _amount(self) -> int:
        return self._chance.randint(1, 5_000)

    def _reference(self) -> str:
        return f"INV-2026-{self._chance.randint(0, 9_999_999):07}"

    def _recharge(self, account: int, amount_minor: int) -> Recharge:
        return Recharge(account_id=account_id(account), amount_minor=amount_minor, currency=CURRENCY)

    def _deduct(self, account: int) -> Deduct:
        return Deduct(
            account_id=account_id(account),
            amount_minor=self._amount(),
            currency=CURRENCY,
            reference=self._reference(),
        )

    def _place(self, number: int) -> PlaceOrder:
        product = self._chance.choice(PRODUCTS)
        terms = ProductTerms(
            sku=product, unit_price="0.10", tiers=(), quantity_min=1, quantity_max=1_000, currency=CURRENCY
        )
        return PlaceOrder(
            account_id=account_id(self._account()),
            product=product,
            quantity=self._chance.randint(1, 1_000),
            order_id=order_id(number),
            reference=self._reference(),
            terms=terms,
        )

    def _end(self, number: int) -> Command:
        if number % 10 == 0:
            return CancelOrder(order_id=order_id(number), confirmed_attempt=1, delivered=0)
        return CompleteOrder(order_id=order_id(number), attempt=1, delivered=1)


def _copy(engine: sa.Engine, copy: int, events: int) -> None:
    """Append the first events again, under other ids; the accounts and orders of the write side are not copied."""
    digits = f"{copy:08x}"
    with engine.connect() as connection:
        first, last = (log.event_at(connection, position) for position in (1, events))
    assert first is not None and last is not None
    span_us = last.recorded_at_us - first.recorded_at_us + 1
    values = {
        "position": f"position + {copy * events}",
        "event_id": f"CONCAT(X'{digits}', SUBSTR(event_id, 5))",
        "account_id": f"CONCAT('cus_{digits}', SUBSTR(account_id, 13))",
        "order_id": f"CONCAT('ord_{digits}', SUBSTR(order_id, 13))",
        "recorded_at_us": f"recorded_at_us + {copy} * {span_us}",
        "postings": f"REPLACE(postings, 'customer:cus_00000000', 'customer:cus_{digits}')",
    }
    with engine.begin() as connection:
        names = [row[0] for row in connection.exec_driver_sql("SHOW COLUMNS FROM events")]
        columns = ", ".join(names)
        chosen = ", ".join(values.get(name, name) for name in names)
        connection.exec_driver_sql(
            f"INSERT INTO events ({columns}) SELECT {chosen} FROM events WHERE position <= {events}"
        )
        connection.exec_driver_sql(f"UPDATE log_head SET position = {events * (copy + 1)}")
