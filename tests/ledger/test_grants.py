"""The service runs as a database user that cannot change history."""

from collections.abc import Iterator

import pymysql
import pytest
import sqlalchemy as sa

from ledger.append import Ledger
from ledger.database import open_engine
from ledger.directory import customers, levels
from ledger.directory.customers import Asker
from ledger.directory.directory import Directory
from ledger.grants import grants
from ledger.settings import LedgerSettings
from servers import PrivateMariaDB
from submissions import Desk, prove

USER = "orderledger_test"


@pytest.fixture
def service_url(mariadb: PrivateMariaDB, mariadb_ledger_url: str) -> Iterator[str]:
    """The URL of the database for a user with nothing but the printed grants."""
    url = sa.make_url(mariadb_ledger_url)
    with sa.create_engine(url).connect() as connection:
        connection.exec_driver_sql(f"CREATE USER '{USER}'@'localhost'")
        for statement in grants(str(url.database), USER):
            connection.exec_driver_sql(statement.rstrip(";"))
    yield url.set(username=USER).render_as_string(hide_password=False)
    with sa.create_engine(url).connect() as connection:
        connection.exec_driver_sql(f"DROP USER '{USER}'@'localhost'")


def test_the_whole_ledger_works_as_the_least_privileged_user(service_url: str) -> None:
    settings = LedgerSettings()
    engine = open_engine(service_url, settings)
    desk, directory = Desk(Ledger(engine, settings), engine), Directory(engine)

    level_id = levels.create(directory, [{"name": "Gold", "discount_percent": "90"}])[0]["id"]
    content = [{"name": "王芳", "currency": "CNY", "level_id": level_id}]
    customer_id = customers.create(directory, desk.ledger, content, Asker(actor="key:t", correlation_id="t"))[0]["id"]
    desk.recharge(customer_id, 10_000, details={"memo": "first"})
    placed = desk.place(customer_id)
    assert placed.order is not None and placed.order.amount_minor == 900
    desk.cancel(placed.order.order_id)

    assert prove(engine) == 4
    desk.ledger.close()
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET actor='x'",
        "DELETE FROM events",
        "TRUNCATE TABLE events",
        "DROP TABLE events",
        "ALTER TABLE events ADD COLUMN x INT",
        "DROP TRIGGER events_refuse_update",
        "CREATE TRIGGER mine BEFORE INSERT ON events FOR EACH ROW SET NEW.actor='x'",
        "UPDATE outcomes SET kind='x'",
        "DELETE FROM outcomes",
        "DELETE FROM accounts",
        "DELETE FROM log_head",
        "INSERT INTO log_head VALUES (2, 0, 0)",
        "UPDATE reversals SET position=1",
        "RENAME TABLE events TO gone",
        "UPDATE schema_version_log SET version_num='x'",
    ],
)
def test_history_cannot_be_changed_by_the_services_user(service_url: str, statement: str) -> None:
    engine = open_engine(service_url, LedgerSettings())
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError) as refused:
        connection.exec_driver_sql(statement)

    assert isinstance(refused.value.orig, pymysql.err.OperationalError | pymysql.err.ProgrammingError)
    # 1142, 1044, 1227, 1370: this user may not do that.
    assert refused.value.orig.args[0] in (1142, 1044, 1227, 1370)
    engine.dispose()


def test_odd_names_are_refused_instead_of_quoted() -> None:
    for database, user, host in (("a;b", "u", "h"), ("a", "u'@'%", "h"), ("a", "u", "h' IDENTIFIED BY 'x")):
        with pytest.raises(ValueError):
            grants(database, user, host)
