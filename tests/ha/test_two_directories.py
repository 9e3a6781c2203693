"""The directory written to at different nodes of Galera at the same time: what may happen for moments in a failover."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from ha.galera import galera_cluster
from ledger.append import Ledger
from ledger.database import open_engine
from ledger.directory import customers, levels
from ledger.directory.directory import Directory
from ledger.directory.in_step import Asker, reconcile
from ledger.directory.models import Customer
from ledger.migrate import upgrade
from ledger.settings import LedgerSettings

ASKER = Asker(actor="key:test", correlation_id="test")
SETTINGS = LedgerSettings()


def test_a_level_that_changes_at_one_node_ends_a_settlement_at_another() -> None:
    with galera_cluster(2) as galera:
        galera.nodes[0].create_database("ledger")
        upgrade(galera.urls("ledger"))
        one, other = (open_engine(galera.urls("ledger", first=first), SETTINGS) for first in range(2))
        ledger, directory = Ledger(one, SETTINGS), Directory(one)
        level_id = levels.create(directory, [{"name": "Gold", "discount_percent": "90"}])[0]["id"]
        content = {"name": "Ann", "currency": "CNY", "level_id": level_id}
        customer_id = customers.create(directory, ledger, [content], ASKER)[0]["id"]
        with one.begin() as connection:
            connection.execute(sa.update(Customer).values(in_step=0))

        with other.connect() as settling:
            transaction = settling.begin()
            settling.execute(sa.update(Customer).where(Customer.id == customer_id).values(in_step=1))
            levels.change(directory, level_id, {"discount_percent": "80"})
            with pytest.raises(sa.exc.OperationalError):
                transaction.commit()

        assert reconcile(directory, ledger) == 1
        assert ledger.accounts([customer_id])[customer_id].discount_percent == "80"
        ledger.close()
        one.dispose()
        other.dispose()
