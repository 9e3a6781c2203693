"""The shapes of answers, for the API document. They are built by api.frames and the routes; tests hold both together."""

from __future__ import annotations

from typing import Any

from marshmallow import INCLUDE, Schema, fields

from ledger.orders import STATUSES


class Shown(Schema):
    """An answer: clients ignore fields they do not know, so that more can be told later."""

    class Meta:
        """Say so in the document."""

        unknown = INCLUDE


def decimal(**more: Any) -> fields.String:
    """Return the field of a decimal in major units, signed where it may be negative."""
    return fields.String(metadata={"pattern": r"^-?[0-9]+(\.[0-9]{1,4})?$"}, **more)


def moment() -> fields.String:
    """Return the field of an RFC 3339 time in UTC with microseconds."""
    return fields.String(metadata={"format": "date-time"})


class BalanceAnswer(Shown):
    """An account's money: `version` and `position` are those of the event that led to it."""

    available = decimal(required=True)
    held = decimal(required=True)
    total = decimal(required=True)
    currency = fields.String(required=True)
    version = fields.Integer(required=True)
    position = fields.Integer(required=True)


class OrderAnswer(Shown):
    """An order."""

    id = fields.String(required=True)
    customer_id = fields.String(required=True)
    status = fields.String(required=True, metadata={"enum": list(STATUSES)})
    product = fields.String(required=True)
    quantity = fields.Integer(required=True)
    unit_price = fields.String(required=True)
    list_amount = decimal(required=True)
    discount_percent = fields.String(required=True, metadata={"description": "what is paid, in percent"})
    amount = decimal(required=True)
    currency = fields.String(required=True)
    reference = fields.String(required=True, allow_none=True)
    attempt = fields.Integer(required=True)
    executor = fields.String(required=True, allow_none=True)
    delivered = fields.Integer(required=True)
    captured = decimal(required=True)
    released = decimal(required=True)
    code = fields.String(required=True, allow_none=True, metadata={"description": "why it failed or waits"})
    placed_position = fields.Integer(required=True)
    position = fields.Integer(required=True)


class CommandAnswer(Shown):
    """What a command led to: its event in short, the balance right after it, and the order of a command on one."""

    position = fields.Integer(required=True)
    type = fields.String(required=True, allow_none=True)
    recorded_at = moment()
    customer_id = fields.String()
    amount = decimal(allow_none=True)
    currency = fields.String()
    reference = fields.String(allow_none=True)
    memo = fields.String(allow_none=True)
    reason = fields.String()
    reverses_position = fields.Integer()
    balance = fields.Nested(BalanceAnswer)
    order = fields.Nested(OrderAnswer)


class EventAnswer(Shown):
    """An event of the log: the whole envelope; `data` and `postings` are the stored bytes' own JSON, in minor units."""

    position = fields.Integer(required=True)
    event_id = fields.String(required=True, metadata={"format": "uuid"})
    account_id = fields.String(required=True)
    version = fields.Integer(required=True)
    type = fields.String(required=True)
    schema_version = fields.Integer(required=True)
    order_id = fields.String(required=True, allow_none=True)
    actor = fields.String(required=True)
    idempotency_key = fields.String(required=True)
    correlation_id = fields.String(required=True)
    causation_id = fields.String(required=True, allow_none=True)
    recorded_at = fields.String(required=True, metadata={"format": "date-time"})
    available_minor = fields.Integer(required=True)
    held_minor = fields.Integer(required=True)
    details_hash = fields.String(required=True, allow_none=True)
    data = fields.Dict(required=True)
    postings = fields.List(fields.Dict(), required=True)
    leaf_hash = fields.String(required=True)


class OneEventAnswer(EventAnswer):
    """An event with its erasable text, and the positions of its account's events before and after it."""

    details = fields.Dict(required=True, allow_none=True)
    previous_in_account = fields.Integer(required=True, allow_none=True)
    next_in_account = fields.Integer(required=True, allow_none=True)


class EventsAnswer(Shown):
    """Events in order; `next` is the position to go on after, null at the end."""

    data = fields.List(fields.Nested(EventAnswer), required=True)
    next = fields.String(required=True, allow_none=True)


class CheckpointAnswer(Shown):
    """A signed checkpoint, and its parts."""

    origin = fields.String(required=True)
    size = fields.Integer(required=True)
    root = fields.String(required=True)
    sealed_at = moment()
    note = fields.String(required=True)


class VerificationAnswer(Shown):
    """What a recorded audit came to."""

    finished_at = moment()
    status = fields.String(required=True)
    events = fields.Integer(required=True)
    first_bad_position = fields.Integer(required=True, allow_none=True)
    finding = fields.String(required=True, allow_none=True)
    seconds = fields.Integer(required=True)


class LogStatusAnswer(Shown):
    """The newest checkpoint, what it does not cover yet, and the last verification."""

    checkpoint = fields.Nested(CheckpointAnswer, required=True, allow_none=True)
    lag_events = fields.Integer(required=True)
    lag_s = fields.Float(required=True)
    verification = fields.Nested(VerificationAnswer, required=True, allow_none=True)


class FoundOrderAnswer(OrderAnswer):
    """An order with its customer's name and its times."""

    customer_name = fields.String(allow_none=True)
    placed_at = moment()
    updated_at = moment()


