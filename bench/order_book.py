"""A read model of very many orders, made by the fold and the script that keep it in production, without a log.

The first customer has a twentieth of all orders. Statuses, products, amounts and references are as uneven as a shop's.
"""

from __future__ import annotations

import json
import random
from array import array
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import redis

from bench.method import Progress
from ledger.log import Excerpt
from ledger.orders import CANCELLED, COMPLETED, EXECUTING, FAILED, NEEDS_REVIEW, PLACED
from projections import generations
from projections.catch_up import checkpoint_at
from projections.orders import NAME, fold
from projections.search import OrderFilters

BATCH_ORDERS = 700
SEED = 11
BIG_SHARE = 0.05
STARTED_AT_US = 1_780_000_000_000_000
STEP_US = 40_000
PRODUCTS = tuple(f"sku-{number:03}" for number in range(200))
STATUSES = (COMPLETED, CANCELLED, FAILED, PLACED, EXECUTING, NEEDS_REVIEW)
_STATUS_WEIGHTS = (790, 80, 60, 40, 20, 10)
_PRODUCT_WEIGHTS = [1 / (number + 2) for number in range(len(PRODUCTS))]
_REFERENCED_SHARE = 0.8
_QUANTITIES = (1, 1, 1, 2, 3, 5, 10, 50, 100, 500)
_PRICES_MINOR = (5, 10, 50, 99, 120, 350, 999, 2_500)


