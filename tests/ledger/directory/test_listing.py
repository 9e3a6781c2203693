"""Lists: filters, order, chosen fields and pages, the same on every engine."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import sqlalchemy as sa

from ledger.directory import access, customers, levels, products
from ledger.directory.changes import stamps
from ledger.directory.directory import Directory
from ledger.directory.errors import BadListCursor, BadListing
from ledger.directory.listing import parse
from ledger.directory.models import Customer, Level
from ledger.ids import new_id

NAMES = ("王芳", "李伟", "100%_off", "100x off", "a\\b", "Ann", "ann", "Émile", "emoji 😀", "欧阳娜娜")
MOBILES = ("+8613800000000", None, "+86 139", None, "+1 555", None, None, "+8613900000000", None, None)


@pytest.fixture
def directory(office: Any) -> Directory:
    found: Directory = office.directory
    gold, silver = office.level("Gold", "90"), office.level("Silver", "95.5")
    with found.writing() as session:
        for name, mobile, level_id in zip(NAMES, MOBILES, itertools.cycle((gold, silver, None)), strict=False):
            session.add(
                Customer(
                    id=new_id("cus"),
                    name=name,
                    mobile=mobile,
                    level_id=level_id,
                    status="active",
                    credit_limit_minor=len(name) * 100,
                    currency="JPY" if name == "Ann" else "CNY",
                    in_step=1,
                    **stamps(),
                )
            )
    return found


def listed(directory: Directory, **parameters: str) -> list[dict[str, Any]]:
    return customers.listed(directory, parse(customers.LISTING, parameters)).data


def names(directory: Directory, **parameters: str) -> set[str]:
    return {each["name"] for each in listed(directory, **parameters)}


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"name": "王芳"}, {"王芳"}),
        ({"name": "ANN"}, set()),
        ({"name__ne": "王芳"}, set(NAMES) - {"王芳"}),
        ({"name__in": "Ann,ann,nobody"}, {"Ann", "ann"}),
        ({"name__contains": "%_"}, {"100%_off"}),
        ({"name__contains": "\\"}, {"a\\b"}),
        ({"name__contains": "娜"}, {"欧阳娜娜"}),
        ({"name__contains": "😀"}, {"emoji 😀"}),
        ({"name__contains": "N"}, set()),
        ({"name__startswith": "100"}, {"100%_off", "100x off"}),
        ({"name__startswith": "100_"}, set()),
        ({"name__startswith": "欧"}, {"欧阳娜娜"}),
        ({"name__gte": "王", "name__lt": "王芳z"}, {"王芳"}),
        ({"mobile__isnull": "true", "name__in": "王芳,李伟"}, {"李伟"}),
        ({"mobile__isnull": "false", "name__in": "王芳,李伟"}, {"王芳"}),
        ({"mobile__ne": "+1 555", "name__in": "a\\b,李伟"}, {"李伟"}),
        ({"level__name": "Gold"}, {"王芳", "100x off", "ann", "欧阳娜娜"}),
        ({"level__discount_percent__gt": "90"}, {"李伟", "a\\b", "Émile"}),
        ({"level__name__isnull": "true"}, {"100%_off", "Ann", "emoji 😀"}),
        ({"status": "suspended"}, set()),
        ({"credit_limit__gte": "8.00"}, {"100%_off", "100x off", "Ann"}),
        ({"credit_limit": "300"}, {"Ann"}),
        ({"created_at__lt": "2020-01-01T00:00:00Z"}, set()),
        ({"created_at__gt": "2020-01-01T00:00:00+08:00"}, set(NAMES)),
    ],
)
def test_a_filter_finds_exactly_what_it_says(directory: Directory, parameters: dict[str, str], found: set[str]) -> None:
    assert names(directory, **parameters) == found


@pytest.mark.parametrize(
    ("parameters", "wrong", "says"),
    [
        ({"nam": "x"}, "nam", "name, mobile"),
        ({"name__like": "x"}, "name__like", "contains, startswith"),
        ({"name__eq": "x"}, "name__eq", "operator"),
        ({"secret_hash": "x"}, "secret_hash", "no such field"),
        ({"level__id__name": "x"}, "level__id__name", "no such field"),
        ({"created_at__contains": "2"}, "created_at__contains", "no such operator"),
        ({"created_at": "yesterday"}, "created_at", "RFC 3339"),
        ({"revision": "1.0"}, "revision", "decimal"),
        ({"revision": "99999999999999999999"}, "revision", "decimal"),
        ({"credit_limit": "1e3"}, "credit_limit", "decimal"),
        ({"mobile__isnull": "yes"}, "mobile__isnull", "true or false"),
        ({"name": "a\0b"}, "name", "valid"),
        ({"name": "x" * 1001}, "name", "1000"),
        ({"name__in": "," * 200}, "name__in", "200"),
        ({"status": "没有"}, "status", "ASCII"),
        ({"limit": "0"}, "limit", "1 to 200"),
        ({"limit": "201"}, "limit", "1 to 200"),
        ({"limit": "２"}, "limit", "1 to 200"),
        ({"sort": "-nobody"}, "sort", "name"),
        ({"sort": "name,"}, "sort", "name"),
        ({"sort": "--name"}, "sort", "name"),
        ({"sort": "name,mobile,status,currency,revision"}, "sort", "up to"),
        ({"fields": "name,secret"}, "fields", "mobile"),
    ],
)
def test_what_a_list_does_not_know_is_refused_naming_what_it_knows(
    parameters: dict[str, str], wrong: str, says: str
) -> None:
    with pytest.raises(BadListing) as refused:
        parse(customers.LISTING, parameters)

    assert [each.parameter for each in refused.value.problems] == [wrong]
    assert says in refused.value.problems[0].problem


@pytest.mark.parametrize(
    "sort", ["", "name", "-name", "mobile", "-mobile,name", "level__name,-created_at", "status,-credit_limit"]
)
def test_pages_show_every_row_once_in_order(directory: Directory, sort: str) -> None:
    whole = [each["id"] for each in listed(directory, sort=sort, limit="200")]
    found: list[str] = []
    parameters = {"sort": sort, "limit": "3"}

    for _ in range(10):
        page = customers.listed(directory, parse(customers.LISTING, parameters))
        found += [each["id"] for each in page.data]
        if page.next is None:
            break
        parameters["cursor"] = page.next

    assert found == whole and len(found) == len(NAMES)


def test_a_row_added_behind_the_cursor_is_shown_and_one_before_it_shifts_nothing(
    directory: Directory, office: Any
) -> None:
    first = customers.listed(directory, parse(customers.LISTING, {"sort": "name", "limit": "2"}))
    office.customer("0 before")
    office.customer("zz behind")

    rest = customers.listed(directory, parse(customers.LISTING, {"sort": "name", "cursor": str(first.next)}))

    assert {"zz behind"} == {each["name"] for each in rest.data} - set(NAMES)
    assert len(rest.data) == len(NAMES) - 2 + 1


def test_a_cursor_fits_no_other_question(directory: Directory) -> None:
    cursor = str(customers.listed(directory, parse(customers.LISTING, {"name__ne": "x", "limit": "1"})).next)

    parse(customers.LISTING, {"name__ne": "x", "cursor": cursor, "limit": "5", "fields": "id"})
    for parameters in ({}, {"name__ne": "y"}, {"name__ne": "x", "sort": "-id"}, {"name__ne": "x", "status": "active"}):
        with pytest.raises(BadListCursor):
            parse(customers.LISTING, {**parameters, "cursor": cursor})
    with pytest.raises(BadListCursor):
        parse(levels.LISTING, {"name__ne": "x", "cursor": cursor})


@pytest.mark.parametrize("cursor", ["", "x", "ü", "A" * 5000, "{}", "AAAAAAAAAAAAAAAAWzFd"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadListCursor):
        parse(levels.LISTING, {"cursor": cursor})


def test_chosen_fields_are_all_that_is_answered(directory: Directory) -> None:
    assert listed(directory, fields="name,status", name="王芳") == [{"name": "王芳", "status": "active"}]
    assert list(listed(directory)[0]) == list(customers.LISTING.shown)


def test_a_page_is_one_query(directory: Directory) -> None:
    statements: list[str] = []
    sa.event.listen(directory.engine, "before_cursor_execute", lambda *seen: statements.append(seen[2]))

    listed(directory, level__name="Gold", sort="level__name")

    assert len([each for each in statements if each.startswith("SELECT")]) == 1


def test_who_is_bound_to_a_customer_sees_that_customer_only(directory: Directory) -> None:
    ids = {each["name"]: each["id"] for each in listed(directory)}
    access.create_api_keys(
        directory, [{"name": name, "role": "customer", "customer_id": ids[name]} for name in ("王芳", "李伟")]
    )

    own = customers.listed(directory, parse(customers.LISTING, {}), customer_id=ids["王芳"])
    keys = access.listed(directory, parse(access.LISTING, {}), customer_id=ids["王芳"])

    assert [each["name"] for each in own.data] == ["王芳"]
    assert [each["name"] for each in keys.data] == ["王芳"]
    found = access.listed(directory, parse(access.LISTING, {"customer__name": "李伟", "role__name": "customer"}))
    assert [(each["name"], each["role"]) for each in found.data] == [("李伟", "customer")]


def test_prices_compare_as_numbers(directory: Directory) -> None:
    for sku, price in (("a", "0.10"), ("b", "9"), ("c", "10.5"), ("d", "0.000001")):
        products.create(
            directory,
            [{"sku": sku, "name": sku, "unit_price": price, "currency": "CNY", "executor": "simulated"}],
        )

    found = products.listed(directory, parse(products.LISTING, {"unit_price__lte": "9.000", "sort": "-unit_price"}))

    assert [(each["sku"], each["unit_price"]) for each in found.data] == [
        ("b", "9.00"),
        ("a", "0.10"),
        ("d", "0.000001"),
    ]
    active = parse(products.LISTING, {"active": "true", "sku__in": "a,d"})
    assert len(products.listed(directory, active).data) == 2
    with pytest.raises(BadListing):
        parse(products.LISTING, {"active": "1"})


def test_levels_are_listed_by_percentage(directory: Directory) -> None:
    found = levels.listed(directory, parse(levels.LISTING, {"discount_percent": "95.50", "fields": "name"}))

    assert found.data == [{"name": "Silver"}]
    with directory.reading() as session:
        assert session.scalar(sa.select(Level.discount_hundredths).where(Level.name == "Silver")) == 9_550
