"""Remove a customer's personal data everywhere, and say so in the log; every hash and proof stays valid."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from ledger import schema
from ledger.accounts import Account
from ledger.append import Ledger
from ledger.commands import EraseCustomer
from ledger.database import database_url, directory_url, open_engine
from ledger.directory import customers
from ledger.directory.customers import Asker
from ledger.directory.directory import Directory
from ledger.directory.errors import DirectoryNotFound, InUse
from ledger.settings import LedgerSettings, read_settings
from ledger.submission import Submission

ACTOR = "system:erasure"
DELETED_PER_STEP = 1_000


def erase_customer(environment: Mapping[str, str], customer_id: str) -> int:
    """Erase names, phones and free text of a customer, end its API keys, and return the position that records it.

    Doing it again changes nothing. Raises DirectoryNotFound, InUse while an order is open: its text is still needed.
    """
    settings = read_settings(LedgerSettings, environment)
    engine = open_engine(database_url(settings), settings)
    directory = Directory(open_engine(directory_url(settings), settings))
    ledger = Ledger(engine, settings)
    try:
        account = ledger.accounts([customer_id]).get(customer_id)
        if account is None:
            raise DirectoryNotFound(kind="customer", id=customer_id)
        _ensure_no_open_order(account)
        customers.erase(directory, ledger, customer_id, Asker(actor=ACTOR, correlation_id="erasure"))
        # Judged again now that the account is suspended: an order may have been placed while it was not.
        _ensure_no_open_order(ledger.accounts([customer_id])[customer_id])
        _delete_details(engine, customer_id)
        outcome = ledger.append(
            Submission(
                command=EraseCustomer(account_id=customer_id),
                actor=ACTOR,
                idempotency_key=f"erase:{customer_id}",
                correlation_id="erasure",
            )
        )
        if outcome.error is not None:
            raise outcome.error
        # A suspended account is still recharged, with a memo.
        _delete_details(engine, customer_id)
        return outcome.position
    finally:
        ledger.close()
        engine.dispose()
        directory.engine.dispose()


def _ensure_no_open_order(account: Account) -> None:
    if account.held_minor != 0:
        raise InUse(kind="customer", reason="an order is still open; let it end or cancel it first")


def _delete_details(engine: sa.Engine, account_id: str) -> None:
    details, events = schema.details, schema.events
    query = (
        sa.select(details.c.position)
        .join(events, events.c.position == details.c.position)
        .where(events.c.account_id == account_id)
        .limit(DELETED_PER_STEP)
    )
    while True:
        with engine.execution_options(write=True).begin() as connection:
            positions = list(connection.execute(query).scalars())
            if not positions:
                return
            connection.execute(sa.delete(details).where(details.c.position.in_(positions)))
