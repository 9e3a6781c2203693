"""What clients may rely on: one effect per key, reads as fresh as asked, nobody else's money, a word on every refusal."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import redis

from ledger import log
from ledger.commands import ParkOrder, StartOrder
from ledger.reading import read
from projections.balances import read_balances
from projections.drain import drain_once
from projections.wake import PROJECTIONS
from servers import PrivateRedis
from submissions import submission
from till import Till, new_key


def test_a_repeat_answers_the_same_and_says_so(till: Till) -> None:
    first = till.recharge("1.00", key="one", memo="cash")
    again = till.recharge("1.00", key="one", memo="cash")
    refused = till.post(f"customers/{till.customer_id}/deductions", {"amount": "9.00"}, key="two")
    till.recharge("100.00")
    refused_again = till.post(f"customers/{till.customer_id}/deductions", {"amount": "9.00"}, key="two")

    assert (again.status_code, again.json) == (201, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Ledger-Position"] == first.headers["Ledger-Position"]
    assert (refused.status_code, refused_again.status_code) == (409, 409)
    assert refused_again.headers["Idempotent-Replayed"] == "true"
    without_id = [
        {name: value for name, value in each.json.items() if name != "request_id"} for each in (refused, refused_again)
    ]
    assert without_id[0] == without_id[1]


def test_an_order_repeated_at_another_price_answers_the_first(till: Till) -> None:
    till.recharge()
    first = till.place(10, key="once")
    product = till.front.list("products")[0]
    till.front.ask("PATCH", f"products/{product['id']}", {"unit_price": "5.00"})
    till.front.services.forget_terms()

    again = till.place(10, key="once")

    assert again.json == first.json


@pytest.mark.parametrize(
    "other", [{"amount": "2.00"}, {"amount": "1.00", "memo": "x"}, {"amount": "1.00", "reference": "x"}]
)
def test_a_key_used_for_something_else_is_refused_and_the_first_stands(till: Till, other: dict[str, Any]) -> None:
    till.recharge("1.00", key="one")

    answer = till.post(f"customers/{till.customer_id}/recharges", other, key="one")

    assert (answer.status_code, answer.json["code"]) == (422, "idempotency-key-reused")
    assert till.balance()[2] == "1.00"


def test_the_order_of_names_and_white_space_is_no_other_content(till: Till) -> None:
    client = till.front.app.test_client()
    headers = {"Authorization": f"Bearer {till.front.secret}", "Idempotency-Key": "one"}
    path = f"/v1/customers/{till.customer_id}/recharges"

    bodies = ('{"amount":"1.00","memo":"m"}', ' { "memo" : "m",\n "amount" : "1.00" } ')
    answers = [client.post(path, data=body, content_type="application/json", headers=headers) for body in bodies]

    assert [each.status_code for each in answers] == [201, 201]
    assert till.balance()[2] == "1.00"


def test_the_same_key_at_the_same_moment_takes_effect_once(till: Till) -> None:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(till.recharge("1.00", key="same"))) for _ in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert {each.status_code for each in answers} == {201}
    assert len({each.json["position"] for each in answers}) == 1
    assert till.balance()[2] == "1.00"


def test_two_clients_may_use_the_same_key(till: Till) -> None:
    other = till.front.create("api-keys", name="other")["key"]
    till.recharge("1.00", key="same")

    answer = till.front.app.test_client().post(
        f"/v1/customers/{till.customer_id}/recharges",
        json={"amount": "2.00"},
        headers={"Authorization": f"Bearer {other}", "Idempotency-Key": "same"},
    )

    assert answer.status_code == 201
    assert till.balance()[2] == "3.00"


def test_a_stored_outcome_is_found_by_its_key(till: Till) -> None:
    placed = till.recharge("1.00", key="a/b c").json
    till.post(f"customers/{till.customer_id}/deductions", {"amount": "9.00"}, key="no")

    accepted, refused = till.get("commands/a%2Fb c"), till.get("commands/no")

    assert accepted.json["status"] == "accepted"
    assert accepted.json["result"] == placed
    assert refused.json["problem"]["code"] == "insufficient-funds"
    assert till.get("commands/never").json["code"] == "command-not-found"


def test_a_read_is_as_fresh_as_asked_or_says_that_it_is_not(sqlite_till: Till) -> None:
    till = sqlite_till
    position = till.recharge("1.00").json["position"]
    till.drain()
    path = f"customers/{till.customer_id}/balance"

    fresh = till.get(path, Ledger_Min_Position=str(position))
    behind = till.front.app.test_client().get(
        f"/v1/{path}",
        headers={"Authorization": f"Bearer {till.front.secret}", "Ledger-Min-Position": str(position + 100)},
    )

    assert int(fresh.headers["Ledger-Position"]) >= position
    assert (behind.status_code, behind.json["code"]) == (503, "not-fresh-enough")
    assert behind.headers["Retry-After"] == "1"
    assert till.get(path, Ledger_Min_Position="x").status_code == 400


def test_the_outcome_of_an_older_command_is_fresh_enough_for_who_has_seen_a_newer_one(till: Till) -> None:
    older = till.recharge("1.00", key="older")
    newer = till.recharge("1.00").json["position"]
    began_s = time.monotonic()

    found = till.get("commands/older", Ledger_Min_Position=str(newer))

    assert time.monotonic() - began_s < till.front.services.settings.min_position_wait_s
    assert (found.status_code, found.json["result"]) == (200, older.json)
    assert found.headers["Ledger-Position"] == older.headers["Ledger-Position"]
    assert till.get("commands/older", Ledger_Min_Position="x").status_code == 400


def test_a_balance_comes_from_the_log_while_its_read_model_is_behind(till: Till) -> None:
    till.drain()
    position = till.recharge("1.00").json["position"]

    answer = till.get(f"customers/{till.customer_id}/balance", Ledger_Min_Position=str(position))

    assert answer.json["total"] == "1.00"


def test_another_customers_things_are_answered_as_absent_ones(till: Till) -> None:
    till.recharge("10.00")
    order_id = till.place(1).json["order"]["id"]
    other = till.front.create("customers")["id"]
    stranger = till.front.bound_to(
        other,
        "balances.read", "statements.read", "orders.read", "orders.cancel", "orders.place", "recharges.post",
        "transactions.read", "transactions.reverse", "events.read",
    )  # fmt: skip

    def ask(method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        answer = stranger.ask(method, path, body, Idempotency_Key=new_key())
        return answer.status_code, {name: value for name, value in answer.json.items() if name != "request_id"}

    for method, template, body in (
        ("GET", "customers/{}/balance", None),
        ("GET", "customers/{}/statement", None),
        ("POST", "customers/{}/recharges", {"amount": "1.00"}),
    ):
        status, problem = ask(method, template.format(till.customer_id), body)
        assert status == 404
        absent = ask(method, template.format("cus_absent"), body)
        assert problem == {
            name: value.replace("cus_absent", till.customer_id) if isinstance(value, str) else value
            for name, value in absent[1].items()
        }
    assert ask("GET", f"orders/{order_id}")[0] == 404
    assert ask("POST", f"orders/{order_id}/cancellation", {})[0] == 404
    assert ask("POST", "transactions/2/reversal", {"reason": "x"})[0] == 404
    assert ask("POST", "orders", {"customer_id": till.customer_id, "product": "sms", "quantity": 1})[0] == 404
    till.drain()
    assert ask("GET", "orders")[1]["data"] == []
    assert ask("GET", "transactions")[1]["data"] == []
    assert {each["account_id"] for each in ask("GET", "events")[1]["data"]} == {other}
    assert till.balance()[2] == "10.00"


def test_refusals_word_amounts_in_the_accounts_currency(till: Till) -> None:
    yen = till.front.create("customers", currency="JPY")["id"]
    till.post(f"customers/{yen}/recharges", {"amount": "7"})

    answer = till.post(f"customers/{yen}/deductions", {"amount": "8"})

    assert (answer.json["needed"], answer.json["spendable"], answer.json["currency"]) == ("8", "7", "JPY")
    assert "8 JPY" in answer.json["detail"]


def test_a_parked_order_is_decided_by_a_person(till: Till) -> None:
    till.recharge("10.00")
    order_id = till.place(10).json["order"]["id"]
    till.front.services.ledger.append(submission(ParkOrder(order_id=order_id, attempt=0, code="contradiction")))

    answer = till.post(
        f"orders/{order_id}/resolution", {"resolution": "completed", "delivered": 5, "reason": "asked by phone"}
    )

    assert answer.status_code == 201
    assert answer.json["order"]["captured"] == "0.45"
    assert till.balance() == ("9.55", "0.00", "9.55")


def test_cancelling_an_executing_order_waits_for_the_executor_and_then_says_where_to_look(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    till.recharge("10.00")
    order_id = till.place(10).json["order"]["id"]
    till.front.services.ledger.append(submission(StartOrder(order_id=order_id, attempt=1, executor="test")))
    shorter = type(till.front.services.settings)(cancellation_wait_s=0.2)
    monkeypatch.setattr(till.front.services, "settings", shorter)

    first = till.post(f"orders/{order_id}/cancellation", {"reason": "late"}, key="cancel")
    again = till.post(f"orders/{order_id}/cancellation", {"reason": "late"}, key="cancel")

    assert [first.status_code, again.status_code] == [202, 202]
    assert first.json == {"status": "cancellation_requested", "order_id": order_id}
    assert first.headers["Location"] == "/v1/commands/cancel"
    assert till.get("commands/cancel").json["status"] == "cancellation_requested"


def test_without_redis_commands_and_balances_go_on_and_searches_say_to_come_back(sqlite_till: Till) -> None:
    till = sqlite_till
    with PrivateRedis() as gone:
        client = redis.Redis.from_url(gone.url())
    till.front.services.redis = client

    recharged = till.recharge("1.00")
    found = till.front.app.test_client().get("/v1/orders", headers={"Authorization": f"Bearer {till.front.secret}"})
    ready = till.front.app.test_client().get("/readyz")

    assert recharged.status_code == 201
    assert till.balance()[2] == "1.00"
    assert (found.status_code, found.json["code"]) == (503, "unavailable")
    assert "Retry-After" in found.headers
    assert (ready.status_code, ready.json["status"]) == (200, "degraded")


def test_while_redis_is_filled_again_balances_come_from_the_log_and_searches_say_to_come_back(
    sqlite_till: Till,
) -> None:
    till, services = sqlite_till, sqlite_till.front.services
    for _ in range(15):
        till.recharge("10.00")
        till.place(10)
    till.drain()
    services.redis.flushdb()
    for name in PROJECTIONS:
        assert drain_once(services.engine, services.redis, name, 10) == 10

    client, headers = till.front.app.test_client(), {"Authorization": f"Bearer {till.front.secret}"}
    paths = ("orders", "orders?counts=true&status=placed", "orders/export", "transactions", "summary")
    searches = [client.get(f"/v1/{path}", headers=headers) for path in paths]
    meanwhile = till.get(f"customers/{till.customer_id}/balance")
    till.drain()
    afterwards = till.get(f"customers/{till.customer_id}/balance")
    position, found = read_balances(services.redis, [till.customer_id])

    assert [(each.status_code, each.json["code"]) for each in searches] == [(503, "unavailable")] * len(paths)
    assert (meanwhile.json["available"], meanwhile.json["held"]) == ("136.50", "13.50")
    assert afterwards.json == meanwhile.json
    assert found[till.customer_id].held_minor == 1_350
    assert meanwhile.headers["Ledger-Position"] == afterwards.headers["Ledger-Position"] == str(position)
    assert len(till.get("orders").json["data"]) == 15
    assert {client.get(f"/v1/{path}", headers=headers).status_code for path in paths} == {200}


def test_a_page_goes_on_with_its_cursor_and_with_no_other_question(till: Till) -> None:
    till.recharge("10.00")
    placed = [till.place(1).json["order"]["id"] for _ in range(5)]
    till.drain()

    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = till.get("orders?sort=oldest&limit=2" + (f"&cursor={cursor}" if cursor else "")).json
        seen += [each["id"] for each in page["data"]]
        cursor = page["next"]
    first = till.get("orders?limit=2").json["next"]

    assert seen == placed
    assert till.get(f"orders?status=placed&cursor={first}").json["code"] == "invalid-cursor"
    assert till.get(f"orders?cursor={first[:-2]}").json["code"] == "invalid-cursor"


def test_every_word_of_a_search_must_match(till: Till) -> None:
    name = till.get(f"customers/{till.customer_id}").json["name"]
    till.recharge("10.00")
    first, second = (till.place(1, reference=each).json["order"]["id"] for each in ("INV 7", "PO-8"))
    till.drain()

    def found(text: str) -> list[str]:
        return [each["id"] for each in till.get(f"orders?sort=oldest&q={text}").json["data"]]

    assert found(f"{name[:2]} SM") == [first, second]
    assert found(f"{name[-2:]} po") == [second]
    assert found("inv 7") == [first]
    assert found(f"{first} sms") == [first]
    assert found(f"{first} po") == found(f"{name} nothing") == []
    assert till.get("orders?q=a b c d e f g h i").status_code == 422


def test_the_feed_has_the_whole_envelope_as_json_and_as_lines(till: Till) -> None:
    till.recharge("10.00")
    till.place(1)

    data = till.get("events?limit=2").json
    lines = till.get("events?format=ndjson").text.splitlines()
    events = read(till.front.services.engine, lambda connection: log.events_after(connection, 0, 100))

    assert len(data["data"]) == 2
    assert data["next"] == "2"
    assert len(lines) == len(events)
    first = data["data"][1]
    assert first["leaf_hash"] == events[1].leaf_hash.hex()
    assert first["data"] == {"amount_minor": 1000, "currency": "CNY"}
    assert sum(leg["amount_minor"] for leg in first["postings"]) == 0


def test_metrics_count_answers_and_lag(sqlite_till: Till) -> None:
    sqlite_till.recharge("1.00")

    text = sqlite_till.front.app.test_client().get("/metrics").text

    assert 'orderledger_requests_total{route="post_recharge",status="201"} 1.0' in text
    assert 'orderledger_projection_lag_events{projection="balances"}' in text
    assert "orderledger_commands_waiting" in text


def test_a_bug_answers_500_without_a_word_of_it(sqlite_till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret detail of a table")

    monkeypatch.setattr(sqlite_till.front.services.ledger, "append", fail)
    answer = sqlite_till.front.app.test_client().post(
        f"/v1/customers/{sqlite_till.customer_id}/recharges",
        json={"amount": "1.00"},
        headers={"Authorization": f"Bearer {sqlite_till.front.secret}", "Idempotency-Key": "k"},
    )

    assert (answer.status_code, answer.json["code"]) == (500, "internal")
    assert "secret" not in answer.text
