"""The story of an order, from the level to the log, through real processes."""

import json
from decimal import Decimal

from running_service import running


def test_an_order_is_placed_executed_found_and_recorded(surroundings: dict[str, str]) -> None:
    with running(surroundings) as service, service.ledger() as ledger:
        level = ledger.levels.create(name="Gold", discount_percent="90")
        customer_id = ledger.customers.create(name="赵敏 Zhao Min", level_id=level["id"])["id"]
        simulated = {"executor": "simulated", "executor_settings": {"delay_s": 0.2}}
        ledger.products.create(sku="hello", name="Hello", unit_price="0.10", **simulated)
        slow = {"executor": "simulated", "executor_settings": {"delay_s": 3_600}}
        ledger.products.create(sku="slow", name="Slow", unit_price="0.10", **slow)

        recharged = ledger.recharge(customer_id, "100.00")
        assert recharged.balance is not None and recharged.balance.available == Decimal("100.00")

        placed = ledger.place_order("hello", 100, customer_id=customer_id)
        assert placed.order is not None and placed.balance is not None
        assert (placed.balance.held, placed.balance.available) == (Decimal("9.00"), Decimal("91.00"))
        order_id = placed.order.id

        service.wait_until(lambda: ledger.order(order_id).status == "completed", s_max=20)
        balance = ledger.balance(customer_id)
        assert (balance.available, balance.held) == (Decimal("91.00"), 0)

        for part in ("敏", "zhao", "MIN"):
            found = [(each.id, each.status) for each in ledger.orders(customer_name=part)]
            assert found == [(order_id, "completed")]

        service.kill("worker agent")
        second = ledger.place_order("slow", 100, customer_id=customer_id)
        assert second.order is not None
        cancelled = ledger.cancel(second.order.id, reason="changed my mind")
        assert cancelled.balance is not None and cancelled.balance.available == Decimal("91.00")

        events = list(ledger.events(customer_id=customer_id))
        assert [each.type for each in events] == [
            "account.opened",
            "recharge.posted",
            "order.placed",
            "order.started",
            "order.completed",
            "order.placed",
            "order.cancelled",
        ]
        assert all(sum(leg["amount_minor"] for leg in each.postings) == 0 for each in events)
        assert service.client().get("/v1/trial-balance").body["sums"] == {"CNY": "0.00"}
        for name in ("balances", "orders", "transactions"):
            service.wait_until(service.caught_up, s_max=20)
            assert json.loads(service.run("projections", "diff", name, "--json"))["differences"] == []


def test_an_order_in_execution_is_cancelled_only_when_its_executor_agrees(surroundings: dict[str, str]) -> None:
    with running(surroundings) as service:
        client = service.client()
        customer = client.post("/v1/customers", {"name": "x"}).body
        slow = {"executor": "simulated", "executor_settings": {"delay_s": 3_600}}
        client.post("/v1/products", {"sku": "slow", "name": "Slow", "unit_price": "1", **slow})
        client.post(f"/v1/customers/{customer['id']}/recharges", {"amount": "10"})
        placed = client.post("/v1/orders", {"customer_id": customer["id"], "product": "slow", "quantity": 4}).body
        path = f"/v1/orders/{placed['order']['id']}"
        service.wait_until(lambda: client.get(path).body["status"] == "executing", s_max=20)

        answer = client.post(f"{path}/cancellation", {}, key="k1")

        service.wait_until(lambda: client.get("/v1/commands/k1").body["status"] == "accepted", s_max=20)
        assert answer.status in (201, 202), answer.body
        outcome = client.get("/v1/commands/k1").body
        assert outcome["result"]["order"]["status"] == "cancelled"
        assert client.post(f"{path}/cancellation", {}, key="k1").status == 201
        assert client.get(f"/v1/customers/{customer['id']}/balance").body["available"] == "10.00"
