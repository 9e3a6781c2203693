"""CSV and Parquet say what the log says, by the readers that others use."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pyarrow.parquet
import pytest

from ledger.commands import Recharge
from ledger.exporting import parquet
from ledger.exporting.export import FORMATS
from orderledger.audit import export as command
from sealed_books import Books


def table(books: Books, name: str, *place: int) -> list[dict[str, str]]:
    text = books.export(name, *place).read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_command_offers_every_format_there_is() -> None:
    assert set(command.FORMATS) == set(FORMATS)


def test_each_row_of_the_csv_is_an_event_with_its_money_in_both_units(books: Books) -> None:
    found, rows = table(books, "all.csv"), books.rows()

    assert len(found) == len(rows)
    names = {"platform:funding": "funding", "platform:revenue": "revenue", "platform:adjustments": "adjustments"}
    for line, row in zip(found, rows, strict=True):
        customer = f"customer:{row['account_id']}"
        columns = names | {f"{customer}:available": "available_change", f"{customer}:held": "held_change"}
        wanted = {columns[leg["account"]]: leg["amount_minor"] for leg in json.loads(row["postings"])}
        wanted |= {"available": row["available_minor"], "held": row["held_minor"]}
        for name in (*columns.values(), "available", "held"):
            minor = wanted.get(name)
            assert line[f"{name}_minor"] == ("" if minor is None else str(minor))
            assert line[name] == ("" if minor is None else f"{Decimal(minor) / 100:.2f}")
        assert (line["position"], line["currency"], line["type"]) == (str(row["position"]), "CNY", row["type"])
        assert (line["leaf_hash"], line["data"]) == (row["leaf_hash"].hex(), row["data"].decode())
        assert line["order_id"] == (row["order_id"] or "")


def test_the_currency_of_an_account_is_known_in_ranges_that_do_not_open_it(sqlite_books: Books) -> None:
    found = table(sqlite_books, "range.csv", sqlite_books.sealed[0].size - 5)

    assert {line["currency"] for line in found} == {"CNY"}


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_what_a_client_typed_is_never_a_formula(sqlite_books: Books, start: str) -> None:
    customer = sqlite_books.desk.open()
    command = Recharge(account_id=customer, amount_minor=100, currency="CNY", reference="=2+2")
    assert sqlite_books.desk.submit(command, start).error is None

    *_, last = table(sqlite_books, "all.csv")

    assert last["idempotency_key"] == f"'{start}"
    assert not last["data"].startswith("=")


def stored(row: dict[str, Any]) -> dict[str, Any]:
    times = {"recorded_at": row["recorded_at_us"]}
    return {name: value for name, value in row.items() if name != "recorded_at_us"} | times


@pytest.mark.parametrize("rows_per_group", [7, parquet.ROWS_PER_GROUP])
def test_the_parquet_file_read_back_is_the_log(
    books: Books, monkeypatch: pytest.MonkeyPatch, rows_per_group: int
) -> None:
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", rows_per_group)
    path = books.export("all.parquet", 2)

    file = pyarrow.parquet.ParquetFile(path)
    found = file.read().to_pylist()
    rows = books.rows()[1:]
    for line in found:
        moment = line["recorded_at"]
        line["recorded_at"] = (
            round(moment.timestamp()) * 1_000_000 - 0
            if moment.microsecond == 0
            else (int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond)
        )
        for name in ("idempotency_key", "data", "postings"):
            line[name] = line[name].encode()
    assert found == [stored(row) for row in rows]
    metadata = {key.decode(): value.decode() for key, value in file.metadata.metadata.items()}
    assert metadata["orderledger.from"] == "2"
    assert metadata["orderledger.to"] == str(len(rows) + 1)
    assert metadata["orderledger.events"] == str(len(rows))
    assert len(metadata["orderledger.root"]) == 64


def test_without_pyarrow_the_command_says_what_to_install(sqlite_books: Books) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        f"sys.argv = ['orderledger', 'audit', 'export', '--format', 'parquet', '--output', {str(sqlite_books.folder / 'x')!r}]\n"
        "from orderledger.command_line import main; main()"
    )

    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"ORDERLEDGER_DATABASE_URL": sqlite_books.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.returncode == 2
    assert "pip install 'orderledger[parquet]'" in run.stderr and len(run.stderr.splitlines()) == 1
    assert not (sqlite_books.folder / "x").exists() and not (sqlite_books.folder / "x.part").exists()
