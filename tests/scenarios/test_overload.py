"""Five times what the service can do, then ordinary load: what was refused had no effect, and the errors end with the rush."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

import open_loop
from running_service import Client, running
from servers import PrivateMariaDB, PrivateRedis
from submissions import prove

RUSH_S = float(os.environ.get("OVERLOAD_S", "5"))
"""`make campaign` keeps it up for a minute."""
ROUGHLY_S = 3.0
BEYOND_IT = 1e4
"""Requests a second that it cannot answer; many more would cost the client the time that the service is to have."""
CONNECTIONS_MAX = 1_500
AT_ONCE, WAITING_MAX = 8, 64
"""Few, so that capacity is what it can do with these: more at a time would share commits, and it could do more."""
ACCOUNTS = 50
REFUSED_S_MAX, TAKEN_S_MAX = 2.0, 11.0
CALM_S_MAX = min(30.0, RUSH_S / 2)
"""By then the errors have ended, and half of the ordinary load at least is still to come."""
SENT_MIN = 0.9 if RUSH_S >= 60 else 0.5
"""The share of the rush that must be sent in time; less where other tests have a part of the machine."""
TAKEN_MIN = 0.95
"""The share of the ordinary load after it that must be taken."""


@pytest.fixture
def environment(
    mariadb: PrivateMariaDB, mariadb_url: str, redis_server: PrivateRedis, tmp_path: Path
) -> dict[str, str]:
    redis_server.flush()
    return {
        "ORDERLEDGER_DATA": str(tmp_path),
        "ORDERLEDGER_SECRET_KEY": "of the scenarios, 0123456789 abcdef",
        "ORDERLEDGER_DATABASE_URL": mariadb_url,
        "ORDERLEDGER_REDIS_URL": redis_server.url(),
        "ORDERLEDGER_API_THREADS": str(AT_ONCE),
        "ORDERLEDGER_API_QUEUE_MAX": str(WAITING_MAX),
    }


def recharges(customers: list[str], secret: str, prefix: str) -> Callable[[int], tuple[str, bytes]]:
    """Return what makes the n-th request: a cent for one customer after another, each under a key of its own."""

    def request(number: int) -> tuple[str, bytes]:
        key, body = f"{prefix}-{number}", '{"amount": "0.01"}'
        path = f"/v1/customers/{customers[number % len(customers)]}/recharges"
        text = (
            f"POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {secret}\r\nIdempotency-Key: {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        return key, text.encode("ascii")

    return request


def recorded(engine: sa.Engine, prefix: str) -> set[str]:
    """Return the keys under which anything at all is stored."""
    found: set[str] = set()
    with engine.connect() as connection:
        for table in ("events", "outcomes"):
            query = sa.text(f"SELECT idempotency_key FROM {table} WHERE idempotency_key LIKE :prefix")
            found |= {bytes(each).decode() for each in connection.execute(query, {"prefix": f"{prefix}-%"}).scalars()}
    return found


@pytest.mark.timeout(400)
def test_five_times_the_capacity_is_refused_in_time_and_without_effect(environment: dict[str, str]) -> None:
    with running(environment) as service:
        client: Client = service.client()
        made = client.post("/v1/customers/bulk", [{"name": f"customer {number}"} for number in range(ACCOUNTS)])
        customers = [each["id"] for each in made.body["data"]]
        secret = service.run("api-key", "create", "--name", "crowd", "--role", "operator").strip()
        closed = open_loop.send(
            service.port,
            rate=BEYOND_IT,
            seconds=ROUGHLY_S,
            connections_max=AT_ONCE,
            request=recharges(customers, secret, "capacity"),
        )
        capacity = closed.statuses()[201] / ROUGHLY_S
        before = service.use("api")

        wanted = 5 * capacity
        rush = open_loop.send(
            service.port,
            rate=wanted,
            seconds=RUSH_S,
            connections_max=CONNECTIONS_MAX,
            request=recharges(customers, secret, "rush"),
        )
        after = open_loop.send(
            service.port,
            rate=capacity / 4,
            seconds=RUSH_S,
            connections_max=CONNECTIONS_MAX,
            request=recharges(customers, secret, "after"),
        )

        in_time = sum(each.at_s < RUSH_S for each in rush.sent) / (wanted * RUSH_S)
        print(
            f"capacity {capacity:.0f}/s; in the rush {dict(rush.statuses())}, {rush.unsent} unsent, {in_time:.0%} in time"
        )
        print(f"slowest: refused {rush.slowest_s(503):.2f} s, taken {rush.slowest_s(201):.2f} s")
        assert in_time >= SENT_MIN, "the rush was none"
        assert set(rush.statuses()) == {201, 503}
        assert rush.slowest_s(503) <= REFUSED_S_MAX and rush.slowest_s(201) <= TAKEN_S_MAX
        assert rush.statuses()[201] >= 0.25 * capacity * RUSH_S
        troubled_s = max((each.at_s for each in after.sent if each.status != 201), default=0.0)
        print(f"after it {dict(after.statuses())}, the last error after {troubled_s:.2f} s")
        assert troubled_s < CALM_S_MAX and after.unsent == 0
        assert after.statuses()[201] >= TAKEN_MIN * capacity / 4 * RUSH_S
        engine = sa.create_engine(environment["ORDERLEDGER_DATABASE_URL"])
        for run, prefix in ((rush, "rush"), (after, "after")):
            assert recorded(engine, prefix) == {each.key for each in run.sent if each.status == 201}
        prove(engine)
        engine.dispose()
        service.wait_until(lambda: service.use("api").files <= before.files + 20, s_max=60)
        service.wait_until(lambda: service.use("api").threads <= before.threads + 20, s_max=60)
