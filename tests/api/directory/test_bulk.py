"""Many objects at once: all or none, with one error for each object that is wrong."""

from __future__ import annotations

import time

import pytest

from directory_front import GOOD, NAMES, SECRETS

UNIQUE = {"levels": "name", "products": "sku", "roles": "name"}


def contents(path: str, count: int) -> list[dict]:  # type: ignore[type-arg]
    return [{**GOOD[path], NAMES.get(path, UNIQUE.get(path, "name")): f"n{number}"} for number in range(count)]


@pytest.mark.parametrize("path", sorted(GOOD))
def test_many_objects_are_created_in_their_order(front, path: str) -> None:  # type: ignore[no-untyped-def]
    wanted = contents(path, 3)

    made = front.create_many(path, wanted)

    assert all(shown.items() >= content.items() for shown, content in zip(made, wanted, strict=True))
    if path in SECRETS:
        assert len({each.pop(SECRETS[path]) for each in made}) == 3
    assert [front.read(path, each["id"]) for each in made] == made


@pytest.mark.parametrize("path", sorted(GOOD))
def test_one_bad_object_of_a_bulk_leaves_nothing_behind(front, path: str) -> None:  # type: ignore[no-untyped-def]
    before = front.list(path)
    wanted, name = contents(path, 5), NAMES.get(path, "name")
    wanted[1][name], wanted[3] = 5, {}

    answer = front.ask("POST", f"{path}/bulk", wanted)

    assert answer.status_code == 422
    pointers = [each["pointer"] for each in answer.json["errors"]]
    assert pointers[0] == f"/1/{name}" and len(pointers) == 2 and pointers[1].startswith("/3/")
    assert front.list(path) == before


@pytest.mark.parametrize("path", sorted(UNIQUE))
def test_names_that_are_taken_are_told_for_each_object(front, path: str) -> None:  # type: ignore[no-untyped-def]
    wanted, field = contents(path, 5), UNIQUE[path]
    front.create(path, **{field: wanted[1][field]})
    wanted[4][field] = wanted[0][field]
    before = front.list(path)

    answer = front.ask("POST", f"{path}/bulk", wanted)

    assert [each["pointer"] for each in answer.json["errors"]] == [f"/1/{field}", f"/4/{field}"]
    assert front.list(path) == before


def test_references_to_nothing_are_told_for_each_object(front) -> None:  # type: ignore[no-untyped-def]
    level_id = front.create("levels")["id"]
    levels = [level_id, "lvl_a", None, "lvl_b"]
    before = front.list("customers")

    answer = front.ask("POST", "customers/bulk", [{"name": "x", "level_id": each} for each in levels])

    assert [each["pointer"] for each in answer.json["errors"]] == ["/1/level_id", "/3/level_id"]
    assert front.list("customers") == before == []

    keys = [{"name": "a", "role": "admin"}, {"name": "b", "role": "customer"}, {"name": "c", "role": "nobody"}]
    answer = front.ask("POST", "api-keys/bulk", keys)
    assert [each["pointer"] for each in answer.json["errors"]] == ["/1/customer_id", "/2/role"]


def test_a_bulk_has_1_to_1000_objects(sqlite_front) -> None:  # type: ignore[no-untyped-def]
    for wanted in ([], contents("levels", 1_001), {}, "x", None):
        answer = sqlite_front.ask("POST", "levels/bulk", wanted)
        assert answer.status_code in (415, 422), wanted
    assert sqlite_front.list("levels") == []

    started = time.monotonic()
    made = sqlite_front.create_many("customers", contents("customers", 1_000))

    assert len(made) == 1_000 and time.monotonic() - started < 60
    assert len(sqlite_front.services.ledger.accounts([each["id"] for each in made])) == 1_000
