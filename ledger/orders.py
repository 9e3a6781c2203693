"""An order's life: placed, executing, then completed, failed or cancelled, or parked (needs review) until a person
resolves it.

Placing holds the price on the customer's account; every end captures or releases the whole hold exactly once. A
runner records only under the attempt it started: a later attempt makes it stale.
"""

from __future__ import annotations

from typing import NamedTuple, assert_never

from ledger.accounts import Account, ensure_currency, ensure_spendable
from ledger.commands import CancelOrder, CompleteOrder, FailOrder, ParkOrder, PlaceOrder, ResolveOrder, StartOrder
from ledger.errors import (
    AmountOutOfRange,
    DeliveredOutOfRange,
    OrderExists,
    OrderInWrongStatus,
    OrderNotCancellable,
    ProductNotFound,
    QuantityOutOfRange,
    StaleAttempt,
)
from ledger.events import (
    OrderCancelled,
    OrderCompleted,
    OrderEvent,
    OrderFailed,
    OrderParked,
    OrderPlaced,
    OrderResolved,
    OrderStarted,
)
from ledger.money import AMOUNT_MINOR_MAX, currency
from ledger.pricing import partial_capture, price

PLACED = "placed"
EXECUTING = "executing"
COMPLETED = "completed"
FAILED = "failed"
CANCELLED = "cancelled"
NEEDS_REVIEW = "needs_review"
STATUSES = (PLACED, EXECUTING, COMPLETED, FAILED, CANCELLED, NEEDS_REVIEW)
TERMINAL = frozenset({COMPLETED, FAILED, CANCELLED})
RESOLUTIONS = (COMPLETED, FAILED, CANCELLED)


class Order(NamedTuple):
    """The write-side state of one order: a fold of its events. `amount_minor` is what it held; `position` its last
    event's.
    """

    order_id: str
    account_id: str
    status: str
    product: str
    quantity: int
    unit_price: str
    list_amount_minor: int
    discount_percent: str
    amount_minor: int
    currency: str
    reference: str | None
    attempt: int
    executor: str | None
    delivered: int
    captured_minor: int
    released_minor: int
    code: str | None
    placed_position: int
    position: int


def evolve(order: Order | None, event: OrderEvent, *, order_id: str, account_id: str, position: int) -> Order:
    """Return the order after one of its events."""
    if isinstance(event, OrderPlaced):
        return Order(
            order_id=order_id,
            account_id=account_id,
            status=PLACED,
            product=event.product,
            quantity=event.quantity,
            unit_price=event.unit_price,
            list_amount_minor=event.list_amount_minor,
            discount_percent=event.discount_percent,
            amount_minor=event.amount_minor,
            currency=event.currency,
            reference=event.reference,
            attempt=0,
            executor=None,
            delivered=0,
            captured_minor=0,
            released_minor=0,
            code=None,
            placed_position=position,
            position=position,
        )
    if order is None:
        raise TypeError(f"{event.TYPE} before order.placed")
    status, attempt, executor, code = order.status, order.attempt, order.executor, order.code
    delivered, captured, released = order.delivered, order.captured_minor, order.released_minor
    match event:
        case OrderStarted():
            status, attempt, executor = EXECUTING, event.attempt, event.executor
        case OrderCompleted():
            status, delivered, captured, released = (
                COMPLETED,
                event.delivered,
                event.captured_minor,
                event.released_minor,
            )
        case OrderFailed():
            status, released, code = FAILED, event.released_minor, event.code
        case OrderCancelled():
            status, delivered, captured, released = (
                CANCELLED,
                event.delivered,
                event.captured_minor,
                event.released_minor,
            )
        case OrderParked():
            status, code = NEEDS_REVIEW, event.code
        case OrderResolved():
            status, delivered, captured, released = (
                event.resolution,
                event.delivered,
                event.captured_minor,
                event.released_minor,
            )
        case _:
            assert_never(event)
    return Order(
        order_id=order_id,
        account_id=account_id,
        status=status,
        product=order.product,
        quantity=order.quantity,
        unit_price=order.unit_price,
        list_amount_minor=order.list_amount_minor,
        discount_percent=order.discount_percent,
        amount_minor=order.amount_minor,
        currency=order.currency,
        reference=order.reference,
        attempt=attempt,
        executor=executor,
        delivered=delivered,
        captured_minor=captured,
        released_minor=released,
        code=code,
        placed_position=order.placed_position,
        position=position,
    )


