"""Whatever is wrong with a field is said at that field, and nothing is stored. The bad values follow from the schemas."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import fields

from api.directory import api_keys, customers, levels, products, roles, webhooks
from api.directory.fields import Settings, Sku, StrictSchema, Text, Token, WholeNumber
from api.directory.resources import Resource
from directory_front import GOOD, Front
from ledger.directory import users
from ledger.directory.errors import BadField

RESOURCES = {
    each.path.removeprefix("/v1/"): each
    for each in (
        customers.RESOURCE,
        levels.RESOURCE,
        products.RESOURCE,
        roles.RESOURCE,
        api_keys.RESOURCE,
        webhooks.RESOURCE,
    )
}
OTHER_TYPES: tuple[Any, ...] = (None, True, False, 0, 1, -1, 1.5, 10**20, "", [], ["x"], {}, {"x": 1})
SHOWN_AGAIN = {"url": "https://a.example", "secret": "(set)"}
HOSTILE_TEXTS = ("\0", "a\nb", "a\x1b[31m", "a\x7f", "\ud800", "a\udfff", " a", "a ", "\u3000a", "\x85")


def bad_values(field: fields.Field[Any]) -> list[Any]:
    """Return values that the field must refuse."""
    good_types: dict[type, tuple[type, ...]] = {
        fields.Boolean: (bool,),
        fields.List: (list,),
        fields.Dict: (dict,),
        fields.Integer: (int,),
        fields.String: (),
    }
    accepted = next(types for kind, types in good_types.items() if isinstance(field, kind))
    found = [value for value in OTHER_TYPES if type(value) not in accepted and not (value is None and field.allow_none)]
    match field:
        case Text():
            found += [*HOSTILE_TEXTS, "x" * (field.length_max + 1), "𝟙" * (field.length_max + 1)]
        case Token() | Sku():
            found += [*HOSTILE_TEXTS, "é", "a/b", "a b", "x" * 81]
        case WholeNumber():
            found += [field.minimum - 1, field.maximum + 1, 10**29, "1", float(field.minimum)]
        case Settings():
            found += [{"url": "\0"}, {"\ud800": 1}, {"x": "y" * 20_000}, {"unknown": 1}]
        case fields.List():
            found += [[value] for value in OTHER_TYPES] + [["x"] * 2_000]
        case fields.String():
            found += [*HOSTILE_TEXTS, "nonsense", "CN", "cny", "XXX", "1e2", "-1", "+1", "1.", "１", "NaN", "9" * 30]
    return found


CASES = [
    (path, name, value)
    for path, resource in RESOURCES.items()
    for name, field in resource.contents().fields.items()
    for value in bad_values(field)
]
CHANGE_CASES = [
    (path, name, value)
    for path, resource in RESOURCES.items()
    for name, field in resource.changes.fields.items()
    for value in bad_values(field)
]


def state(front: Front, path: str) -> Any:
    return front.list(path)


def wrong(path: str, cases: list[tuple[str, str, Any]]) -> list[tuple[str, Any]]:
    found = [(name, value) for where, name, value in cases if where == path]
    assert len(found) > 20
    return found


@pytest.mark.parametrize("path", sorted(RESOURCES))
def test_a_bad_field_is_refused_where_it_stands_and_nothing_is_created(sqlite_front, path: str) -> None:  # type: ignore[no-untyped-def]
    before = state(sqlite_front, path)

    for name, value in wrong(path, CASES):
        answer = sqlite_front.ask("POST", path, {**GOOD[path], name: value})
        assert answer.status_code == 422, (name, value, answer.text)
        assert answer.json["code"] == "invalid-fields"
        assert any(each["pointer"].startswith(f"/{name}") for each in answer.json["errors"]), (name, value)

    assert state(sqlite_front, path) == before


@pytest.mark.parametrize("path", sorted(RESOURCES))
def test_a_bad_field_of_a_change_is_refused_where_it_stands_and_nothing_is_changed(sqlite_front, path: str) -> None:  # type: ignore[no-untyped-def]
    made = sqlite_front.create(path)
    before = state(sqlite_front, path)

    for name, value in wrong(path, CHANGE_CASES):
        answer = sqlite_front.ask("PATCH", f"{path}/{made['id']}", {name: value})
        assert answer.status_code == 422, (name, value, answer.text)
        assert any(each["pointer"].startswith(f"/{name}") for each in answer.json["errors"]), (name, value)

    assert state(sqlite_front, path) == before


@pytest.mark.parametrize("path", sorted(RESOURCES))
def test_missing_and_unknown_fields_are_refused(sqlite_front, path: str) -> None:  # type: ignore[no-untyped-def]
    before = state(sqlite_front, path)
    for name in (name for name, field in RESOURCES[path].contents().fields.items() if field.required):
        content = {key: value for key, value in GOOD[path].items() if key != name}
        answer = sqlite_front.ask("POST", path, content)
        assert answer.status_code == 422 and answer.json["errors"][0]["pointer"] == f"/{name}"

    for unknown, pointer in (("id", "/id"), ("revision", "/revision"), ("a/b~c", "/a~1b~0c"), ("\ud800", None)):
        answer = sqlite_front.ask("POST", path, {**GOOD[path], unknown: "x"})
        assert answer.status_code == 422
        assert pointer is None or answer.json["errors"][0]["pointer"] == pointer

    for body in (None, [], "x", 1, True, [GOOD[path]]):
        assert sqlite_front.ask("POST", path, body).status_code in (415, 422), body
    assert state(sqlite_front, path) == before


@pytest.mark.parametrize(
    ("path", "content", "pointer"),
    [
        ("customers", {"level_id": "lvl_absent"}, "/level_id"),
        ("customers", {"credit_limit": "0.001"}, "/credit_limit"),
        ("customers", {"credit_limit": "1.5", "currency": "JPY"}, "/credit_limit"),
        ("customers", {"credit_limit": "999999999999999"}, "/credit_limit"),
        ("api-keys", {"role": "absent"}, "/role"),
        ("api-keys", {"customer_id": "cus_absent"}, "/customer_id"),
        ("api-keys", {"role": "customer"}, "/customer_id"),
        ("products", {"min_quantity": 5, "max_quantity": 4}, "/max_quantity"),
        ("products", {"tiers": [{"from_quantity": 1, "unit_price": "1"}] * 2}, "/tiers"),
        ("products", {"tiers": [{"from_quantity": n, "unit_price": "1"} for n in range(1, 52)]}, "/tiers"),
        ("products", {"tiers": [{"from_quantity": 1, "unit_price": 1}]}, "/tiers/0/unit_price"),
        ("products", {"tiers": [{"from_quantity": True, "unit_price": "1"}]}, "/tiers/0/from_quantity"),
        ("products", {"executor": "nobody"}, "/executor"),
        ("products", {"executor": "http"}, "/executor_settings/url"),
        ("products", {"executor_settings": {"delay_s": "1"}}, "/executor_settings/delay_s"),
        ("products", {"executor": "http", "executor_settings": SHOWN_AGAIN}, "/executor_settings/secret"),
        ("roles", {"permissions": ["recharges.post", "everything"]}, "/permissions/1"),
    ],
)  # fmt: skip
def test_what_refers_to_nothing_or_contradicts_itself_is_refused(front, path: str, content: Any, pointer: str) -> None:  # type: ignore[no-untyped-def]
    before = state(front, path)

    answer = front.ask("POST", path, {**GOOD[path], **content})

    assert (answer.status_code, [each["pointer"] for each in answer.json["errors"]]) == (422, [pointer]), answer.text
    assert state(front, path) == before


def test_a_change_that_contradicts_what_is_stored_is_refused(front) -> None:  # type: ignore[no-untyped-def]
    product = front.create("products", min_quantity=10, max_quantity=20)
    customer = front.create("customers", currency="JPY")

    for path, object_id, change, pointer in (
        ("products", product["id"], {"max_quantity": 9}, "/max_quantity"),
        ("products", product["id"], {"sku": "other"}, "/sku"),
        ("products", product["id"], {"currency": "JPY"}, "/currency"),
        ("customers", customer["id"], {"currency": "CNY"}, "/currency"),
        ("customers", customer["id"], {"credit_limit": "1.5"}, "/credit_limit"),
        ("customers", customer["id"], {"level_id": "lvl_absent"}, "/level_id"),
    ):
        answer = front.ask("PATCH", f"{path}/{object_id}", change)
        assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, pointer)
    assert (front.read("products", product["id"]), front.read("customers", customer["id"])) == (product, customer)


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        ({"username": "ß" * 33}, "/username"),
        ({"username": "㎯" * 22}, "/username"),
        ({"mobile": "+49301234567890123"}, "/mobile"),
    ],
)
def test_what_is_too_long_only_as_it_is_kept_is_refused_like_what_is_too_long(
    front: Front, content: dict[str, str], pointer: str
) -> None:
    good = {"username": "ada", "role": "auditor", "mobile": "+8613800138000"}
    other = {"username": "bob", "role": "auditor", "mobile": "+8613800138001"}

    alone = front.ask("POST", "users", good | content)
    among_others = front.ask("POST", "users/bulk", [other, good | content])
    assert front.list("users") == []
    made = front.ask("POST", "users", good).json
    changed = front.ask("PATCH", f"users/{made['id']}", content)

    assert [
        (each.status_code, [error["pointer"] for error in each.json["errors"]])
        for each in (alone, among_others, changed)
    ] == [(422, [pointer]), (422, [f"/1{pointer}"]), (422, [pointer])]
    assert front.list("users") == [made]
    longest = front.ask("PATCH", f"users/{made['id']}", {"username": "ß" * 32})
    assert (longest.status_code, longest.json["username"]) == (200, "ss" * 32)


def test_the_first_administrators_name_is_refused_when_it_is_too_long_as_it_is_kept(front: Front) -> None:
    with pytest.raises(BadField) as refused:
        users.bootstrap(front.services.directory, "ß" * 33, "correct horse battery")

    assert refused.value.pointer == "/username"


def test_the_longest_texts_are_stored_as_they_were_sent(front) -> None:  # type: ignore[no-untyped-def]
    longest: dict[str, dict[str, str]] = {
        path: {
            name: "𝟙" * field.length_max
            for name, field in resource.contents().fields.items()
            if isinstance(field, Text)
        }
        for path, resource in RESOURCES.items()
    }
    longest["api-keys"].pop("role")
    longest["webhooks"]["url"] = "https://example.org/".ljust(len(longest["webhooks"]["url"]), "a")
    for path, texts in longest.items():
        assert texts and front.create(path, **texts).items() >= texts.items()


def test_every_schema_is_strict() -> None:
    def nested(schema: Any) -> list[Any]:
        inner = [each.inner if isinstance(each, fields.List) else each for each in schema.fields.values()]
        return [schema, *(each.schema for each in inner if isinstance(each, fields.Nested))]

    def schemas(resource: Resource) -> list[Any]:
        return [*nested(resource.contents()), *nested(resource.changes)]

    for resource in RESOURCES.values():
        for schema in schemas(resource):
            assert isinstance(schema, StrictSchema) and schema.unknown == "raise"
