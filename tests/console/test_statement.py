"""The span that a statement is asked for."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from console.conftest import Console, Window
from ledger.clock import parse_rfc3339

Open = Callable[..., Window]
HOUR_US = 3_600_000_000


@pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-11-02", 24)])
def test_a_day_on_which_clocks_are_changed_is_asked_for_as_a_whole(
    console: Console, window: Open, day: str, hours: int
) -> None:
    customer = console.admin.post("/v1/customers", {"name": "夏侯惇"}).body
    person = window(time_zone="America/New_York")
    page = person.log_in("auditor")

    with page.expect_request("**/v1/customers/*/statement?*") as asked:
        person.go(f"/customers/{customer['id']}/statement?from={day}&to={day}")

    query = parse_qs(urlsplit(asked.value.url).query)
    begin_us, end_us = (parse_rfc3339(query[name][0]) for name in ("from", "to"))
    # The last microsecond is in it, the next day's first is not.
    assert end_us - begin_us == hours * HOUR_US - 1