def place(account: Account, order: Order | None, command: PlaceOrder) -> OrderPlaced:
    """Price the order at today's terms and the account's percentage, and hold the amount."""
    if order is not None:
        raise OrderExists(order_id=command.order_id)
    terms = command.terms
    if terms is None:
        raise ProductNotFound(product=command.product)
    if not terms.quantity_min <= command.quantity <= terms.quantity_max:
        raise QuantityOutOfRange(product=terms.sku, minimum=terms.quantity_min, maximum=terms.quantity_max)
    ensure_currency(account, terms.currency)
    cost = price(terms.unit_price, terms.tiers, command.quantity, account.discount_percent, currency(account.currency))
    if not 0 < cost.amount_minor <= cost.list_amount_minor <= AMOUNT_MINOR_MAX:
        raise AmountOutOfRange(amount_minor=cost.amount_minor, limit_minor=AMOUNT_MINOR_MAX, currency=account.currency)
    ensure_spendable(account, cost.amount_minor)
    return OrderPlaced(
        product=command.product,
        quantity=command.quantity,
        unit_price=cost.unit_price,
        list_amount_minor=cost.list_amount_minor,
        discount_percent=account.discount_percent,
        amount_minor=cost.amount_minor,
        currency=account.currency,
        reference=command.reference,
    )


def start(order: Order, command: StartOrder) -> OrderStarted:
    """Record the intent to call the executor; only the next attempt may start."""
    if order.status not in (PLACED, EXECUTING):
        raise OrderInWrongStatus(order_id=order.order_id, status=order.status, needed=f"{PLACED} or {EXECUTING}")
    if command.attempt != order.attempt + 1:
        raise StaleAttempt(order_id=order.order_id, attempt=command.attempt, current=order.attempt)
    return OrderStarted(attempt=command.attempt, executor=command.executor)


def complete(order: Order, command: CompleteOrder) -> OrderCompleted:
    """Capture what was delivered and release the rest."""
    _ensure_executing(order, command.attempt)
    captured = _capture(order, command.delivered)
    return OrderCompleted(
        delivered=command.delivered, captured_minor=captured, released_minor=order.amount_minor - captured
    )


def fail(order: Order, command: FailOrder) -> OrderFailed:
    """Release the whole hold."""
    _ensure_executing(order, command.attempt)
    return OrderFailed(code=command.code, released_minor=order.amount_minor)


def cancel(order: Order, command: CancelOrder) -> OrderCancelled:
    """Cancel: freely while placed, afterwards only as the executor confirmed for the current attempt."""
    if order.status == PLACED:
        return OrderCancelled(delivered=0, captured_minor=0, released_minor=order.amount_minor)
    if order.status != EXECUTING or command.confirmed_attempt is None:
        raise OrderNotCancellable(order_id=order.order_id, status=order.status)
    _ensure_executing(order, command.confirmed_attempt)
    captured = _capture(order, command.delivered)
    return OrderCancelled(
        delivered=command.delivered,
        captured_minor=captured,
        released_minor=order.amount_minor - captured,
        confirmed_by_executor=True,
    )


def park(order: Order, command: ParkOrder) -> OrderParked:
    """Hand the order to a person; the hold stays."""
    if order.status not in (PLACED, EXECUTING):
        raise OrderInWrongStatus(order_id=order.order_id, status=order.status, needed=f"{PLACED} or {EXECUTING}")
    if command.attempt != order.attempt:
        raise StaleAttempt(order_id=order.order_id, attempt=command.attempt, current=order.attempt)
    return OrderParked(code=command.code)


def resolve(order: Order, command: ResolveOrder) -> OrderResolved:
    """End a parked order as a person decided."""
    if order.status != NEEDS_REVIEW:
        raise OrderInWrongStatus(order_id=order.order_id, status=order.status, needed=NEEDS_REVIEW)
    captured = _capture(order, command.delivered)
    return OrderResolved(
        resolution=command.resolution,
        delivered=command.delivered,
        captured_minor=captured,
        released_minor=order.amount_minor - captured,
    )


def _ensure_executing(order: Order, attempt: int) -> None:
    if order.status != EXECUTING:
        raise OrderInWrongStatus(order_id=order.order_id, status=order.status, needed=EXECUTING)
    if attempt != order.attempt:
        raise StaleAttempt(order_id=order.order_id, attempt=attempt, current=order.attempt)


def _capture(order: Order, delivered: int) -> int:
    if not 0 <= delivered <= order.quantity:
        raise DeliveredOutOfRange(delivered=delivered, quantity=order.quantity)
    return partial_capture(order.amount_minor, delivered, order.quantity)
