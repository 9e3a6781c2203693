"""Many commands in one request: a result for each, in order, whatever becomes of the others."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa

from directory_front import open_front
from ledger.commands import ProductTerms, StartOrder
from ledger.errors import ReadUnavailable
from ledger.migrate import upgrade
from servers import PrivateMariaDB
from submissions import submission
from till import Till, new_key, open_till


def command(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "idempotency_key": new_key(), **fields}


def post_lines(till: Till, lines: list[str]) -> list[dict[str, Any]]:
    answer = till.front.app.test_client().post(
        "/v1/batches",
        data="\n".join(lines).encode(),
        content_type="application/x-ndjson",
        headers={"Authorization": f"Bearer {till.front.secret}"},
    )
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_each_command_has_its_own_result_in_order(till: Till) -> None:
    commands = [
        command("recharge", customer_id=till.customer_id, amount="10.00"),
        command("deduction", customer_id=till.customer_id, amount="10.01"),
        command("deduction", customer_id=till.customer_id, amount="1.005"),
        command("order", customer_id=till.customer_id, product="sms", quantity=10),
        command("cancellation", order_id="ord_absent"),
        command("nonsense"),
    ]

    answer = till.post("batches", {"atomic": False, "commands": commands})

    results = answer.json["results"]
    assert [each["status"] for each in results] == [201, 409, 422, 201, 404, 422]
    assert results[0]["result"]["balance"]["total"] == "10.00"
    assert results[1]["problem"]["code"] == "insufficient-funds"
    assert till.balance() == ("9.10", "0.90", "10.00")


def test_an_atomic_batch_takes_effect_wholly_or_not_at_all(till: Till) -> None:
    good = command("recharge", customer_id=till.customer_id, amount="10.00")
    bad = command("deduction", customer_id=till.customer_id, amount="99.00")

    refused = till.post("batches", {"atomic": True, "commands": [good, bad]}).json["results"]
    invalid = till.post("batches", {"atomic": True, "commands": [good, good | {"amount": "x"}]})

    assert [each["problem"]["code"] for each in refused] == ["batch-refused", "insufficient-funds"]
    assert invalid.status_code == 422
    assert [each["pointer"] for each in invalid.json["errors"]] == ["/commands/1/amount"]
    assert till.balance() == ("0.00", "0.00", "0.00")


def test_a_batch_sent_twice_takes_effect_once(till: Till) -> None:
    batch = {"commands": [command("recharge", customer_id=till.customer_id, amount="1.00") for _ in range(3)]}

    first = till.post("batches", batch).json["results"]
    second = till.post("batches", batch).json["results"]

    assert [each["result"] for each in first] == [each["result"] for each in second]
    assert [each["replayed"] for each in second] == [True] * 3
    assert till.balance()[2] == "3.00"


def test_a_batch_may_only_be_tried(till: Till) -> None:
    batch = {"commands": [command("recharge", customer_id=till.customer_id, amount="1.00")]}

    answer = till.post("batches", batch, dry_run=True)

    assert answer.json["results"][0]["status"] == 200
    assert till.balance()[2] == "0.00"


@pytest.mark.parametrize("count", [0, 10_001])
def test_a_batch_of_the_wrong_length_is_refused_whole(sqlite_till: Till, count: int) -> None:
    commands = [command("recharge", customer_id=sqlite_till.customer_id, amount="1.00")] * count

    answer = sqlite_till.post("batches", {"commands": commands})

    assert answer.status_code == 422


@pytest.mark.parametrize("key", ["", " " * 0, "k" * 256, "ключ", "a\nb", None, 7])
def test_a_key_that_is_none_is_that_commands_error(sqlite_till: Till, key: Any) -> None:
    wrong = command("recharge", customer_id=sqlite_till.customer_id, amount="1.00") | {"idempotency_key": key}

    result = sqlite_till.post("batches", {"commands": [wrong]}).json["results"][0]

    assert result["status"] == 422
    assert result["problem"]["errors"][0]["pointer"] == "/idempotency_key"


def test_streamed_lines_are_answered_line_by_line_also_the_wrong_ones(till: Till) -> None:
    line = json.dumps(command("recharge", customer_id=till.customer_id, amount="1.00"))
    lines = [
        line,
        "{",
        "",
        '{"type": "recharge", "type": "order"}',
        "[]",
        "x" * 70_000,
        "\ud83d".encode("utf-8", "surrogatepass").decode("latin-1"),
        line,
    ]

    results = post_lines(till, lines)

    assert [each["status"] for each in results] == [201, 400, 400, 422, 400, 400, 201]
    assert results[-1]["replayed"]
    assert till.balance()[2] == "1.00"


def test_a_long_stream_is_posted_in_slices(sqlite_till: Till) -> None:
    lines = [json.dumps(command("recharge", customer_id=sqlite_till.customer_id, amount="0.01")) for _ in range(2_500)]

    results = post_lines(sqlite_till, lines)

    assert {each["status"] for each in results} == {201}
    positions = [each["result"]["position"] for each in results]
    assert positions == list(range(positions[0], positions[0] + 2_500))
    assert sqlite_till.balance()[2] == "25.00"


def test_cancelling_an_executing_order_in_a_batch_is_left_to_its_executor(till: Till) -> None:
    till.recharge()
    order_id = till.place(1).json["order"]["id"]
    till.front.services.ledger.append(submission(StartOrder(order_id=order_id, attempt=1, executor="test")))

    result = till.post("batches", {"commands": [command("cancellation", order_id=order_id)]}).json["results"][0]

    assert result["status"] == 202
    assert till.get(f"commands/{result['idempotency_key']}").json["status"] == "cancellation_requested"


def test_a_customers_key_reaches_its_own_account_only(till: Till) -> None:
    other = till.front.create("customers")["id"]
    till.recharge("5.00")
    own = till.as_customer("batches.post", "orders.place")
    commands = [
        command("order", product="sms", quantity=1),
        command("order", customer_id=other, product="sms", quantity=1),
        command("recharge", customer_id=till.customer_id, amount="1.00"),
        command("cancellation", order_id="ord_other"),
    ]

    results = own.ask("POST", "batches", {"commands": commands}).json["results"]

    assert [each["status"] for each in results] == [201, 404, 403, 403]


def test_a_batch_of_long_texts_is_recorded_and_holds_up_no_neighbour(redis_url: str) -> None:
    with PrivateMariaDB(options={"max-allowed-packet": "16M"}) as server:
        url = server.create_database("ledger")
        upgrade(url)
        till = open_till(open_front(url, redis_url))
        till.recharge("100.00")
        order = {"customer_id": till.customer_id, "product": "sms", "quantity": 1, "params": {"text": "字" * 16_000}}
        commands = [command("order", **order) for _ in range(200)]

        with ThreadPoolExecutor(1) as thread:
            posting = thread.submit(till.post, "batches", {"commands": commands})
            recharged = [till.recharge("0.01").status_code]
            while not posting.done():
                recharged.append(till.recharge("0.01").status_code)

        assert [each["status"] for each in posting.result().json["results"]] == [201] * 200
        assert set(recharged) == {201}
        till.front.services.close()


def test_a_batch_that_was_recorded_is_answered_so_when_the_database_goes_away_behind_it(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = till.front.services
    append_batch = services.ledger.append_batch

    def gone() -> NoReturn:
        raise sa.exc.OperationalError("SELECT 1", {}, OSError("gone"))

    def append_and_lose(*given: Any, **more: Any) -> Any:
        outcomes = append_batch(*given, **more)
        monkeypatch.setattr(services.engine, "connect", gone)
        return outcomes

    monkeypatch.setattr(services.ledger, "append_batch", append_and_lose)
    commands = [
        command("recharge", customer_id=till.customer_id, amount="1.00"),
        command("deduction", customer_id="cus_unknown", amount="1.00"),
        command("recharge", customer_id=till.customer_id, amount="1.00"),
    ]

    answer = till.post("batches", {"commands": commands})
    monkeypatch.undo()

    assert [each["status"] for each in answer.json["results"]] == [201, 404, 201]
    assert till.balance()[2] == "2.00"


@pytest.fixture
def _no_price_at_first(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first price that is asked for cannot be read; the next ones can."""
    terms_of, asked = till.front.services.terms_of, []

    def terms_later(sku: str) -> ProductTerms | None:
        asked.append(sku)
        if len(asked) == 1:
            raise ReadUnavailable(reason="the database cannot be reached")
        return terms_of(sku)

    monkeypatch.setattr(till.front.services, "terms_of", terms_later)


