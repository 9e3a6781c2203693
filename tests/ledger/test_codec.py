"""Stored bytes: canonical, frozen by golden examples, and readable for ever."""

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec, events
from ledger.codec import FlatEncoder, canonical_json, decode, encode
from ledger.errors import CorruptLog
from ledger.events import EVENT_CLASSES, Event

GOLDEN: dict[tuple[str, int], tuple[Event, str]] = {
    ("account.opened", 1): (
        events.AccountOpened(currency="CNY", level_id="lvl_1", discount_percent="90", credit_limit_minor=0),
        '{"credit_limit_minor":0,"currency":"CNY","discount_percent":"90","level_id":"lvl_1"}',
    ),
    ("account.level_changed", 1): (
        events.AccountLevelChanged(level_id=None, discount_percent="100"),
        '{"discount_percent":"100"}',
    ),
    ("account.suspended", 1): (events.AccountSuspended(), "{}"),
    ("account.reactivated", 1): (events.AccountReactivated(), "{}"),
    ("account.credit_limit_changed", 1): (
        events.AccountCreditLimitChanged(credit_limit_minor=500),
        '{"credit_limit_minor":500}',
    ),
    ("recharge.posted", 1): (
        events.RechargePosted(amount_minor=10_000, currency="CNY", reference="发票 7"),
        '{"amount_minor":10000,"currency":"CNY","reference":"发票 7"}',
    ),
    ("deduction.posted", 1): (
        events.DeductionPosted(amount_minor=1, currency="JPY"),
        '{"amount_minor":1,"currency":"JPY"}',
    ),
    ("transaction.reversed", 1): (
        events.TransactionReversed(reverses_position=7, amount_minor=-100, currency="CNY"),
        '{"amount_minor":-100,"currency":"CNY","reverses_position":7}',
    ),
    ("order.placed", 1): (
        events.OrderPlaced(
            product="sku-1",
            quantity=100,
            unit_price="0.10",
            list_amount_minor=1_000,
            discount_percent="90",
            amount_minor=900,
            currency="CNY",
        ),
        '{"amount_minor":900,"currency":"CNY","discount_percent":"90","list_amount_minor":1000,"product":"sku-1",'  # noqa: ISC004
        '"quantity":100,"unit_price":"0.10"}',
    ),
    ("order.started", 1): (events.OrderStarted(attempt=1, executor="http"), '{"attempt":1,"executor":"http"}'),
    ("order.completed", 1): (
        events.OrderCompleted(delivered=50, captured_minor=450, released_minor=450),
        '{"captured_minor":450,"delivered":50,"released_minor":450}',
    ),
    ("order.failed", 1): (
        events.OrderFailed(code="rejected", released_minor=900),
        '{"code":"rejected","released_minor":900}',
    ),
    ("order.cancelled", 1): (
        events.OrderCancelled(delivered=0, captured_minor=0, released_minor=900, confirmed_by_executor=True),
        '{"captured_minor":0,"confirmed_by_executor":true,"delivered":0,"released_minor":900}',
    ),
    ("order.parked", 1): (events.OrderParked(code="contradiction"), '{"code":"contradiction"}'),
    ("order.resolved", 1): (
        events.OrderResolved(resolution="failed", delivered=0, captured_minor=0, released_minor=900),
        '{"captured_minor":0,"delivered":0,"released_minor":900,"resolution":"failed"}',
    ),
    ("customer.erased", 1): (events.CustomerErased(), "{}"),
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: st.lists(children) | st.dictionaries(st.text(st.characters(max_codepoint=127)), children),
    max_leaves=12,
)


def test_every_event_type_has_a_golden_example() -> None:
    assert set(GOLDEN) == {(each.TYPE, each.SCHEMA_VERSION) for each in EVENT_CLASSES.values()}


@pytest.mark.parametrize("key", GOLDEN, ids=lambda key: f"{key[0]}-v{key[1]}")
def test_stored_bytes_never_change(key: tuple[str, int]) -> None:
    event, stored = GOLDEN[key]

    assert encode(event) == stored.encode()
    assert decode(*key, stored.encode()) == event


@given(json_values)
def test_canonical_json_is_that_of_rfc_8785(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@given(
    st.dictionaries(
        st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1),
        st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=("Cs",))),
    )
)
def test_flat_attributes_are_written_as_canonical_json_writes_them(values: dict[str, Any]) -> None:
    names = {name: f"field_{name}" for name in values}
    instance = SimpleNamespace(**{names[name]: value for name, value in values.items()})
    given_values = {name: value for name, value in values.items() if value is not None}

    assert FlatEncoder(names, with_nulls=True).text(instance).encode() == canonical_json(values)
    assert FlatEncoder(names, with_nulls=False).text(instance).encode() == canonical_json(given_values)


def test_a_flat_attribute_of_another_type_is_refused() -> None:
    with pytest.raises(KeyError):
        FlatEncoder({"a": "a"}, with_nulls=True).text(SimpleNamespace(a=1.5))


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        canonical_json({"memo": "\ud800"})


@pytest.mark.parametrize(
    ("type_name", "version", "data"),
    [
        ("order.vanished", 1, b"{}"),
        ("recharge.posted", 2, b"{}"),
        ("recharge.posted", 1, b"{}"),
        ("recharge.posted", 1, b"{"),
        ("account.suspended", 1, b'{"surprise":1}'),
        ("account.suspended", 1, b"[]x"),
    ],
)
def test_what_cannot_be_read_stops_the_reader(type_name: str, version: int, data: bytes) -> None:
    with pytest.raises(CorruptLog):
        decode(type_name, version, data)


def test_an_old_shape_is_read_through_its_upcaster(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Suspended2:
        TYPE: ClassVar[str] = "account.suspended"
        SCHEMA_VERSION: ClassVar[int] = 2
        reason: str

    monkeypatch.setitem(codec.EVENT_CLASSES, "account.suspended", Suspended2)  # type: ignore[arg-type]

    read = decode("account.suspended", 1, b"{}", {("account.suspended", 1): lambda old: {**old, "reason": "unknown"}})

    assert read == Suspended2(reason="unknown")


def test_stored_data_is_plain_json_for_everyone() -> None:
    for event, stored in GOLDEN.values():
        assert json.loads(stored) == json.loads(encode(event))
