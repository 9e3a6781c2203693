"""Searching orders finds what looking at every order finds, in the same order, whatever the filters and pages."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile

import pytest
import redis
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.append import Ledger
from ledger.database import open_engine
from ledger.orders import STATUSES, Order
from ledger.settings import LedgerSettings
from projections import order_columns, order_filters, order_layout, order_walk, order_window
from projections import search as search_module
from projections.drain import drain_once
from projections.redis_clients import open_redis
from projections.search import FreeText, OrderFilters, count_by_status, read_orders, search
from servers import PrivateRedis
from shop import PRODUCTS, all_orders, brute_force, fill

SORTS = ("newest", "oldest", "amount", "-amount")


@dataclass(frozen=True)
class Shop:
    """A read model and the orders it was made from."""

    client: redis.Redis
    customers: list[str]
    orders: list[Order]


@pytest.fixture(scope="module")
def log_engine(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[sa.Engine]:
    path = tmp_path_factory.mktemp("shop") / "ledger.sqlite"
    copyfile(migrated_sqlite, path)
    engine = open_engine(f"sqlite:///{path}", LedgerSettings())
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def customers(log_engine: sa.Engine) -> list[str]:
    ledger = Ledger(log_engine, LedgerSettings())
    found = fill(ledger, random.Random(7), customers=5, orders=400)
    ledger.close()
    return found


@pytest.fixture(scope="module", params=["redis", "valkey"])
def shop(request: pytest.FixtureRequest, log_engine: sa.Engine, customers: list[str]) -> Iterator[Shop]:
    server: PrivateRedis = request.getfixturevalue(f"{request.param}_server")
    server.flush()
    with pytest.MonkeyPatch.context() as patch, open_redis(server.url()) as client:
        # So few orders fill several windows, and some customers' and products' lists become dense.
        patch.setattr(order_layout, "WINDOW", 64)
        patch.setattr(order_layout, "DENSE_MIN", 20)
        patch.setattr(order_layout, "DENSE_SHARE", 5)
        while drain_once(log_engine, client, "orders", 77):
            pass
        yield Shop(client, customers, all_orders(log_engine))


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(values, max_size=4)


@st.composite
def filters_of(draw: st.DrawFn, shop: Shop) -> OrderFilters:
    def maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
        return st.one_of(st.none(), st.none(), strategy)

    ids = st.sampled_from([*(each.order_id for each in shop.orders), "ord_none"])
    customer, product = st.sampled_from([*shop.customers, "cus_none"]), st.sampled_from([*PRODUCTS, "none"])
    prefix = st.sampled_from(["INV", "inv-1", "发", "strass", "Inv-10", "x", "", "zzz"])
    place = st.integers(0, max(each.placed_position for each in shop.orders) + 5)
    amount = st.sampled_from([0, 49, 50, 250, 251, 5_000, 10**18])
    text = st.builds(
        FreeText,
        order_ids=some(ids),
        customer_ids=some(customer),
        products=some(product),
        reference_prefixes=some(prefix),
    )
    return draw(
        st.builds(
            OrderFilters,
            order_id=st.one_of(st.none(), st.none(), st.none(), ids),
            reference=maybe(prefix),
            reference_prefix=maybe(prefix),
            customer_ids=maybe(some(customer)),
            statuses=maybe(some(st.sampled_from(STATUSES))),
            products=maybe(some(product)),
            placed_from=maybe(place),
            placed_to=maybe(place),
            amount_min_minor=maybe(amount),
            amount_max_minor=maybe(amount),
            words=st.lists(text, max_size=3),
        )
    )


def all_pages(shop: Shop, filters: OrderFilters, sort: str, limit: int) -> list[str]:
    found, after = [], None
    for _ in range(2_000):
        page = search(shop.client, filters, sort=sort, limit=limit, after=after)  # type: ignore[arg-type]
        assert len(page.orders) <= limit
        found += [each.order.order_id for each in page.orders]
        if page.next is None:
            return found
        after = page.next
    raise AssertionError("pages without end")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_search_finds_what_looking_at_every_order_finds(shop: Shop, data: st.DataObject) -> None:
    filters = data.draw(filters_of(shop))
    sort = data.draw(st.sampled_from(SORTS))

    found = all_pages(shop, filters, sort, limit=data.draw(st.sampled_from([3, 20, 500])))

    assert found == brute_force(shop.orders, filters, sort)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_searches_beyond_the_limits_of_one_step_are_as_complete(
    shop: Shop, data: st.DataObject, tight_limits: None
) -> None:
    filters = data.draw(filters_of(shop))
    sort = data.draw(st.sampled_from(SORTS))

    found = all_pages(shop, filters, sort, limit=10)

    assert found == brute_force(shop.orders, filters, sort)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_counts_are_what_a_search_finds(shop: Shop, data: st.DataObject) -> None:
    filters = data.draw(filters_of(shop))

    _, counts = count_by_status(shop.client, filters)

    for status in STATUSES:
        if filters.statuses is None or status in filters.statuses:
            wanted = brute_force(shop.orders, replace(filters, statuses=[status]), "newest")
            assert counts[status].is_exact
            assert counts[status].orders == len(wanted)


@pytest.fixture
def tight_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_walk, "NUMBERS_MAX", 5)
    monkeypatch.setattr(order_walk, "DOCUMENTS_MAX", 3)
    monkeypatch.setattr(order_walk, "NAMED_MAX", 5)
    monkeypatch.setattr(order_walk, "LISTED_MAX", 50)
    monkeypatch.setattr(order_walk, "READ_MAX", 7)
    monkeypatch.setattr(order_walk, "REFERENCES_MAX", 40)
    monkeypatch.setattr(order_window, "CHUNK", 8)
    monkeypatch.setattr(order_walk, "WINDOWS_FIRST", 1)
    monkeypatch.setattr(search_module, "CHUNK_MIN", 2)
    monkeypatch.setattr(search_module, "CHUNK_MAX", 9)
    monkeypatch.setattr(search_module, "CANDIDATES_MAX", 20)
    monkeypatch.setattr(order_filters, "SOURCES_MAX", 4)
    monkeypatch.setattr(order_filters, "LOOKED_MAX", 1)


def test_a_count_that_would_take_long_says_so(shop: Shop, tight_limits: None) -> None:
    filters = OrderFilters(words=[FreeText(reference_prefixes=["inv"])])

    _, counts = count_by_status(shop.client, filters, count_max=10)

    assert not all(each.is_exact for each in counts.values())
    for status, count in counts.items():
        assert count.orders <= len(brute_force(shop.orders, replace(filters, statuses=[status]), "newest"))


def test_references_that_far_too_many_share_are_read_once_a_search(
    shop: Shop, tight_limits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "CANDIDATES_MAX", 1_000)
    monkeypatch.setattr(search_module, "FEW_SHARE", 1)
    run_script, begun = order_walk.run_script, []

    def counting(client: redis.Redis, name: str, script_keys: list[str], arguments: list[object]) -> object:
        # What goes on where the look before ended begins with "(".
        if name == "order_references" and bytes(arguments[2]).startswith(b"["):
            begun.append(arguments)
        return run_script(client, name, script_keys, arguments)

    monkeypatch.setattr(order_walk, "run_script", counting)
    filters = OrderFilters(reference_prefix="inv")

    page = search(shop.client, filters, limit=50)

    assert len(begun) == 1
    assert [each.order.order_id for each in page.orders] == brute_force(shop.orders, filters, "newest")[:50]


@pytest.mark.parametrize("sort", SORTS)
def test_very_many_customers_are_as_few_to_a_search(shop: Shop, sort: str, tight_limits: None) -> None:
    strangers = [f"cus_{number:032x}" for number in range(3_000)]
    filters = OrderFilters(customer_ids=[*strangers, *shop.customers[:2]], statuses=["placed", "completed"])

    found = all_pages(shop, filters, sort, limit=20)

    assert found == brute_force(shop.orders, filters, sort)
    assert found != [] and all_pages(shop, OrderFilters(customer_ids=strangers), sort, limit=20) == []


def test_every_word_must_match_in_some_way(shop: Shop) -> None:
    customer, product = (
        FreeText(customer_ids=shop.customers[:3]),
        FreeText(products=["sms"], reference_prefixes=["inv"]),
    )
    other = FreeText(customer_ids=shop.customers[2:])

    for words in ([customer, product], [customer, other], [customer, other, product]):
        filters = OrderFilters(words=words)
        found = all_pages(shop, filters, "newest", limit=20)
        assert found == brute_force(shop.orders, filters, "newest")
        assert found != []


def test_an_order_that_moved_on_between_two_looks_is_not_shown_as_it_was(shop: Shop) -> None:
    check = search_module.check_of(OrderFilters(statuses=["placed"]))
    placed = search(shop.client, OrderFilters(statuses=["placed"]), limit=1).orders[0]

    moved = placed._replace(order=placed.order._replace(status="completed"))

    assert check(placed) and not check(moved)


def test_a_found_order_is_the_log_s(shop: Shop) -> None:
    by_id = {each.order_id: each for each in shop.orders}

    page = search(shop.client, OrderFilters(), limit=500)

    assert [each.order for each in page.orders] == [by_id[each.order.order_id] for each in page.orders]
    assert len(page.orders) == len(by_id)


def test_orders_are_read_by_id(shop: Shop) -> None:
    some_ids = [each.order_id for each in shop.orders[:10]]

    _, found = read_orders(shop.client, [*some_ids, "ord_none"])

    assert sorted(found) == sorted(some_ids)


def test_orders_are_found_as_they_come(
    migrated_sqlite: Path, tmp_path: Path, redis_server: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process remembers of full windows must not hide what fills them, nor what comes after them."""
    monkeypatch.setattr(order_layout, "WINDOW", 64)
    monkeypatch.setattr(order_filters, "LOOKED_MAX", 0)
    monkeypatch.setattr(order_filters, "SOURCES_MAX", 0)
    monkeypatch.setattr(order_columns.amounts, "most", 2)
    path = tmp_path / "ledger.sqlite"
    copyfile(migrated_sqlite, path)
    engine = open_engine(f"sqlite:///{path}", LedgerSettings())
    ledger = Ledger(engine, LedgerSettings())
    customers: list[str] = []
    with open_redis(redis_server.url(5)) as client:
        for number in range(8):
            customers += fill(ledger, random.Random(number), customers=2, orders=50)
            while drain_once(engine, client, "orders", 1_000):
                pass
            shop = Shop(client, customers, all_orders(engine))
            for filters in (
                OrderFilters(amount_min_minor=50, amount_max_minor=5_000),
                OrderFilters(customer_ids=customers[::2]),
                OrderFilters(customer_ids=customers[::2], amount_min_minor=51),
            ):
                for sort in SORTS:
                    wanted = brute_force(shop.orders, filters, sort)
                    assert all_pages(shop, filters, sort, limit=20) == wanted
                    assert all_pages(shop, filters, sort, limit=500) == wanted
    ledger.close()
    engine.dispose()
