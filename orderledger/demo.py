"""Demonstration data for an empty ledger: levels, customers, products, money, and orders in every status."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ledger import log
from ledger.append import Ledger
from ledger.commands import (
    CancelOrder,
    Command,
    CompleteOrder,
    Deduct,
    FailOrder,
    ParkOrder,
    PlaceOrder,
    Recharge,
    StartOrder,
)
from ledger.database import database_url, directory_url, open_engine
from ledger.directory import access, customers, levels, passwords, products, users
from ledger.directory.customers import Asker
from ledger.directory.directory import Directory
from ledger.errors import BadSetting
from ledger.ids import new_id
from ledger.reading import read
from ledger.settings import PREFIX, LedgerSettings, read_settings
from ledger.submission import Submission
from orderledger.settings import CommandSettings

ACTOR = "system:demo"
LEVELS = (("Standard · 普通", "100"), ("Silver · 银卡", "95"), ("Gold · 金卡", "90"))
CUSTOMERS = (
    ("王芳", 2, 500_000),
    ("李伟", 1, 120_000),
    ("张秀英", 0, 80_000),
    ("Acme Trading Ltd", 2, 2_500_000),
    ("Maria Schmidt", 1, 45_000),
    ("欧阳娜娜 Studio", 0, 300_000),
)
"""Name, index of the level, recharge in minor units."""
PRODUCTS = (
    ("sms-cn", "短信 · Text message", "0.0455", ((10_000, "0.0420"), (100_000, "0.0390")), {"delay_s": 1}),
    ("data-1g", "流量包 1 GB · Mobile data", "3.50", (), {"delay_s": 2, "fail_percent": 10}),
    ("print-card", "名片印刷 · Business cards", "0.28", ((1_000, "0.21"),), {"delay_s": 5, "deliver_percent": 90}),
    ("survey", "问卷样本 · Survey answers", "1.20", (), {"delay_s": 86_000}),
)
LOGINS = (
    ("admin", "admin", "Ada Admin", "+8613800000001"),
    ("operator", "operator", "Otto Operator", "+8613800000002"),
    ("auditor", "auditor", "Ines Auditor", "+8613800000003"),
    ("customer", "customer", "王芳", "+8613800000004"),
)
"""Username, role, name and number; the customer's is the first customer's."""
STORIES = ("placed", "executing", "completed", "partly", "failed", "cancelled", "needs_review")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to get at the demonstration: an administrator's API key, and the password of all logins."""

    api_key: str
    password: str


def fill(environment: Mapping[str, str], say: Callable[[str], None]) -> Access | None:
    """Fill an empty ledger and return how to get at it; None when the ledger is not empty. Raises BadSetting."""
    wanted = read_settings(CommandSettings, environment)
    password = wanted.demo_password or passwords.generated()
    problem = passwords.problem_of(password)
    if problem is not None:
        raise BadSetting(variable=f"{PREFIX}DEMO_PASSWORD", problem=problem)
    settings = read_settings(LedgerSettings, environment)
    engine = open_engine(database_url(settings), settings)
    directory = Directory(open_engine(directory_url(settings), settings))
    try:
        if read(engine, log.head).position > 0:
            say("the ledger is not empty: no demo data were added")
            return None
        ledger = Ledger(engine, settings)
        try:
            customer_id = _fill(directory, ledger)
        finally:
            ledger.close()
        secret = wanted.demo_api_key or f"{access.PREFIX}{secrets.token_urlsafe(32)}"
        access.create_api_keys(directory, [{"name": "demo", "role": "admin", "secret": secret}])
        users.create(
            directory,
            [
                {
                    "username": username,
                    "role": role,
                    "name": name,
                    "mobile": mobile,
                    "password": password,
                    "customer_id": customer_id if role == users.CUSTOMER_ROLE else None,
                }
                for username, role, name, mobile in LOGINS
            ],
        )
        return Access(api_key=secret, password=password)
    finally:
        engine.dispose()
        directory.engine.dispose()


def _fill(directory: Directory, ledger: Ledger) -> str:
    """Fill the ledger and return the first customer's id."""
    level_ids = [
        level["id"]
        for level in levels.create(directory, [{"name": name, "discount_percent": percent} for name, percent in LEVELS])
    ]
    made = customers.create(
        directory,
        ledger,
        [{"name": name, "level_id": level_ids[level], "currency": "CNY"} for name, level, _ in CUSTOMERS],
        Asker(actor=ACTOR, correlation_id="demo"),
    )
    products.create(
        directory,
        [
            {
                "sku": sku,
                "name": name,
                "unit_price": price,
                "currency": "CNY",
                "tiers": [{"from_quantity": quantity, "unit_price": tier} for quantity, tier in tiers],
                "executor": "simulated",
                "executor_settings": settings,
            }
            for sku, name, price, tiers, settings in PRODUCTS
        ],
    )
    customer_ids = [each["id"] for each in made]
    _append(
        ledger,
        [
            Recharge(account_id=customer_id, amount_minor=customer[2], currency="CNY")
            for customer_id, customer in zip(customer_ids, CUSTOMERS, strict=True)
        ],
    )
    _append(ledger, [Deduct(account_id=customer_ids[1], amount_minor=2_000, currency="CNY", reference="monthly fee")])
    for index, story in enumerate(STORIES * 2):
        _append(ledger, _order(directory, customer_ids[index % len(customer_ids)], index, story))
    return str(customer_ids[0])


def _order(directory: Directory, customer_id: str, index: int, story: str) -> Sequence[Command]:
    # An order that stays in execution goes to the slow product, so that one can look at it.
    sku = "survey" if story == "executing" else PRODUCTS[index % 3][0]
    quantity, order_id = 5 * (index + 1), new_id("ord")
    place = PlaceOrder(
        account_id=customer_id,
        product=sku,
        quantity=quantity,
        order_id=order_id,
        terms=products.terms_of(directory, sku),
        reference=f"DEMO-{index + 1:03}",
    )
    start = StartOrder(order_id=order_id, attempt=1, executor="simulated")
    endings: dict[str, tuple[Command, ...]] = {
        "placed": (),
        "executing": (start,),
        "completed": (start, CompleteOrder(order_id=order_id, attempt=1, delivered=quantity)),
        "partly": (start, CompleteOrder(order_id=order_id, attempt=1, delivered=quantity * 3 // 4)),
        "failed": (start, FailOrder(order_id=order_id, attempt=1, code="rejected")),
        "cancelled": (CancelOrder(order_id=order_id),),
        "needs_review": (start, ParkOrder(order_id=order_id, attempt=1, code="contradiction")),
    }
    return (place, *endings[story])


def _append(ledger: Ledger, commands: Sequence[Command]) -> None:
    submissions = [
        Submission(command=command, actor=ACTOR, idempotency_key=new_id("demo"), correlation_id="demo")
        for command in commands
    ]
    for outcome in ledger.append_batch(submissions, atomic=True):
        if outcome.error is not None:
            raise outcome.error