class WholeOrderAnswer(OrderAnswer):
    """An order with its parameters and its events."""

    customer_name = fields.String(allow_none=True)
    params = fields.Dict(allow_none=True)
    events = fields.List(fields.Nested(EventAnswer), required=True)


class CountAnswer(Shown):
    """How many orders; not exact: at least so many."""

    orders = fields.Integer()
    exact = fields.Boolean()


class OrdersAnswer(Shown):
    """A page of orders: `next` is the cursor of the next one, null at the end."""

    data = fields.List(fields.Nested(FoundOrderAnswer), required=True)
    next = fields.String(required=True, allow_none=True)
    counts = fields.Dict(keys=fields.String(), values=fields.Nested(CountAnswer))


class TransactionAnswer(Shown):
    """An event that moved money, and the balance after it."""

    position = fields.Integer(required=True)
    type = fields.String(required=True)
    recorded_at = moment()
    customer_id = fields.String(required=True)
    customer_name = fields.String(allow_none=True)
    order_id = fields.String(allow_none=True)
    amount = decimal(required=True)
    currency = fields.String(required=True)
    reference = fields.String(allow_none=True)
    actor = fields.String()
    reverses_position = fields.Integer(allow_none=True)
    reversed_by = fields.Integer(allow_none=True)
    available_change = decimal()
    held_change = decimal()
    balance = fields.Nested(BalanceAnswer, required=True)


class TransactionsAnswer(Shown):
    """A page of transactions: `next` is the cursor of the next one, null at the end."""

    data = fields.List(fields.Nested(TransactionAnswer), required=True)
    next = fields.String(required=True, allow_none=True)


class LineAnswer(Shown):
    """A line of a statement: `change` is of the total; available, held and total are as after it."""

    position = fields.Integer(required=True)
    recorded_at = moment()
    type = fields.String(required=True)
    order_id = fields.String(allow_none=True)
    reference = fields.String(allow_none=True)
    amount = decimal(allow_none=True)
    change = decimal(required=True)
    available = decimal(required=True)
    held = decimal(required=True)
    total = decimal(required=True)


class StatementAnswer(Shown):
    """An account's statement: opening and closing are totals."""

    customer_id = fields.String(required=True)
    currency = fields.String(required=True)
    from_ = fields.String(data_key="from", metadata={"format": "date-time"})
    to = moment()
    opening = decimal(required=True)
    lines = fields.List(fields.Nested(LineAnswer), required=True)
    closing = decimal(required=True)


class LedgerAccountAnswer(Shown):
    """A ledger account's sum of postings."""

    account = fields.String(required=True)
    currency = fields.String(required=True)
    amount = decimal(required=True)


class TrialBalanceAnswer(Shown):
    """Every ledger account; `sums` per currency are zero."""

    position = fields.Integer(required=True)
    accounts = fields.List(fields.Nested(LedgerAccountAnswer), required=True)
    sums = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class HealthAnswer(Shown):
    """The process answers."""

    status = fields.String()


class ProjectionAnswer(Shown):
    """How far a read model is behind the log."""

    name = fields.String()
    position = fields.Integer()
    lag_events = fields.Integer()
    lag_s = fields.Float()
    state = fields.String(metadata={"enum": ["current", "behind", "stopped", "missing"]})


class ReplicaAnswer(Shown):
    """A replica of the log and its lag, null while that cannot be told; `problem`: why nothing is read from it."""

    name = fields.String()
    position = fields.Integer(allow_none=True)
    lag_events = fields.Integer(allow_none=True)
    lag_s = fields.Float(allow_none=True)
    problem = fields.String(allow_none=True)


class ReadinessAnswer(Shown):
    """What works: ready, degraded (commands are taken, searches may not be), unavailable, or draining (about to stop)."""

    status = fields.String(metadata={"enum": ["ready", "degraded", "unavailable", "draining"]})
    checks = fields.Dict(keys=fields.String(), values=fields.Dict())
    head = fields.Integer(allow_none=True)
    projections = fields.List(fields.Nested(ProjectionAnswer))
    replicas = fields.List(fields.Nested(ReplicaAnswer))


class ProblemAnswer(Shown):
    """What went wrong (RFC 9457); `code` is stable. A refusal adds fields of its own."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(required=True)
    retryable = fields.Boolean(required=True)
    request_id = fields.String(required=True)
    errors = fields.List(fields.Dict())


class OutcomeAnswer(Shown):
    """The stored outcome of a command."""

    status = fields.String(required=True, metadata={"enum": ["accepted", "refused", "cancellation_requested"]})
    result = fields.Nested(CommandAnswer)
    problem = fields.Nested(ProblemAnswer)
    order_id = fields.String()


class ResultAnswer(Shown):
    """A batch command's outcome: `status` as its own route would answer it, with `result` or `problem`."""

    status = fields.Integer(required=True)
    idempotency_key = fields.String(required=True, allow_none=True)
    replayed = fields.Boolean()
    result = fields.Nested(CommandAnswer)
    problem = fields.Nested(ProblemAnswer)


class BatchAnswer(Shown):
    """One result for each command, in order."""

    results = fields.List(fields.Nested(ResultAnswer), required=True)


class CancellationRequestedAnswer(Shown):
    """The executor is being asked; the outcome will be at Location."""

    status = fields.String(required=True, metadata={"enum": ["cancellation_requested"]})
    order_id = fields.String(required=True)


class AnyAnswer(Shown):
    """An object."""
