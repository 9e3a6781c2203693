"""What a program gets from the client: decimals, typed refusals, its own writes, lists and feeds to their ends."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
import tracemalloc
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from client_place import Place
from orderledger.client import (
    AmountRefused,
    Cancel,
    Client,
    Deduct,
    NotFound,
    PlaceOrder,
    Recharge,
    Refused,
    Unauthenticated,
    new_key,
)

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "client.md"


def test_the_client_brings_in_nothing_of_the_server_and_no_third_party() -> None:
    code = "import sys, orderledger.client; print(*sorted({name.split('.')[0] for name in sys.modules}))"

    loaded = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    foreign = {name for name in loaded.stdout.split() if name not in sys.stdlib_module_names}
    assert foreign - {"__main__"} == {"orderledger"}


def test_the_client_is_there_within_a_moment() -> None:
    code = "import time; a = time.process_time(); import orderledger.client; print(time.process_time() - a)"

    taken_s = min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT).stdout)
        for _ in range(3)
    )

    # A tenth is usual, and five times as much what the server's packages take.
    assert taken_s < 0.4


def test_amounts_are_decimals_and_never_floats(ledger: Client, place: Place) -> None:
    posted = ledger.recharge(place.customer_id, Decimal("12.50"))

    assert posted.amount == Decimal("12.50")
    assert isinstance(posted.balance and posted.balance.available, Decimal)
    for wrong in (12.5, True, Decimal("NaN"), None):
        with pytest.raises(AmountRefused):
            ledger.recharge(place.customer_id, wrong)  # type: ignore[arg-type]
    with pytest.raises(AmountRefused):
        ledger.products.create(sku="float", name="x", unit_price=0.1, executor="simulated")
    tiers = [{"from_quantity": 10, "unit_price": 0.1}]
    with pytest.raises(AmountRefused):
        ledger.products.create(sku="float", name="x", unit_price="0.2", tiers=tiers, executor="simulated")
    placed = ledger.place_order("hello", 1, customer_id=place.customer_id, params={"scale": 0.5, "amounts": [1.25]})
    assert placed.order is not None
    assert ledger.order(placed.order.id).params == {"scale": 0.5, "amounts": [1.25]}
    (result,) = ledger.batch(
        [PlaceOrder(product="hello", quantity=1, customer_id=place.customer_id, params={"x": 0.5})]
    )
    assert result.error is None


def test_a_refusal_says_which_with_its_fields_and_request(ledger: Client, place: Place) -> None:
    with pytest.raises(Refused) as caught:
        ledger.deduct(place.customer_id, "99999999.00")

    assert caught.value.code == "insufficient-funds"
    assert caught.value.status == 409
    assert Decimal(caught.value.fields["needed"]) == Decimal("99999999.00")
    assert caught.value.request_id
    assert caught.value.key
    with pytest.raises(Refused, match="insufficient-funds"):
        ledger.outcome(caught.value.key)
    with pytest.raises(Refused) as invalid:
        ledger.recharge(place.customer_id, "1.005")
    assert invalid.value.errors[0].pointer == "/amount"
    with pytest.raises(NotFound):
        ledger.order("ord_none")
    with pytest.raises(Unauthenticated), Client(place.service.address, api_key="wrong") as other:
        other.balance(place.customer_id)


def test_a_command_posted_again_is_the_same_command(ledger: Client, place: Place) -> None:
    command = Recharge(customer_id=place.customer_id, amount="1.00", memo="once")

    first, second = ledger.post(command), ledger.post(command)

    assert (first.replayed, second.replayed) == (False, True)
    assert second.position == first.position
    found = ledger.outcome(command.key)
    assert found is not None and found.position == first.position
    assert ledger.outcome(new_key()) is None


def test_the_outcome_of_an_earlier_command_is_told_at_once(ledger: Client, place: Place) -> None:
    first = ledger.recharge(place.customer_id, "1.00")
    ledger.recharge(place.customer_id, "1.00")

    found = ledger.outcome(first.key)

    assert found is not None and found.position == first.position


def test_what_was_written_is_read_at_once_also_from_the_read_models(ledger: Client, place: Place) -> None:
    for _ in range(5):
        placed = ledger.place_order("hello", 10, customer_id=place.customer_id, reference=new_key())

        (found,) = ledger.orders(reference=placed.reference)
        assert placed.order is not None and found.id == placed.order.id
        assert next(ledger.transactions(customer_id=place.customer_id)).position >= placed.position
        assert ledger.balance(place.customer_id).position >= placed.position


def test_a_dry_run_records_nothing(ledger: Client, place: Place) -> None:
    before = ledger.balance(place.customer_id)

    tried = ledger.deduct(place.customer_id, "1.00", dry_run=True)

    assert tried.balance is not None and tried.balance.available == before.available - 1
    assert ledger.balance(place.customer_id).available == before.available


def test_a_recharge_is_reversed_once_and_an_order_in_execution_cancelled_by_its_executor(
    ledger: Client, place: Place
) -> None:
    customer_id = ledger.customers.create(name="y")["id"]
    recharged = ledger.recharge(customer_id, "10.00")
    placed = ledger.place_order("hello", 10, customer_id=customer_id)
    assert placed.order is not None
    order_id = placed.order.id
    # In the moment in which the agent takes it an order is no longer placed, and not yet the executor's to give up.
    place.service.wait_until(lambda: ledger.order(order_id).status == "executing")

    cancelled = ledger.cancel(order_id, reason="changed my mind")
    back = ledger.reverse(recharged.position, "typing error")

    assert cancelled.order is not None and cancelled.order.status == "cancelled"
    assert back.balance is not None and back.balance.total == 0
    with pytest.raises(Refused, match="already-reversed"):
        ledger.reverse(recharged.position, "again")


def test_lists_are_iterated_over_to_their_end(ledger: Client) -> None:
    customer_id = ledger.customers.create(name="many")["id"]
    ledger.recharge(customer_id, "100")
    ledger.batch([PlaceOrder(product="hello", quantity=1, customer_id=customer_id) for _ in range(7)])

    assert len({each.id for each in ledger.orders(customer_id=customer_id, limit=3)}) == 7
    assert len(list(ledger.transactions(customer_id=customer_id, limit=3))) >= 8
    assert [each["name"] for each in ledger.customers.list(name="many", limit=1)] == ["many"]
    statement = ledger.statement(customer_id)
    assert statement.opening == 0
    assert statement.closing == ledger.balance(customer_id).total


def test_a_batch_has_a_result_for_each_command(ledger: Client, place: Place) -> None:
    results = ledger.batch(
        [
            Recharge(customer_id=place.customer_id, amount="1.00"),
            Deduct(customer_id=place.customer_id, amount="99999999.00"),
            Cancel(order_id="ord_none"),
        ]
    )

    assert [each.status for each in results] == [201, 409, 404]
    assert results[0].posted is not None and results[0].posted.amount == 1
    assert isinstance(results[1].error, Refused) and results[1].error.code == "insufficient-funds"
    assert isinstance(results[2].error, NotFound)


def test_a_stream_of_commands_takes_constant_memory_and_answers_in_order(ledger: Client, place: Place) -> None:
    def commands(count: int, prefix: str) -> object:
        return (Recharge(customer_id=place.customer_id, amount="0.01", key=f"{prefix}-{n}") for n in range(count))

    def peak_of(count: int, prefix: str) -> int:
        tracemalloc.start()
        for number, result in enumerate(ledger.stream(commands(count, prefix))):  # type: ignore[arg-type]
            assert result.error is None
            assert result.key == f"{prefix}-{number}"
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_of(1_000, "warm")
    assert peak_of(4_000, "long") < 1.5 * peak_of(2_000, "short")


def test_the_feed_is_read_to_its_end_and_followed_past_the_end_of_a_stream(ledger: Client) -> None:
    customer_id = ledger.customers.create(name="feed")["id"]
    first = ledger.recharge(customer_id, "1")
    assert [each.type for each in ledger.events(customer_id=customer_id)] == ["account.opened", "recharge.posted"]

    def post() -> None:
        for _ in range(8):
            time.sleep(0.5)
            ledger.recharge(customer_id, "1")

    poster = threading.Thread(target=post)
    poster.start()
    # A stream lasts two seconds here: these come over several.
    followed = [each.version for each in islice(ledger.follow(first.position, customer_id=customer_id), 8)]
    polled = [each.version for each in islice(ledger.follow(0, customer_id=customer_id, poll_s=0.1), 10)]
    poster.join()

    assert followed == list(range(3, 11))
    assert polled == list(range(1, 11))


def test_a_directory_object_is_changed_at_its_revision_or_not(ledger: Client) -> None:
    level = ledger.levels.create(name="Gold", discount_percent=Decimal("90"))

    changed = ledger.levels.change(level["id"], revision=level["revision"], discount_percent="80")

    assert ledger.levels.read(level["id"]) == changed
    with pytest.raises(Refused) as stale:
        ledger.levels.change(level["id"], revision=level["revision"], discount_percent="70")
    assert stale.value.status == 412
    ledger.levels.delete(level["id"])
    with pytest.raises(NotFound):
        ledger.levels.read(level["id"])


def test_every_example_of_the_document_runs(place: Place, ledger: Client) -> None:
    examples = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    address = place.service.address
    names = {"url": address, "second_url": address, "api_key": place.key, "customer_id": place.customer_id}

    known: dict[str, object] = {}
    for example in examples:
        # What an example imports or makes, later ones use, too; each has an open client.
        known |= {**names, "ledger": ledger}
        exec(compile(example, str(DOCUMENT), "exec"), known)

    assert len(examples) == 8
