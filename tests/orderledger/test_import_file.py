"""An import settles every line once, whatever was away meanwhile, and posts nothing that the file does not say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ledger.append import Ledger
from ledger.database import open_engine
from ledger.directory import customers, products
from ledger.directory.customers import Asker
from ledger.directory.directory import Directory
from ledger.settings import LedgerSettings
from orderledger.command_line import group
from submissions import prove

NOWHERE = "mysql+pymysql://nobody@127.0.0.1:1/nothing"


class Office:
    """Whoever imports files into a ledger with one customer and one product."""

    def __init__(self, url: str, redis_url: str, folder: Path) -> None:
        self.engine = open_engine(url, LedgerSettings())
        self.folder = folder
        self.environment = {
            "ORDERLEDGER_DATABASE_URL": url,
            "ORDERLEDGER_REDIS_URL": redis_url,
            "ORDERLEDGER_DATA": str(folder / "data"),
        }
        ledger, directory = Ledger(self.engine, LedgerSettings()), Directory(self.engine)
        asker = Asker(actor="key:test", correlation_id="test")
        content = {"name": "王芳", "currency": "CNY"}
        self.customer_id = str(customers.create(directory, ledger, [content], asker)[0]["id"])
        ledger.close()
        product = {"sku": "sms", "name": "短信", "unit_price": "0.10", "currency": "CNY", "executor": "simulated"}
        products.create(directory, [product])

    def write(self, name: str, *lines: str) -> Path:
        file = self.folder / name
        file.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        return file

    def run(self, file: Path, **environment: str) -> Result:
        return CliRunner().invoke(group, ["import", str(file), "--json"], env={**self.environment, **environment})

    def results(self, file: Path) -> list[dict[str, Any]]:
        """Return what is written of each line."""
        found = file.with_name(file.name + ".results.ndjson").read_text("utf-8").splitlines()
        return [each for each in map(json.loads, found) if "content" not in each]


@pytest.fixture
def office(sqlite_ledger_url: str, redis_url: str, tmp_path: Path) -> Iterator[Office]:
    office = Office(sqlite_ledger_url, redis_url, tmp_path)
    yield office
    office.engine.dispose()


def test_lines_that_could_not_be_understood_for_an_outage_are_posted_by_the_next_run(office: Office) -> None:
    order = {"type": "order", "customer_id": office.customer_id, "product": "sms", "quantity": 1}
    recharge = {"type": "recharge", "customer_id": office.customer_id, "amount": "10.00"}
    file = office.write("orders.ndjson", *map(json.dumps, [recharge, order, order]))

    away = office.run(file, ORDERLEDGER_DIRECTORY_URL=NOWHERE)
    written = office.results(file)
    back = office.run(file)

    assert (away.exit_code, written) == (2, []), away.output
    assert back.exit_code == 0, back.output
    assert [each["state"] for each in office.results(file)] == ["accepted"] * 3
    assert prove(office.engine) == 4


def test_a_line_with_another_number_of_cells_than_the_header_is_not_understood(office: Office) -> None:
    customer_id = office.customer_id
    lines = [f"recharge,{customer_id},1,000.00", f"recharge,{customer_id}", f"recharge,{customer_id},5.00"]
    file = office.write("recharges.csv", "type,customer_id,amount", *lines)

    run = office.run(file)

    assert run.exit_code == 1, run.output
    found = office.results(file)
    assert [(each["line"], each["state"]) for each in found] == [(2, "invalid"), (3, "invalid"), (4, "accepted")]
    assert "4 cells" in json.dumps(found[0]["problem"]) and "2 cells" in json.dumps(found[1]["problem"])
    assert prove(office.engine) == 2
