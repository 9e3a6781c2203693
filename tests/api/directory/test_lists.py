"""Lists of the directory: filters, order, chosen fields, pages."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Any

import pytest

from directory_front import GOOD, Front
from directory_front import NAMES as TOLD_APART_BY

NAMES = ("Ann", "ann", "Anna%", "Bob_", "Böb", "王芳", "王小明", "𝟙", "Zoë,Ltd", "50%")
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "": operator.eq,
    "__ne": operator.ne,
    "__gt": operator.gt,
    "__gte": operator.ge,
    "__lt": operator.lt,
    "__lte": operator.le,
    "__contains": lambda shown, asked: asked in shown,
    "__startswith": lambda shown, asked: shown.startswith(asked),
}


def ids(objects: list[dict[str, Any]]) -> set[str]:
    return {each["id"] for each in objects}


@pytest.fixture
def people(front: Front) -> list[dict[str, Any]]:
    levels = [
        front.create("levels", name=name, discount_percent=p)["id"] for name, p in (("Gold", "90"), ("Ög", "9.5"))
    ]
    contents = [
        {
            "name": name,
            "mobile": f"+86{index}" if index % 3 else None,
            "level_id": (*levels, None)[index % 3],
            "credit_limit": str(index % 4),
            "currency": "JPY" if index % 4 == 3 else "CNY",
        }
        for index, name in enumerate(NAMES)
    ]
    return front.create_many("customers", contents)


@pytest.mark.parametrize("suffix", COMPARISONS)
def test_texts_are_compared_exactly_on_every_engine(front, people, suffix: str) -> None:  # type: ignore[no-untyped-def]
    compare = COMPARISONS[suffix]
    for name, asked in itertools.product(("name", "mobile"), (*NAMES, "+863", "n", "_", "%", "王")):
        wanted = {
            each["id"] for each in people if (suffix == "__ne" if each[name] is None else compare(each[name], asked))
        }
        assert ids(front.list("customers", **{f"{name}{suffix}": asked})) == wanted, (name, suffix, asked)


@pytest.mark.parametrize("suffix", ["", "__ne", "__in", "__gt", "__contains", "__startswith"])
def test_a_users_number_in_other_digits_is_refused_on_every_engine(front: Front, suffix: str) -> None:
    answer = front.ask("GET", "users", query={f"mobile{suffix}": "１３８"})

    assert (answer.status_code, answer.json["code"]) == (422, "invalid-fields")
    assert [each["parameter"] for each in answer.json["errors"]] == [f"mobile{suffix}"]
    assert front.list("users", mobile="+8613800138000") == []


@pytest.mark.parametrize("suffix", ["", "__ne", "__gt", "__gte", "__lt", "__lte"])
def test_numbers_and_times_are_compared_by_value(front, people, suffix: str) -> None:  # type: ignore[no-untyped-def]
    compare = COMPARISONS[suffix]
    for asked in ("0", "1.00", "2.5", "3"):
        wanted = {each["id"] for each in people if compare(float(each["credit_limit"]), float(asked))}
        assert ids(front.list("customers", **{f"credit_limit{suffix}": asked})) == wanted
    middle = people[5]["created_at"]
    wanted = {each["id"] for each in people if compare(each["created_at"], middle)}
    assert ids(front.list("customers", **{f"created_at{suffix}": middle})) == wanted


def test_in_isnull_and_relations_filter(front, people) -> None:  # type: ignore[no-untyped-def]
    assert ids(front.list("customers", name__in="Ann,王芳,absent")) == {people[0]["id"], people[5]["id"]}
    assert ids(front.list("customers", mobile__isnull="true")) == {e["id"] for e in people if e["mobile"] is None}
    assert ids(front.list("customers", mobile__isnull="false")) == {e["id"] for e in people if e["mobile"] is not None}
    gold = {each["id"] for index, each in enumerate(people) if index % 3 == 0}
    assert ids(front.list("customers", level__name="Gold")) == gold
    assert ids(front.list("customers", level__name__startswith="G", name__contains="n")) == {people[0]["id"]}
    assert ids(front.list("customers", level__discount_percent__lt="10")) == {
        each["id"] for index, each in enumerate(people) if index % 3 == 1
    }


def test_other_lists_filter_by_their_own_fields(front) -> None:  # type: ignore[no-untyped-def]
    front.create("products", active=False)
    dear = front.create("products", sku="dear", unit_price="10", min_quantity=5)
    customer = front.create("customers", name="own")
    key = front.create("api-keys", customer_id=customer["id"])

    assert ids(front.list("products", active="true")) == {dear["id"]}
    assert ids(front.list("products", unit_price__gt="0.10")) == {dear["id"]}
    assert ids(front.list("products", min_quantity__gte="5", currency="CNY")) == {dear["id"]}
    assert len(front.list("roles", builtin="true")) == 4
    assert ids(front.list("api-keys", role="operator")) == {key["id"]}
    assert ids(front.list("api-keys", customer__name="own", role__name__in="operator,admin")) == {key["id"]}


@pytest.mark.parametrize(
    "query",
    [
        {"absent": "1"},
        {"name__like": "x"},
        {"level__id__name": "x"},
        {"active__gt": "true"},
        {"name__eq": "x"},
        {"__contains": "x"},
        {"created_at": "yesterday"},
        {"created_at": "2026-11-22"},
        {"created_at": "9" * 400},
        {"credit_limit": "1e3"},
        {"revision": "9" * 30},
        {"revision": "-1"},
        {"mobile__isnull": "1"},
        {"name": "a\0b"},
        {"id": "é"},
        {"id__contains": "é"},
        {"name": "x" * 2_000},
        {"id__in": ",".join(["x"] * 201)},
        {"sort": "absent"},
        {"sort": "--name"},
        {"sort": "name,"},
        {"sort": "name,status,currency,revision,created_at"},
        {"fields": "id,absent"},
        {"fields": ""},
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "-1"},
        {"limit": "1.0"},
        {"limit": "٣"},
        {"limit": ""},
    ],
)
def test_what_a_list_does_not_know_is_refused_by_its_parameter(front, query: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    answer = front.ask("GET", "customers", query=query)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid-fields"), answer.text
    assert [each["parameter"] for each in answer.json["errors"]] == list(query)


@pytest.mark.parametrize("cursor", ["", "x", "é", "A" * 7_000, "eyJhIjoxfQ", "====", "AAAA\n", "\ud83d"])
def test_a_cursor_that_is_none_of_ours_is_refused(sqlite_front, cursor: str) -> None:  # type: ignore[no-untyped-def]
    sent = cursor.encode("utf-8", "surrogatepass").decode("utf-8", "replace")

    answer = sqlite_front.ask("GET", "levels", query={"cursor": sent})

    assert (answer.status_code, answer.json["code"]) == (422, "invalid-cursor")


def test_a_cursor_fits_only_its_own_question(front) -> None:  # type: ignore[no-untyped-def]
    front.create_many("levels", [{"name": f"n{n}", "discount_percent": "50"} for n in range(5)])
    first = front.ask("GET", "levels", query={"limit": "2", "sort": "-name", "name__startswith": "n"}).json
    asked = {"sort": "-name", "name__startswith": "n", "cursor": first["next"]}
    assert [each["name"] for each in first["data"]] == ["n4", "n3"]

    for change in ({"sort": "name"}, {"sort": ""}, {"name__startswith": "n1"}, {"name": "n1"}):
        answer = front.ask("GET", "levels", query={**asked, **change})
        assert (answer.status_code, answer.json["code"]) == (422, "invalid-cursor"), change
    altered = ("B" if first["next"][0] == "A" else "A") + first["next"][1:]
    assert front.ask("GET", "levels", query={**asked, "cursor": altered}).status_code == 422
    assert front.ask("GET", "roles", query=asked).status_code == 422

    rest = front.ask("GET", "levels", query={**asked, "limit": "200", "fields": "name"}).json
    assert rest == {"data": [{"name": "n2"}, {"name": "n1"}, {"name": "n0"}], "next": None}


@pytest.mark.parametrize(
    "sort", ["", "-id", "name", "-contact,name", "contact", "-level__name,-created_at", "credit_limit"]
)
def test_pages_show_every_object_once_while_others_come(front, sort: str) -> None:  # type: ignore[no-untyped-def]
    level_id = front.create("levels")["id"]
    contents = [
        {
            "name": f"n{number % 7}",
            "contact": f"c{number % 3}" if number % 2 else None,
            "level_id": level_id if number % 5 else None,
            "credit_limit": str(number % 4),
        }
        for number in range(250)
    ]
    there = ids(front.create_many("customers", contents))
    seen: list[str] = []
    query = {"limit": "40", "sort": sort}
    while True:
        page = front.ask("GET", "customers", query=query).json
        seen += [each["id"] for each in page["data"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
        front.create("customers", name=f"n{len(seen) % 9}", credit_limit="1")

    assert len(seen) == len(set(seen)) and there <= set(seen)


def test_sorted_pages_are_in_order(front, people) -> None:  # type: ignore[no-untyped-def]
    for sort, key in (("name", "name"), ("-name", "name"), ("mobile", "mobile"), ("-created_at,name", "created_at")):
        shown = [each[key] or "" for each in front.list("customers", sort=sort)]
        assert shown == sorted(shown, reverse=sort.startswith("-"))


@pytest.mark.parametrize("path", sorted(GOOD))
def test_chosen_fields_are_answered_and_no_others(sqlite_front, path: str) -> None:  # type: ignore[no-untyped-def]
    made, name = sqlite_front.create(path), TOLD_APART_BY.get(path, "name")

    shown = sqlite_front.list(path, fields=f"revision,{name},{name}", id=made["id"])

    assert [list(each.items()) for each in shown] == [[("revision", made["revision"]), (name, made[name])]]


@pytest.mark.parametrize("path", sorted(GOOD))
def test_every_field_of_a_list_takes_every_operator_it_documents(front, path: str) -> None:  # type: ignore[no-untyped-def]
    front.create(path)
    (route,) = [
        route for area in _areas() for route in area.routes if (route.method, route.path) == ("GET", f"/v1/{path}")
    ]
    values = ("x", "1", "true", "2026-11-22T10:00:00.5+08:00")
    for parameter in route.query.fields.keys() - {"limit", "cursor", "sort", "fields"}:
        statuses = [front.ask("GET", path, query={parameter: value}).status_code for value in values]
        assert 200 in statuses and set(statuses) <= {200, 422}, parameter
        if "__" not in parameter:
            assert front.ask("GET", path, query={"sort": f"-{parameter}"}).status_code == 200


def _areas() -> tuple[Any, ...]:
    from api.directory.areas import AREAS

    return AREAS
