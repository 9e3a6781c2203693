"""The API's own description: complete, true, and shown on a page that needs nothing from elsewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from api.application import AREAS
from api.problems import CATALOGUE
from ledger.directory.permissions import PERMISSIONS
from till import Till

EXAMPLES = 8
ROUTES = [route for area in AREAS for route in area.routes if route.tag != "console"]
"""The pages of the console are no part of the API."""


@pytest.fixture
def described(sqlite_till: Till) -> Any:
    sqlite_till.recharge("100.00")
    sqlite_till.place(1)
    sqlite_till.drain()
    schema = schemathesis.openapi.from_wsgi("/openapi.json", sqlite_till.front.app)
    schema.config.headers = {"Authorization": f"Bearer {sqlite_till.front.secret}"}
    return schema


def test_whatever_is_sent_is_answered_as_described(described: Any) -> None:
    for found in described.get_all_operations():
        assert hasattr(found, "ok"), found.err()
        operation = found.ok()

        @settings(max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            # Whether a credential is looked at is tested elsewhere: here every request carries the good one.
            # A position of the future is waited for, each time, and then 503.
            case.headers.pop("Ledger-Min-Position", None)
            case.call_and_validate(excluded_checks=[positive_data_acceptance, ignored_auth])

        check()


def test_every_route_is_described_with_its_permission_and_errors(sqlite_till: Till) -> None:
    described = sqlite_till.front.app.test_client().get("/openapi.json").json

    operations = {each["operationId"]: each for path in described["paths"].values() for each in path.values()}
    assert set(operations) == {route.operation_id for route in ROUTES}
    for route in ROUTES:
        operation = operations[route.operation_id]
        assert operation.get("x-permission", "") in {"", *PERMISSIONS}
        assert {"422", "500"} <= set(operation["responses"])
    assert described["openapi"] == "3.1.0"


def test_every_code_of_the_catalogue_says_what_to_do() -> None:
    for error, entry in CATALOGUE.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", error.code), error
        assert entry.title
        assert entry.remedy.endswith(".")
        assert 400 <= entry.status < 600


@pytest.mark.parametrize("path", ["/docs", "/docs/docs.js", "/docs/docs.css"])
def test_the_page_loads_only_from_here_and_runs_nothing_inline(sqlite_till: Till, path: str) -> None:
    answer = sqlite_till.front.app.test_client().get(path)

    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "//" not in re.sub(r"/\*.*?\*/|^//.*$", "", answer.text, flags=re.MULTILINE).replace("<!doctype html>", "")
    assert not re.search(r"<script(?![^>]*src=)|\son[a-z]+=|style=", answer.text) or not path.endswith("docs")
