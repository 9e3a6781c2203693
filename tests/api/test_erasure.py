"""After an erasure nothing that stands outside the log knows the person, and everything about the log still holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
import sqlalchemy as sa

from browser import PASSWORD, Browser
from ledger.audit.replaying import replay
from ledger.audit.verification import verify
from ledger.directory import customers
from ledger.directory.errors import InUse
from ledger.settings import LedgerSettings, read_settings
from orderledger import erasure
from orderledger.erasure import erase_customer
from orderledger.read_models import diff, rebuild
from projections.wake import PROJECTIONS
from till import Till

NAME, MOBILE, CONTACT = "诸葛保密 Geheim", "+8613912345678", "geheim@example.org"
MEMO, PARAMS, REASON, LOGIN = "planted-memo", "planted-params", "planted-reason", "geheim-login"
PLANTED = (NAME, "geheim", "诸葛", MOBILE, MOBILE[3:], CONTACT, MEMO, PARAMS, REASON, LOGIN)


def texts_of_redis(client: redis.Redis) -> Iterator[str]:
    """Return every key with all that is in it, as text."""
    readers: dict[str, Any] = {
        "string": client.get,
        "hash": client.hgetall,
        "list": lambda key: client.lrange(key, 0, -1),
        "set": client.smembers,
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
    }
    for key in client.keys("*"):
        kind = client.type(key)
        name = kind.decode() if isinstance(kind, bytes) else str(kind)
        yield as_text(key) + as_text(readers[name](key))


def as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return " ".join(as_text(each) for pair in value.items() for each in pair)
    if isinstance(value, list | tuple | set):
        return " ".join(map(as_text, value))
    return str(value)


def texts_of(engine: sa.Engine) -> Iterator[str]:
    """Return every row of every table as text."""
    with engine.connect() as connection:
        for table in sa.inspect(connection).get_table_names():
            for row in connection.exec_driver_sql(f"SELECT * FROM {table}"):
                yield f"{table}: {as_text(tuple(row))}"


def found(till: Till) -> list[str]:
    """Return where any of what was planted still stands."""
    services = till.front.services
    everywhere = [
        *texts_of(services.engine),
        *texts_of(services.directory.engine),
        *texts_of_redis(services.redis),
        *texts_of_redis(services.queue_redis),
    ]
    return [each for each in everywhere if any(word.casefold() in each.casefold() for word in PLANTED)]


def test_an_erased_person_is_found_nowhere_and_verify_replay_and_rebuild_are_green(till: Till) -> None:
    services = till.front.services
    till.front.ask("PATCH", f"customers/{till.customer_id}", {"name": NAME, "mobile": MOBILE, "contact": CONTACT})
    user = {"username": LOGIN, "role": "customer", "password": PASSWORD, "name": NAME, "mobile": MOBILE}
    assert till.front.ask("POST", "users", {**user, "customer_id": till.customer_id}).status_code == 201
    till.front.create("api-keys", name=f"key of {NAME}", role="customer", customer_id=till.customer_id)
    browser = Browser(till.front.app)
    assert browser.log_in(LOGIN).status_code == 201
    assert browser.ask("GET", "me").status_code == 200
    till.recharge("50.00", memo=MEMO)
    till.deduct("1.00", memo=MEMO)
    order = till.place(params={"to": PARAMS}).json["order"]["id"]
    till.post(f"orders/{order}/cancellation", {"reason": REASON})
    till.drain()
    searched = till.front.ask("GET", "orders", query={"q": "诸葛"}).json
    assert [each["id"] for each in searched["data"]] == [order]
    assert len(found(till)) >= 5, "the search finds what is there"

    position = erase_customer(services.environment, till.customer_id)
    till.drain()

    assert found(till) == []
    assert browser.ask("GET", "me").status_code == 401
    assert till.front.ask("GET", "orders", query={"q": "诸葛"}).json["data"] == []
    assert till.get(f"orders/{order}").json["status"] == "cancelled", "what happened stays"
    settings = read_settings(LedgerSettings, services.environment)
    report = verify(settings, processes=2, events_per_process_min=1)
    assert (report.status, report.finding, report.events) == ("clean", None, position)
    assert [each.account_id for each in replay(settings, customer_id=till.customer_id).accounts] == [till.customer_id]
    for name in PROJECTIONS:
        assert rebuild(services.environment, name) == position
        assert not diff(services.environment, name)["differences"]
    assert found(till) == []


def test_an_order_that_comes_while_its_customer_is_being_erased_keeps_its_parameters(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    till.recharge("50.00")
    erase = customers.erase

    def erase_too_late(*arguments: Any) -> None:
        assert till.place(params={"to": PARAMS}).status_code == 201
        erase(*arguments)

    monkeypatch.setattr(customers, "erase", erase_too_late)

    with pytest.raises(InUse):
        erase_customer(till.front.services.environment, till.customer_id)

    assert any(PARAMS in each for each in texts_of(till.front.services.engine))


def test_a_memo_that_comes_while_its_customer_is_being_erased_is_gone_in_the_end(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = erasure._delete_details

    def delete_and_be_recharged(*arguments: Any) -> None:
        delete(*arguments)
        monkeypatch.setattr(erasure, "_delete_details", delete)
        assert till.recharge("1.00", memo=MEMO).status_code == 201

    monkeypatch.setattr(erasure, "_delete_details", delete_and_be_recharged)

    erase_customer(till.front.services.environment, till.customer_id)

    assert found(till) == []