def order_and_deduction(till: Till) -> list[dict[str, Any]]:
    return [
        command("order", customer_id=till.customer_id, product="sms", quantity=10),
        command("deduction", customer_id=till.customer_id, amount="1.00"),
    ]


@pytest.mark.usefixtures("_no_price_at_first")
def test_nothing_of_a_batch_is_recorded_while_one_of_its_commands_cannot_be_understood(till: Till) -> None:
    till.recharge("10.00")
    batch = {"commands": order_and_deduction(till)}

    refused = till.front.app.test_client().post(
        "/v1/batches", json=batch, headers={"Authorization": f"Bearer {till.front.secret}"}
    )

    assert (refused.status_code, refused.json["code"]) == (503, "unavailable")
    assert till.balance() == ("10.00", "0.00", "10.00")
    assert [each["status"] for each in till.post("batches", batch).json["results"]] == [201, 201]


@pytest.mark.usefixtures("_no_price_at_first")
def test_nothing_behind_a_streamed_command_that_cannot_be_understood_now_is_recorded(till: Till) -> None:
    till.recharge("10.00")
    lines = [json.dumps(each) for each in order_and_deduction(till)]

    results = post_lines(till, lines)

    assert [each["problem"]["code"] for each in results] == ["unavailable", "unavailable"]
    assert till.balance() == ("10.00", "0.00", "10.00")
    assert [each["status"] for each in post_lines(till, lines)] == [201, 201]