class OrderBook:
    """Orders made from a seed, the same ones each time, in columns; an order's number is its place plus one."""

    def __init__(self, customer_ids: Sequence[str], orders: int) -> None:
        chance = random.Random(SEED)
        self.customer_ids = customer_ids
        self.orders = orders
        self.products = array("H", chance.choices(range(len(PRODUCTS)), _PRODUCT_WEIGHTS, k=orders))
        self.statuses = array("B", chance.choices(range(len(STATUSES)), _STATUS_WEIGHTS, k=orders))
        others = len(customer_ids) - 1
        self.customers = array(
            "I", (0 if chance.random() < BIG_SHARE else 1 + int(chance.random() * others) for _ in range(orders))
        )
        self.quantities = array("H", chance.choices(_QUANTITIES, k=orders))
        self.prices_minor = array("H", chance.choices(_PRICES_MINOR, k=orders))
        self.referenced = array("B", (chance.random() < _REFERENCED_SHARE for _ in range(orders)))
        self.ids = [_order_id(chance, STARTED_AT_US + 3 * place * STEP_US) for place in range(orders)]

    def amount_minor(self, place: int) -> int:
        """Return an order's amount."""
        return self.quantities[place] * self.prices_minor[place]

    def reference(self, place: int) -> str | None:
        """Return an order's reference."""
        return f"INV-26-{place * 7:07}" if self.referenced[place] else None

    def placed_position(self, place: int) -> int:
        """Return the position of an order's first event; each order has three positions, used or not."""
        return 3 * place + 1

    def status(self, place: int) -> str:
        """Return an order's status."""
        return STATUSES[self.statuses[place]]

    def matches(self, place: int, filters: OrderFilters) -> bool:
        """Say whether an order meets the filters, without any index."""
        customer_id, product = self.customer_ids[self.customers[place]], PRODUCTS[self.products[place]]
        reference = self.reference(place)
        return (
            (filters.customer_ids is None or customer_id in filters.customer_ids)
            and (filters.statuses is None or self.status(place) in filters.statuses)
            and (filters.products is None or product in filters.products)
            and (filters.placed_from is None or self.placed_position(place) >= filters.placed_from)
            and (filters.placed_to is None or self.placed_position(place) <= filters.placed_to)
            and (filters.amounts is None or filters.amounts[0] <= self.amount_minor(place) <= filters.amounts[1])
            and (filters.order_id is None or self.ids[place] == filters.order_id)
            and (filters.reference is None or reference == filters.reference)
            and (filters.reference_prefix is None or (reference or "").startswith(filters.reference_prefix))
            and all(
                customer_id in word.customer_ids
                or product in word.products
                or self.ids[place] in word.order_ids
                or (
                    reference is not None
                    and reference.casefold().startswith(tuple(map(str.casefold, word.reference_prefixes)))
                )
                for word in filters.words
            )
        )

    def fill(self, client: redis.Redis, progress: Progress) -> None:
        """Put all of them in an empty orders read model: one thread folds while another one applies."""
        live = generations.start(client, NAME)
        checkpoint = live.checkpoint()
        assert checkpoint is not None
        under_way: Future[bool] | None = None
        noted: Mapping[Any, Any] = {}
        with ThreadPoolExecutor(1) as applying:
            for start in range(0, self.orders, BATCH_ORDERS):
                events = [
                    each for place in range(start, min(start + BATCH_ORDERS, self.orders)) for each in self._life(place)
                ]
                step = fold(events, _Unseen(noted))
                noted = step.noted
                after = checkpoint_at(events[-1])
                assert under_way is None or under_way.result(), "a batch was not applied"
                under_way = applying.submit(live.apply, step, before=checkpoint, after=after)
                checkpoint = after
                progress(f"search: {start:,} of {self.orders:,} orders")
            assert under_way is None or under_way.result(), "a batch was not applied"

    def _life(self, place: int) -> Iterator[Excerpt]:
        """Yield an order's events."""
        quantity, amount_minor = self.quantities[place], self.amount_minor(place)
        placed = {
            "product": PRODUCTS[self.products[place]],
            "quantity": quantity,
            "unit_price": f"{self.prices_minor[place] / 100:.2f}",
            "list_amount_minor": amount_minor,
            "discount_percent": "100",
            "amount_minor": amount_minor,
            "currency": "CNY",
        }
        reference = self.reference(place)
        if reference is not None:
            placed["reference"] = reference
        yield self._event(place, 0, "order.placed", placed)
        status = STATUSES[self.statuses[place]]
        if status not in (PLACED, CANCELLED):
            yield self._event(place, 1, "order.started", {"attempt": 1, "executor": "http"})
        if status == COMPLETED:
            done = {"captured_minor": amount_minor, "delivered": quantity, "released_minor": 0}
            yield self._event(place, 2, "order.completed", done)
        elif status == FAILED:
            yield self._event(place, 2, "order.failed", {"code": "no-route", "released_minor": amount_minor})
        elif status == CANCELLED:
            done = {"captured_minor": 0, "delivered": 0, "released_minor": amount_minor}
            yield self._event(place, 2, "order.cancelled", done)
        elif status == NEEDS_REVIEW:
            yield self._event(place, 2, "order.parked", {"code": "unsure"})

    def _event(self, place: int, later: int, type_name: str, data: Mapping[str, Any]) -> Excerpt:
        position = self.placed_position(place) + later
        return Excerpt(
            position=position,
            account_id=self.customer_ids[self.customers[place]],
            version=position,
            type=type_name,
            schema_version=1,
            order_id=self.ids[place],
            actor="bench",
            correlation_id="",
            recorded_at_us=STARTED_AT_US + position * STEP_US,
            available_minor=0,
            held_minor=0,
            leaf=f"{position:064x}",
            data=json.dumps(data),
            postings="",
        )


class _Unseen:
    """What a fold reads when every order begins and ends in its batch: what the fold before noted."""

    def __init__(self, noted: Mapping[Any, Any]) -> None:
        self.recent = noted

    def fields(self, wanted: Sequence[tuple[str, str]]) -> list[str | None]:
        return [None] * len(wanted)

    def items(self, wanted: Sequence[tuple[str, int]]) -> list[str | None]:
        return [None] * len(wanted)


def _order_id(chance: random.Random, at_us: int) -> str:
    """Return an id as ledger.ids makes them (UUIDv7), of a time in the past."""
    tail = 0x8 << 60 | chance.getrandbits(62)
    return f"ord_{at_us // 1_000:012x}7{chance.getrandbits(12):03x}{tail:016x}"
