"""The Django way: transaction.atomic, select_for_update on the account, save it, create the movement.

Django has one configuration a process, so this is imported only where this way is measured. It expects mysqlclient;
PyMySQL stands in for it, so that all ways have the same driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import django
import pymysql
import sqlalchemy as sa
from django.conf import settings

from bench.ways import AMOUNT_MINOR, CANCELLATION, CREDIT_MINOR, ORDER, RECHARGE

REFERENCE = "order placed from the web shop"
ROWS_PER_STATEMENT = 1_000


class DjangoWay:
    """Two models on a database, configured when the way is built."""

    def __init__(self, url: str, *, accounts: int, callers: int) -> None:
        self._accounts = accounts
        pymysql.install_as_MySQLdb()
        _configure(url)
        self._models = _declare_models()

    def create(self) -> None:
        """Make the tables and the accounts."""
        from django.db import connection

        account, movement, order = self._models
        with connection.schema_editor() as editor:
            editor.create_model(account)
            editor.create_model(movement)
            editor.create_model(order)
        account.objects.bulk_create(
            [account(id=number, available_minor=0, held_minor=0, version=0) for number in range(1, self._accounts + 1)],
            batch_size=ROWS_PER_STATEMENT,
        )

    def make_ready(self, posts: int) -> None:
        """Nothing."""

    def post(self, account: int, key: str) -> None:
        """Lock the account, save it, create the movement, commit."""
        from django.db import transaction

        accounts = self._models[0]
        with transaction.atomic():
            row = accounts.objects.select_for_update().get(pk=account)
            movement = self._taken(row, key)
            row.save(update_fields=["available_minor", "version"])
            movement.save(force_insert=True)

    def post_kind(self, kind: str, account: int, key: str, order: Any) -> Any:
        """Lock the account, save it and the order, create the movement, commit."""
        from django.db import transaction

        accounts, _, orders = self._models
        placed = None
        with transaction.atomic():
            row = accounts.objects.select_for_update().get(pk=account)
            if kind == ORDER:
                placed = orders.objects.create(
                    account=row,
                    status="placed",
                    product="sms",
                    quantity=1,
                    amount_minor=AMOUNT_MINOR,
                    reference=REFERENCE,
                )
                row.held_minor += AMOUNT_MINOR
            elif kind == CANCELLATION:
                cancelled = orders.objects.select_for_update().get(pk=order)
                if cancelled.status != "placed":
                    raise ValueError("the order cannot be cancelled")
                cancelled.status = "cancelled"
                cancelled.save(update_fields=["status"])
                row.held_minor -= AMOUNT_MINOR
            sign = -1 if kind in (RECHARGE, CANCELLATION) else 1
            movement = self._taken(row, key, kind=kind, amount_minor=sign * AMOUNT_MINOR)
            row.save(update_fields=["available_minor", "held_minor", "version"])
            movement.save(force_insert=True)
        return None if placed is None else placed.pk

    def post_batch(self, accounts: Sequence[int], keys: Sequence[str]) -> None:
        """Lock all accounts at once, then bulk_update and bulk_create; one commit."""
        from django.db import transaction

        account_model, movement_model, _ = self._models
        with transaction.atomic():
            rows = account_model.objects.select_for_update().in_bulk(set(accounts))
            movements = [self._taken(rows[account], key) for account, key in zip(accounts, keys, strict=True)]
            account_model.objects.bulk_update(rows.values(), ["available_minor", "version"])
            movement_model.objects.bulk_create(movements, batch_size=ROWS_PER_STATEMENT)

    def leave(self) -> None:
        """Close the thread's connection."""
        from django.db import connection

        connection.close()

    def counters(self) -> dict[str, int]:
        """Count nothing."""
        return {}

    def check(self) -> int:
        """Compare balances and versions with the movements."""
        from django.db.models import Count, Sum

        account, movement, order = self._models
        kept = account.objects.aggregate(
            taken_minor=Sum("available_minor"), held_minor=Sum("held_minor"), versions=Sum("version")
        )
        open_minor = order.objects.filter(status="placed").aggregate(minor=Sum("amount_minor"))["minor"] or 0
        assert kept["held_minor"] == open_minor
        moved = movement.objects.aggregate(amount_minor=Sum("amount_minor"), movements=Count("pk"))
        assert -kept["taken_minor"] == (moved["amount_minor"] or 0) and kept["versions"] == moved["movements"]
        return int(moved["movements"])

    def close(self) -> None:
        """Close this thread's connection."""
        self.leave()

    def _taken(self, account: Any, key: str, *, kind: str = "deduction", amount_minor: int = AMOUNT_MINOR) -> Any:
        if account.available_minor + CREDIT_MINOR < amount_minor:
            raise ValueError("not enough money")
        account.available_minor -= amount_minor
        account.version += 1
        movement = self._models[1]
        return movement(
            account=account,
            version=account.version,
            kind=kind,
            amount_minor=amount_minor,
            available_minor=account.available_minor,
            idempotency_key=key,
            actor="key:key_bench",
            reference=REFERENCE,
        )


def _configure(url: str) -> None:
    parsed = sa.make_url(url)
    settings.configure(
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.mysql",
                "NAME": parsed.database,
                "USER": parsed.username,
                "HOST": parsed.query["unix_socket"],
                "CONN_MAX_AGE": None,
                "OPTIONS": {"isolation_level": "read committed", "charset": "utf8mb4", "ssl_disabled": True},
            }
        },
    )
    django.setup()


def _declare_models() -> tuple[Any, Any, Any]:
    # Classes of models can only be made once Django is configured.
    from django.db import models

    class DjangoAccount(models.Model):
        available_minor = models.BigIntegerField()
        held_minor = models.BigIntegerField(default=0)
        version = models.BigIntegerField()

        class Meta:
            app_label = "bench"

    class DjangoOrder(models.Model):
        account = models.ForeignKey(DjangoAccount, on_delete=models.PROTECT)
        status = models.CharField(max_length=16)
        product = models.CharField(max_length=64)
        quantity = models.BigIntegerField()
        amount_minor = models.BigIntegerField()
        reference = models.CharField(max_length=200)
        created_at = models.DateTimeField(auto_now_add=True)

        class Meta:
            app_label = "bench"

    class DjangoMovement(models.Model):
        account = models.ForeignKey(DjangoAccount, on_delete=models.PROTECT, db_index=False)
        version = models.BigIntegerField()
        kind = models.CharField(max_length=24)
        amount_minor = models.BigIntegerField()
        available_minor = models.BigIntegerField()
        idempotency_key = models.CharField(max_length=64, unique=True)
        actor = models.CharField(max_length=80)
        reference = models.CharField(max_length=200)
        created_at = models.DateTimeField(auto_now_add=True)

        class Meta:
            app_label = "bench"
            constraints = [models.UniqueConstraint(fields=["account", "version"], name="account_version")]

    return DjangoAccount, DjangoMovement, DjangoOrder
