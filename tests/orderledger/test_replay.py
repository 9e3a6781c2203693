"""`orderledger audit replay` as CSV, and what changed between two positions, on the demonstration data."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]


def rows(result: Result) -> list[dict[str, str]]:
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.output)))


def test_csv_has_the_accounts_and_with_a_customer_its_orders(run: Run, customers: Mapping[str, str]) -> None:
    wang = customers["王芳"]

    accounts = rows(run("replay", "--csv"))
    one = rows(run("replay", "--csv", "--customer", wang))

    document = json.loads(run("replay", "--json").output)
    assert list(accounts[0]) == [
        "record", "customer_id", "order_id", "status", "product", "quantity", "amount", "captured", "released",
        "available", "held", "total", "currency", "version", "position",
    ]  # fmt: skip
    assert {each["customer_id"]: each["available"] for each in accounts} == {
        each["customer_id"]: each["available"] for each in document["accounts"]
    }
    assert [(each["record"], each["total"]) for each in one if each["record"] == "account"] == [("account", "5000.00")]
    # 5, 35 and 65 messages for 0.0455 at 90 %; the last order was cancelled.
    assert [(each["quantity"], each["amount"], each["released"]) for each in one if each["record"] == "order"] == [
        ("5", "0.20", "0.00"),
        ("35", "1.43", "0.00"),
        ("65", "2.66", "2.66"),
    ]


def test_a_diff_shows_what_changed_and_only_that(run: Run, customers: Mapping[str, str]) -> None:
    wang = customers["王芳"]
    everything = json.loads(run("replay", "--diff", "0", "9999", "--json").output)
    first = json.loads(run("replay", "--customer", wang, "--json").output)["orders"][0]["position"]

    (before, after) = (str(first - 1), str(first))
    found = json.loads(run("replay", "--diff", before, after, "--json").output)
    printed = rows(run("replay", "--diff", before, after, "--csv"))
    shown = run("replay", "--diff", before, after, "--customer", wang).output

    assert everything["from"] == {"position": 0, "recorded_at": None}
    # Recharged: 5,000 + 1,200 + 800 + 25,000 + 450 + 3,000.
    assert [(each["recharged"], each["deducted"]) for each in everything["sums"]] == [("35450.00", "20.00")]
    assert found["accounts"] == [
        {
            "customer_id": wang, "currency": "CNY",
            "available_before": "5000.00", "available_after": "4999.80", "available_difference": "-0.20",
            "held_before": "0.00", "held_after": "0.20", "held_difference": "0.20",
            "total_before": "5000.00", "total_after": "5000.00", "total_difference": "0.00",
        }
    ]  # fmt: skip
    assert found["order_statuses"] == [{"status": "placed", "before": 0, "after": 1, "difference": 1}]
    assert found["sums"] == []
    assert [tuple(each.values()) for each in printed] == [
        ("account", wang, "available", "CNY", "5000.00", "4999.80", "-0.20"),
        ("account", wang, "held", "CNY", "0.00", "0.20", "0.20"),
        ("account", wang, "total", "CNY", "5000.00", "5000.00", "0.00"),
        ("orders", "", "placed", "", "0", "1", "1"),
    ]
    assert "5000.00 → 4999.80 (-0.20)" in shown and "sms-cn" in shown
    assert "nothing changed" in run("replay", "--diff", after, after).output


def test_a_diff_goes_from_one_time_to_another(run: Run) -> None:
    def diff(*places: str) -> Any:
        return json.loads(run("replay", "--diff", *places, "--json").output)

    assert diff("2020-01-01T00:00:00Z", "9999-01-01T00:00:00Z") == diff("0", "9999")
    end = diff("0", "9999")["to"]
    assert diff(end["recorded_at"], end["recorded_at"])["from"] == end


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--diff", "9", "8"), "name the earlier one first"),
        (("--diff", "9", "soon"), "is not a time"),
        (("--diff", "8", "9", "--to", "9"), "name one of"),
        (("--json", "--csv"), "not both"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, options: tuple[str, ...], said: str) -> None:
    refused = run("replay", *options)

    assert refused.exit_code == 2
    assert said in refused.output
