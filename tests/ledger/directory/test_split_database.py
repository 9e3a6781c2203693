"""The directory in a database of its own, on another engine than the log."""

from ledger.append import Ledger
from ledger.commands import Recharge
from ledger.database import open_engine
from ledger.directory import customers, levels
from ledger.directory.customers import Asker
from ledger.directory.directory import Directory
from ledger.migrate import upgrade
from ledger.revisions import current, head
from ledger.settings import LedgerSettings
from submissions import prove, submission


def test_the_log_on_mariadb_and_the_directory_on_sqlite_work_as_one(mariadb_url: str, sqlite_url: str) -> None:
    upgrade(mariadb_url, sqlite_url)
    settings = LedgerSettings()
    log_engine, directory_engine = open_engine(mariadb_url, settings), open_engine(sqlite_url, settings)
    ledger, directory = Ledger(log_engine, settings), Directory(directory_engine)
    asker = Asker(actor="key:test", correlation_id="test")

    level_id = levels.create(directory, [{"name": "Gold", "discount_percent": "90"}])[0]["id"]
    content = [{"name": "王芳", "currency": "CNY", "level_id": level_id}]
    customer_id = customers.create(directory, ledger, content, asker)[0]["id"]
    outcome = ledger.append(submission(Recharge(account_id=customer_id, amount_minor=1, currency="CNY")))

    assert outcome.error is None
    assert ledger.accounts([customer_id])[customer_id].discount_percent == "90"
    assert prove(log_engine) == 2
    for engine, history, other in ((log_engine, "log", "directory"), (directory_engine, "directory", "log")):
        with engine.connect() as connection:
            assert (current(connection, history), current(connection, other)) == (head(history), None)
    ledger.close()
    log_engine.dispose()
    directory_engine.dispose()
