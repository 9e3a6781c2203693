"""Lists: filters, order, chosen fields and pages, the same on every engine."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import sqlalchemy as sa

from ledger.directory import access, customers, levels, products, roles
from ledger.directory.changes import stamps
from ledger.directory.directory import Directory
from ledger.directory.errors import BadListing
from ledger.directory.listing import Listing, Page, page
from ledger.directory.models import Customer
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


def listed(
    directory: Directory, listing: Listing, *, sort: str = "", limit: int = 200, after: Any = None, **filters: str
) -> Page:
    with directory.reading() as session:
        return page(session, listing, filters, sort=sort, limit=limit, after=after)


def names(directory: Directory, **filters: str) -> set[str]:
    return {row.name for row in listed(directory, customers.LISTING, **filters).rows}


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
    ("filters", "wrong", "says"),
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
        ({"sort": "-nobody"}, "sort", "name"),
        ({"sort": "name,"}, "sort", "name"),
        ({"sort": "--name"}, "sort", "name"),
        ({"sort": "name,mobile,status,currency,revision"}, "sort", "at most 4"),
    ],
)
def test_what_a_list_does_not_know_is_refused_naming_what_it_knows(
    directory: Directory, filters: dict[str, str], wrong: str, says: str
) -> None:
    with pytest.raises(BadListing) as refused:
        listed(directory, customers.LISTING, **filters)

    assert refused.value.pointer == f"/{wrong}"
    assert says in refused.value.problem


@pytest.mark.parametrize(
    "sort", ["", "name", "-name", "mobile", "-mobile,name", "level__name,-created_at", "status,-credit_limit"]
)
def test_pages_show_every_row_once_in_order(directory: Directory, sort: str) -> None:
    whole = [row.id for row in listed(directory, customers.LISTING, sort=sort).rows]
    found: list[str] = []
    after: Any = None

    for _ in range(10):
        shown = listed(directory, customers.LISTING, sort=sort, limit=3, after=after)
        found += [row.id for row in shown.rows]
        after = shown.after
        if after is None:
            break

    assert found == whole and len(found) == len(NAMES)


def test_a_row_added_behind_the_place_is_shown_and_one_before_it_shifts_nothing(
    directory: Directory, office: Any
) -> None:
    first = listed(directory, customers.LISTING, sort="name", limit=2)
    office.customer("0 before")
    office.customer("zz behind")

    rest = listed(directory, customers.LISTING, sort="name", after=first.after)

    assert {"zz behind"} == {row.name for row in rest.rows} - set(NAMES)
    assert len(rest.rows) == len(NAMES) - 2 + 1


def test_a_place_of_another_order_is_refused(directory: Directory) -> None:
    first = listed(directory, customers.LISTING, sort="name", limit=2)

    with pytest.raises(BadListing):
        listed(directory, customers.LISTING, after=first.after)


def test_a_page_is_one_query(directory: Directory) -> None:
    statements: list[str] = []
    sa.event.listen(directory.engine, "before_cursor_execute", lambda *seen: statements.append(seen[2]))

    listed(directory, customers.LISTING, level__name="Gold", sort="level__name")

    assert len([each for each in statements if each.startswith("SELECT")]) == 1


def test_a_scope_hides_everything_else(directory: Directory) -> None:
    ids = {row.name: row.id for row in listed(directory, customers.LISTING).rows}

    with directory.reading() as session:
        own = page(
            session,
            customers.LISTING,
            {"name__in": "王芳,李伟"},
            sort="",
            limit=200,
            after=None,
            scope=[Customer.id == ids["王芳"]],
        )

    assert [row.name for row in own.rows] == ["王芳"]


def test_keys_are_found_by_their_role_and_customer(directory: Directory) -> None:
    ids = {row.name: row.id for row in listed(directory, customers.LISTING).rows}
    access.create_api_keys(
        directory, [{"name": name, "role": "customer", "customer_id": ids[name]} for name in ("王芳", "李伟")]
    )

    found = listed(directory, access.LISTING, customer__name="李伟", role__name="customer", role="customer")

    assert [access.public(row)["customer_id"] for row in found.rows] == [ids["李伟"]]


def test_prices_compare_as_numbers(directory: Directory) -> None:
    for sku, price in (("a", "0.10"), ("b", "9"), ("c", "10.5"), ("d", "0.000001")):
        products.create(
            directory, [{"sku": sku, "name": sku, "unit_price": price, "currency": "CNY", "executor": "simulated"}]
        )

    found = listed(directory, products.LISTING, unit_price__lte="9.000", sort="-unit_price")

    assert [row.sku for row in found.rows] == ["b", "a", "d"]
    assert len(listed(directory, products.LISTING, active="true", sku__in="a,d").rows) == 2
    with pytest.raises(BadListing):
        listed(directory, products.LISTING, active="1")


def test_levels_and_roles_are_listed(directory: Directory) -> None:
    assert [row.name for row in listed(directory, levels.LISTING, discount_percent="95.50").rows] == ["Silver"]
    assert len(listed(directory, roles.LISTING, builtin="true").rows) == 4
