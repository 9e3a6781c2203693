"""`orderledger audit what-if` on the demonstration data, by hand."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from ledger.database import open_engine
from ledger.settings import LedgerSettings

Run = Callable[..., Result]


def effects(result: Result) -> dict[str, dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return {each["customer_id"]: each for each in json.loads(result.output)["customers"]}


def test_gold_at_80_percent_instead_of_90_is_what_one_works_out_by_hand(run: Run, customers: Mapping[str, str]) -> None:
    found = effects(run("what-if", "--discount", "90=80", "--json"))

    # Text messages cost 0.0455 apiece. 王芳 ordered
    #    5: 0.2275, of which 90 % are 0.20475 = 0.20 and 80 % 0.1820 = 0.18; not yet executed: held
    #   35: 1.5925, 1.43325 = 1.43 and 1.2740 = 1.27; left to a person: held
    #   65: 2.9575, 2.66175 = 2.66 and 2.3660 = 2.37; cancelled: neither held nor captured
    # placed 0.20 + 1.43 + 2.66 = 4.29, 0.18 + 1.27 + 2.37 = 3.82; held 1.63, 1.45.
    wang = found.pop(customers["王芳"])
    assert wang == {
        "customer_id": customers["王芳"], "currency": "CNY", "orders": 3,
        "placed": "4.29", "placed_if": "3.82", "placed_difference": "-0.47",
        "captured": "0.00", "captured_if": "0.00", "captured_difference": "0.00",
        "held": "1.63", "held_if": "1.45", "held_difference": "-0.18", "available_difference": "0.18",
        "refused": 0, "short": 0, "short_position": None,
    }  # fmt: skip
    # Acme ordered
    #   20: 0.91, 0.8190 = 0.82 and 0.7280 = 0.73; 15 of 20 delivered: 0.6150 = 0.62 and 0.5475 = 0.55 captured
    #   50: 2.275, 2.0475 = 2.05 and 1.8200 = 1.82; delivered and captured
    # placed 2.87, 2.55; captured 2.67, 2.37.
    acme = found.pop(customers["Acme Trading Ltd"])
    assert acme == {
        "customer_id": customers["Acme Trading Ltd"], "currency": "CNY", "orders": 2,
        "placed": "2.87", "placed_if": "2.55", "placed_difference": "-0.32",
        "captured": "2.67", "captured_if": "2.37", "captured_difference": "-0.30",
        "held": "0.00", "held_if": "0.00", "held_difference": "0.00", "available_difference": "0.30",
        "refused": 0, "short": 0, "short_position": None,
    }  # fmt: skip
    # Nobody else pays 90 %.
    assert found == {}


def test_the_levels_id_says_the_same_as_its_percentage(run: Run, sqlite_ledger_url: str) -> None:
    engine = open_engine(sqlite_ledger_url, LedgerSettings())
    with engine.connect() as connection:
        gold = connection.exec_driver_sql("SELECT id FROM levels WHERE name LIKE 'Gold%'").scalar_one()
    engine.dispose()

    by_level = run("what-if", "--level", f"{gold}=80", "--json")

    assert effects(by_level) == effects(run("what-if", "--discount", "90=80", "--json"))


def test_a_price_list_with_tiers_is_used_and_an_option_adds_to_it(
    run: Run, customers: Mapping[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("product,unit_price,from_quantity\nsms-cn,0.05,\nsms-cn,0.04,50\n", encoding="utf-8")

    found = effects(run("what-if", "--prices", str(file), "--price", "data-1g=7", "--json"))

    # Acme, 90 %: 20 × 0.05 × 0.9 = 0.90, of which 15 of 20 is 0.675 = 0.68; 50 × 0.04 × 0.9 = 1.80.
    acme = found[customers["Acme Trading Ltd"]]
    assert (acme["placed_if"], acme["captured_if"]) == ("2.70", "2.48")
    # 李伟, 95 %: 40 × 7 × 0.95 = 266.00 and 70 × 7 × 0.95 = 465.50; survey answers keep their price.
    li = found[customers["李伟"]]
    assert (li["orders"], li["placed_if"]) == (2, "731.50")


def test_csv_has_a_line_for_each_customer_and_the_sums_are_for_people(run: Run, customers: Mapping[str, str]) -> None:
    printed = run("what-if", "--discount", "90=80", "--csv")
    shown = run("what-if", "--discount", "90=80")

    rows = list(csv.DictReader(io.StringIO(printed.output)))
    assert [each["customer_id"] for each in rows] == sorted((customers["王芳"], customers["Acme Trading Ltd"]))
    assert list(rows[0]) == [
        "customer_id", "currency", "orders", "placed", "placed_if", "placed_difference", "captured", "captured_if",
        "captured_difference", "held", "held_if", "held_difference",
        "available_difference", "refused", "short", "short_position",
    ]  # fmt: skip
    assert "captured: 2.67, would be 2.37, difference -0.30" in shown.output
    assert customers["王芳"] in shown.output


def test_whoever_could_not_have_paid_is_told_with_the_first_position(run: Run, customers: Mapping[str, str]) -> None:
    found = effects(run("what-if", "--price", "sms-cn=20000", "--json"))

    # 王芳 has 5,000.00; 5 × 20,000 × 0.9 = 90,000.00 would have been needed for the very first order.
    wang = found[customers["王芳"]]
    replayed = json.loads(
        run("replay", "--customer", customers["王芳"], "--to", str(wang["short_position"]), "--json").output
    )
    assert wang["short"] == 3
    assert [(each["quantity"], each["amount"]) for each in replayed["orders"]] == [(5, "0.20")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "say what would be different"),
        (("--discount", "90=0"), "must be more than 0"),
        (("--discount", "90"), "NAME=VALUE"),
        (("--discount", "90=80", "--discount", "90.0=70"), "named twice"),
        (("--level", "lev_1=101"), "at most 100"),
        (("--price", "sms-cn=0"), "must be more than zero"),
        (("--price", "a b=1"), "not a product's sku"),
        (("--price", "sms-cn=1", "--price", "sms-cn=2"), "two prices"),
        (("--price", "sms-cn=1", "--from", "yesterday"), "is not a time"),
        (("--price", "sms-cn=1", "--from", "9", "--to", "8"), "nothing lies"),
        (("--price", "sms-cn=1", "--json", "--csv"), "not both"),
        (("--price", "sms-cn=1", "--customer", "cus_nobody"), ""),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(run: Run, options: tuple[str, ...], said: str) -> None:
    refused = run("what-if", *options)

    assert refused.exit_code != 0
    assert said in refused.output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the first line must be product,unit_price,from_quantity"),
        ("product,price\n", "the first line must be"),
        ("product,unit_price,from_quantity\nsms-cn,1\n", "line 2: expected 3 values"),
        ("product,unit_price,from_quantity\nsms-cn,1,\nsms-cn,2,1\n", "line 3: sms-cn has two prices from 1 on"),
        ("product,unit_price,from_quantity\nsms-cn,1e3,\n", "line 2: expected a plain decimal"),
        ("product,unit_price,from_quantity\nsms-cn,1,many\n", "line 2: from_quantity is a whole number"),
        ("product,unit_price,from_quantity\nsms-cn,1,0\n", "line 2: from_quantity is from 1"),
    ],
)
def test_a_wrong_price_list_is_refused_with_its_line(run: Run, tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(content, encoding="utf-8")

    refused = run("what-if", "--prices", str(file))

    assert refused.exit_code == 2
    assert said in refused.output
