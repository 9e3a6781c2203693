"""Short ways to submit commands to a real ledger in tests, and an independent look at what the database then holds."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ledger.append import Ledger
from ledger.commands import CancelOrder, Command, Deduct, OpenAccount, PlaceOrder, ProductTerms, Recharge
from ledger.ids import new_id
from ledger.leaf import LEAF_FIELDS, leaf_bytes, leaf_hash
from ledger.submission import Outcome, Submission

TERMS = ProductTerms(sku="sms", unit_price="0.10", tiers=(), quantity_min=1, quantity_max=1_000_000, currency="CNY")


def submission(command: Command, key: str | None = None, *, actor: str = "key:test", **more: Any) -> Submission:
    """Wrap a command, under a fresh idempotency key unless one is given."""
    return Submission(command=command, actor=actor, idempotency_key=key or new_id("k"), correlation_id="test", **more)


@dataclass(frozen=True, slots=True)
class Desk:
    """A ledger and the engine behind it."""

    ledger: Ledger
    engine: sa.Engine

    def submit(self, command: Command, key: str | None = None, **more: Any) -> Outcome:
        return self.ledger.append(submission(command, key, **more))

    def open(self, *, recharged_minor: int = 0) -> str:
        account_id = new_id("cus")
        assert self.submit(OpenAccount(account_id=account_id, currency="CNY")).error is None
        if recharged_minor:
            assert self.recharge(account_id, recharged_minor).error is None
        return account_id

    def recharge(self, account_id: str, amount_minor: int, key: str | None = None, **more: Any) -> Outcome:
        return self.submit(Recharge(account_id=account_id, amount_minor=amount_minor, currency="CNY"), key, **more)

    def deduct(self, account_id: str, amount_minor: int, key: str | None = None) -> Outcome:
        return self.submit(Deduct(account_id=account_id, amount_minor=amount_minor, currency="CNY"), key)

    def place(self, account_id: str, quantity: int = 100, key: str | None = None, **more: Any) -> Outcome:
        command = PlaceOrder(
            account_id=account_id, product="sms", quantity=quantity, order_id=new_id("ord"), terms=TERMS
        )
        return self.submit(command, key, **more)

    def cancel(self, order_id: str, key: str | None = None) -> Outcome:
        return self.submit(CancelOrder(order_id=order_id), key)

    def rows(self, query: str) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.exec_driver_sql(query).mappings())


def prove(engine: sa.Engine) -> int:
    """Fold the whole log independently of the ledger's code and compare; return its length.

    Checks positions and versions without gaps, times that never decrease, leaf hashes from the stored bytes, postings that sum to
    zero, balances after each event, no overdraft, and accounts and orders equal to the fold.
    """
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.exec_driver_sql("SELECT * FROM events ORDER BY position").mappings()]
        accounts = {row["account_id"]: row for row in connection.exec_driver_sql("SELECT * FROM accounts").mappings()}
        orders = {row["order_id"]: row for row in connection.exec_driver_sql("SELECT * FROM orders").mappings()}
        head = connection.exec_driver_sql("SELECT position FROM log_head").scalar_one()
        accepted = (
            connection.exec_driver_sql("SELECT position FROM outcomes WHERE position IS NOT NULL").scalars().all()
        )
    assert [row["position"] for row in rows] == list(range(1, head + 1)), "positions have a gap"
    assert sorted(accepted) == [row["position"] for row in rows], "events and accepted outcomes differ"
    books, versions, credit, time_us = Counter[str](), Counter[str](), Counter[str](), 0
    for row in rows:
        account_id, data = row["account_id"], json.loads(row["data"])
        versions[account_id] += 1
        assert row["version"] == versions[account_id], "account versions have a gap"
        assert row["recorded_at_us"] >= time_us, "time ran backwards"
        time_us = row["recorded_at_us"]
        assert row["leaf_hash"] == leaf_hash(leaf_bytes(*(row[name] for name in LEAF_FIELDS))), "a leaf hash is wrong"
        credit[account_id] = data.get("credit_limit_minor", credit[account_id])
        legs = json.loads(row["postings"])
        assert sum(leg["amount_minor"] for leg in legs) == 0, "postings do not balance"
        for leg in legs:
            books[leg["account"]] += leg["amount_minor"]
        assert books[f"customer:{account_id}:available"] == row["available_minor"] >= -credit[account_id]
        assert books[f"customer:{account_id}:held"] == row["held_minor"] >= 0
    for account_id, account in accounts.items():
        assert account["version"] == versions[account_id]
        assert account["available_minor"] == books[f"customer:{account_id}:available"]
        open_orders = [each for each in orders.values() if each["account_id"] == account_id]
        holding = [
            each["amount_minor"] for each in open_orders if each["status"] in ("placed", "executing", "needs_review")
        ]
        assert account["held_minor"] == books[f"customer:{account_id}:held"] == sum(holding)
    assert set(versions) == set(accounts)
    return len(rows)
