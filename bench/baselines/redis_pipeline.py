"""A read model as usually written: redis-py's pipeline, five commands for each event, the checkpoint in the same MULTI.

A hash for each order or transaction, the balance added up, and sorted sets by customer, kind and time. It keeps less
than any of ours: no status, no search by reference or amount, no order found by its id but one by one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import redis

from ledger.log import Excerpt

CHECKPOINT = "checkpoint"


def apply(client: redis.Redis, events: Sequence[Excerpt]) -> None:
    """Apply a batch, unless it was applied before."""
    if int(client.get(CHECKPOINT) or 0) >= events[-1].position:  # type: ignore[arg-type]
        return
    pipeline = client.pipeline(transaction=True)
    for each in events:
        data = json.loads(each.data)
        name = each.order_id or str(each.position)
        amount_minor = data.get("amount_minor", 0)
        document = {
            "name": name,
            "customer": each.account_id,
            "status": each.type,
            "at": each.recorded_at_us,
            "amount": amount_minor,
        }
        pipeline.hincrby("balances", each.account_id, amount_minor)
        pipeline.hset(f"document:{name}", mapping=document)
        pipeline.zadd(f"by-customer:{each.account_id}", {name: each.recorded_at_us})
        pipeline.zadd(f"by-status:{each.type}", {name: each.recorded_at_us})
        pipeline.zadd("by-time", {name: each.recorded_at_us})
    pipeline.set(CHECKPOINT, events[-1].position)
    pipeline.execute()


def prove(client: redis.Redis, events: Sequence[Excerpt]) -> None:
    """Compare what must be there with the events. Raises AssertionError."""
    assert client.zcard("by-time") == len({each.order_id or str(each.position) for each in events})
    assert client.hlen("balances") == len({each.account_id for each in events})
