"""What a plain schema accepts without loading is exactly what marshmallow would load it to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from api.application import AREAS
from api.batch_items import SCHEMAS
from api.directory.fields import StrictSchema

PLAIN: list[StrictSchema] = [
    schema
    for schema in [
        *(route.body for area in AREAS for route in area.routes),
        *(schema for schema, _ in SCHEMAS.values()),
    ]
    if isinstance(schema, StrictSchema) and schema.plain
]
RIGHT: dict[str, list[Any]] = {
    "amount": ["12.50", "0.0001", "999999999999999.9999", "1"],
    "reference": ["order 7", "订单 7", None],
    "memo": ["x", None],
    "customer_id": ["cus_1"],
    "product": ["sms"],
    "quantity": [1, 10_000],
    "params": [{}, {"phone": "+86 138", "retries": 3}, None],
    "reason": ["mistaken", None],
    "order_id": ["ord_1"],
    "idempotency_key": ["key 1"],
}
ODD: list[Any] = [
    *("", " ", "x ", " x", "a\nb", "\0", "\u200b", "\u3000", "\ud800", "é", "x" * 2_000, "x" * 256, "a b\u2028", "１"),
    *("0", "0.0", "00.1", "01", "1.", ".5", "+1", "-1", "1e3", "1_0", "NaN", "1.00000", "9" * 16, "１.０"),
    *(0, -1, 2**63, 10**29, 1.0, 1.5, True, False, None, [], ["x"], {}),
    *({"a": {"b": 1}}, {"a": [1]}, {"a\n": 1}, {"a": "\ud800"}, {"a": True}, {"a": None}, {"a": 1.5}, {"": ""}),
    *({"a": "x" * 16_383}, {"a": "x" * 16_384}, {f"k{n}": n for n in range(30)}),
]
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=4,
)
VALUES = st.one_of(st.sampled_from(ODD), st.sampled_from([each for some in RIGHT.values() for each in some]), JSON)


def ensure_the_same(schema: StrictSchema, document: Any) -> None:
    if schema.accepts(document):
        try:
            assert schema.load(document) == document, document
        except ValidationError as error:
            raise AssertionError(f"{document!r} was accepted: {error}") from None


@pytest.mark.parametrize("schema", PLAIN, ids=lambda schema: type(schema).__name__)
@given(data=st.data())
def test_no_document_is_accepted_that_marshmallow_would_refuse_or_change(
    schema: StrictSchema, data: st.DataObject
) -> None:
    names = st.sampled_from([*schema.fields, *schema.fields, "unknown"])

    ensure_the_same(schema, data.draw(st.dictionaries(names, VALUES, max_size=8)))
    ensure_the_same(schema, data.draw(JSON))


@pytest.mark.parametrize("schema", PLAIN, ids=lambda schema: type(schema).__name__)
def test_every_odd_value_of_every_field_is_judged_alike(schema: StrictSchema) -> None:
    good = {name: RIGHT[name][0] for name in schema.fields}
    for name in schema.fields:
        for value in (*ODD, *RIGHT[name]):
            ensure_the_same(schema, good | {name: value})


@pytest.mark.parametrize("schema", PLAIN, ids=lambda schema: type(schema).__name__)
def test_what_is_usual_is_accepted_without_loading(schema: StrictSchema) -> None:
    good = {name: RIGHT[name][0] for name in schema.fields}

    assert schema.accepts(good)
    assert schema.accepts({name: good[name] for name, each in schema.fields.items() if each.required})
    assert not schema.accepts(good | {"unknown": 1})
    for name, each in schema.fields.items():
        if each.required:
            assert not schema.accepts({key: value for key, value in good.items() if key != name})


@pytest.mark.parametrize("schema", PLAIN, ids=lambda schema: type(schema).__name__)
def test_a_plain_schema_has_no_hooks_and_no_defaults_and_keeps_its_names(schema: StrictSchema) -> None:
    assert not any(schema._hooks.values())
    for name, each in schema.fields.items():
        assert each.load_default.__class__.__name__ == "_Missing" and each.data_key in (None, name)
        assert not each.validators and not each.load_only and not each.dump_only
