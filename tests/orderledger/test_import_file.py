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
            "ORDERLEDGER_SECRET_KEY": "T4v9xQm2LkZ7cW0hYp3RbN8sJd6FgA1e-import",
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
        """Return what is written of each line, behind the one header."""
        found = file.with_name(file.name + ".results.ndjson").read_text("utf-8").splitlines()
        assert [number for number, line in enumerate(found) if "content" in json.loads(line)] == [0]
        return [json.loads(line) for line in found[1:]]


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


def test_a_run_that_ended_before_its_first_result_leaves_results_to_go_on_with(office: Office) -> None:
    recharge = {"type": "recharge", "customer_id": office.customer_id, "amount": "10.00"}
    file = office.write("recharges.ndjson", json.dumps(recharge))

    away = office.run(file, ORDERLEDGER_DATABASE_URL=NOWHERE)
    runs = [office.run(file) for _ in range(2)]

    assert away.exit_code == 2, away.output
    assert [(run.exit_code, json.loads(run.stdout)["accepted"]) for run in runs] == [(0, 1)] * 2
    assert len(office.results(file)) == 1


def test_results_whose_first_line_was_cut_off_are_begun_again(office: Office) -> None:
    recharge = {"type": "recharge", "customer_id": office.customer_id, "amount": "10.00"}
    file = office.write("recharges.ndjson", json.dumps(recharge))
    results = file.with_name(file.name + ".results.ndjson")
    assert office.run(file).exit_code == 0
    results.write_bytes(results.read_bytes()[:20])

    again = office.run(file)

    assert (again.exit_code, json.loads(again.stdout)["replayed"]) == (0, 1), again.output
    assert len(office.results(file)) == 1


def test_a_file_that_is_no_results_of_an_import_is_left_as_it_is(office: Office) -> None:
    recharge = {"type": "recharge", "customer_id": office.customer_id, "amount": "10.00"}
    file = office.write("recharges.ndjson", json.dumps(recharge))
    results = file.with_name(file.name + ".results.ndjson")

    for content in (b"a letter", b"a letter\n", b"[]\n", b'{"file": "another'):
        results.write_bytes(content)
        refused = office.run(file)

        assert refused.exit_code == 2 and "belongs to another file" in refused.output
        assert results.read_bytes() == content
