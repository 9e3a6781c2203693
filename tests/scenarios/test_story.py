"""The story of an order, from the level to the log, through real processes."""

import json

from running_service import running


def test_an_order_is_placed_executed_found_and_recorded(surroundings: dict[str, str]) -> None:
    with running(surroundings) as service:
        client = service.client()
        level = client.post("/v1/levels", {"name": "Gold", "discount_percent": "90"}).body
        customer = client.post("/v1/customers", {"name": "赵敏 Zhao Min", "level_id": level["id"]}).body
        simulated = {"executor": "simulated", "executor_settings": {"delay_s": 0.2}}
        client.post("/v1/products", {"sku": "hello", "name": "Hello", "unit_price": "0.10", **simulated})
        slow = {"executor": "simulated", "executor_settings": {"delay_s": 3_600}}
        client.post("/v1/products", {"sku": "slow", "name": "Slow", "unit_price": "0.10", **slow})
        mine = f"/v1/customers/{customer['id']}"

        recharged = client.post(f"{mine}/recharges", {"amount": "100.00"})
        assert (recharged.status, recharged.body["balance"]["available"]) == (201, "100.00")

        placed = client.post("/v1/orders", {"customer_id": customer["id"], "product": "hello", "quantity": 100})
        assert (placed.status, placed.body["balance"]["held"], placed.body["balance"]["available"]) == (
            201,
            "9.00",
            "91.00",
        )
        order_id = placed.body["order"]["id"]

        service.wait_until(lambda: client.get(f"/v1/orders/{order_id}").body["status"] == "completed", s_max=20)
        position = client.get(f"/v1/orders/{order_id}").headers["Ledger-Position"]
        balance = client.get(f"{mine}/balance", Ledger_Min_Position=position).body
        assert (balance["available"], balance["held"]) == ("91.00", "0.00")

        for part in ("敏", "zhao", "MIN"):
            found = client.get(f"/v1/orders?customer_name={part}", Ledger_Min_Position=position).body["data"]
            assert [(each["id"], each["status"]) for each in found] == [(order_id, "completed")]

        service.kill("worker agent")
        second = client.post("/v1/orders", {"customer_id": customer["id"], "product": "slow", "quantity": 100})
        cancelled = client.post(f"/v1/orders/{second.body['order']['id']}/cancellation", {"reason": "changed my mind"})
        assert (cancelled.status, cancelled.body["balance"]["available"]) == (201, "91.00")

        events = client.get(f"/v1/events?customer_id={customer['id']}").body["data"]
        assert [each["type"] for each in events] == [
            "account.opened",
            "recharge.posted",
            "order.placed",
            "order.started",
            "order.completed",
            "order.placed",
            "order.cancelled",
        ]
        assert all(sum(leg["amount_minor"] for leg in each["postings"]) == 0 for each in events)
        assert client.get("/v1/trial-balance").body["sums"] == {"CNY": "0.00"}
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
