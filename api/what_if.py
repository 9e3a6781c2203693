"""What other percentages or prices would have changed: a replay of a part of the log that one request can wait for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from marshmallow import ValidationError, fields, validate, validates_schema

from api.answering import answer_read
from api.directory.fields import DecimalText, Sku, StrictSchema, Token, WholeNumber
from api.directory.schemas import unit_price
from api.errors import TooManyEvents
from api.freshness import read_past
from api.routing import Answer, Call, Routes
from api.schemas import POSITION_MAX, TIME_US_MAX
from api.services import Services
from api.shapes import Shown, decimal
from ledger import log
from ledger.audit.repricing import Effect, Repricing, sums
from ledger.audit.what_if import Found, events_to_read, row, what_if
from ledger.clock import parse_rfc3339
from ledger.directory.names import Names
from ledger.errors import ReadUnavailable
from ledger.pricing import QUANTITY_MAX, Tier, canonical_percent
from ledger.schema import ID_LENGTH

routes = Routes("what-if")
RULES_MAX = 200
CUSTOMERS_MAX = 1_000
"""Customers that an answer names; the sums are of all."""


class Place(fields.Field[Any]):
    """A position as a number, or an RFC 3339 time as a text; loaded as (position, None) or (None, microseconds)."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> tuple[int | None, int | None]:
        if type(value) is int and 0 <= value <= POSITION_MAX:
            return value, None
        try:
            time_us = parse_rfc3339(value) if isinstance(value, str) and value.isascii() else -1
        except (ValueError, OverflowError):
            time_us = -1
        if not 0 <= time_us <= TIME_US_MAX:
            raise ValidationError("expected a position as a number, or a time such as 2026-01-31T08:00:00Z")
        return None, time_us


class DiscountRule(StrictSchema):
    """Orders that were placed at one percentage, at another."""

    from_percent = DecimalText(canonical_percent, required=True)
    to_percent = DecimalText(canonical_percent, required=True)


class LevelRule(StrictSchema):
    """Orders that were placed while the account was at a level."""

    level_id = Token(ID_LENGTH, required=True)
    discount_percent = DecimalText(canonical_percent, required=True)


class PriceRule(StrictSchema):
    """A product's unit price, from a quantity on."""

    product = Sku(required=True)
    unit_price = DecimalText(unit_price, required=True)
    from_quantity = WholeNumber(1, QUANTITY_MAX, load_default=1)


def _rules(of: type[StrictSchema]) -> fields.List[Any]:
    return fields.List(fields.Nested(of), load_default=list, validate=validate.Length(max=RULES_MAX))


class WhatIfBody(StrictSchema):
    """What would be different, for which orders (those placed from `from` to `to`), and for whom."""

    discounts = _rules(DiscountRule)
    levels = _rules(LevelRule)
    prices = _rules(PriceRule)
    from_ = Place(data_key="from", metadata={"description": "a position or a time"})
    to = Place(metadata={"description": "a position or a time"})
    customer_id = Token(ID_LENGTH)

    @validates_schema(skip_on_field_errors=True)
    def says_something(self, content: dict[str, Any], **_: Any) -> None:
        """Refuse a body without a rule, and two rules for the same."""
        if not any(content[name] for name in ("discounts", "levels", "prices")):
            raise ValidationError("say what would be different: discounts, levels or prices", "discounts")
        for name, keys in (
            ("discounts", [canonical_percent(each["from_percent"]) for each in content["discounts"]]),
            ("levels", [each["level_id"] for each in content["levels"]]),
            ("prices", [(each["product"], each["from_quantity"]) for each in content["prices"]]),
        ):
            if len(set(keys)) != len(keys):
                raise ValidationError("two of these are about the same", name)


class EffectAnswer(Shown):
    """Repriced orders: amounts as they were, as they would have been (`…_if`), and how much more that is.

    `available_difference`: how much more the customer could spend.
    `refused` of them would have cost nothing or too much, and count with nothing. For `short` orders there would not
    have been money enough; there was first too little at `short_position`.
    """

    currency = fields.String(required=True)
    orders = fields.Integer(required=True)
    placed = decimal(required=True)
    placed_if = decimal(required=True)
    placed_difference = decimal(required=True)
    captured = decimal(required=True)
    captured_if = decimal(required=True)
    captured_difference = decimal(required=True)
    held = decimal(required=True)
    held_if = decimal(required=True)
    held_difference = decimal(required=True)
    available_difference = decimal(required=True)
    refused = fields.Integer(required=True)
    short = fields.Integer(required=True)
    short_position = fields.Integer(required=True, allow_none=True)


class CustomerEffectAnswer(EffectAnswer):
    """What would be different for one customer."""

    customer_id = fields.String(required=True)
    customer_name = fields.String(required=True, allow_none=True)


class WhatIfAnswer(Shown):
    """What would be different; the customers for whom it is most come first, at most 1,000 of `customers_count`."""

    position = fields.Integer(required=True)
    from_ = fields.Integer(required=True, data_key="from")
    to = fields.Integer(required=True)
    customers_count = fields.Integer(required=True)
    customers = fields.List(fields.Nested(CustomerEffectAnswer), required=True)
    sums = fields.List(fields.Nested(EffectAnswer), required=True)


@routes.post(
    "/v1/what-if",
    permission="trial_balance.read",
    summary="What other percentages or prices would have changed; nothing is recorded",
    body=WhatIfBody(),
    answers={200: WhatIfAnswer()},
    errors=(404, 503),
)
def read_what_if(call: Call) -> Answer:
    """Replay the log with the body's prices. Raises TooManyEvents, ReadUnavailable when another one is worked out."""
    services: Services = call.services
    asked, events_max = call.body, services.settings.what_if_events_max
    customer_id = asked.get("customer_id")
    needed = _needed(asked)

    def query(connection: sa.Connection) -> tuple[Repricing, Found]:
        repricing = _repricing(connection, asked)
        events = events_to_read(connection, repricing, customer_id=customer_id)
        if events > events_max:
            raise TooManyEvents(events=events, events_max=events_max)
        return repricing, what_if(connection, repricing, customer_id=customer_id)

    if not services.replays.acquire(blocking=False):
        raise ReadUnavailable(reason="another what-if is being worked out")
    try:
        repricing, found = read_past(call, query, position=needed[0], until_us=needed[1])
    finally:
        services.replays.release()
    return answer_read(_body(repricing, found, services.names.now()), found.position)


def _needed(asked: Mapping[str, Any]) -> tuple[int, int]:
    """Return the position, and the time, that the range reaches to."""
    places: list[tuple[int | None, int | None]] = [asked[name] for name in ("from_", "to") if name in asked]
    positions = [position for position, _ in places if position is not None]
    times_us = [time_us for _, time_us in places if time_us is not None]
    return max(positions, default=0), max(times_us, default=-1)


def _repricing(connection: sa.Connection, asked: Mapping[str, Any]) -> Repricing:
    prices: dict[str, list[Tier]] = {}
    for each in asked["prices"]:
        tier = Tier(from_quantity=each["from_quantity"], unit_price=each["unit_price"])
        prices.setdefault(each["product"], []).append(tier)
    (first, first_us), (last, last_us) = asked.get("from_", (1, None)), asked.get("to", (None, None))
    return Repricing(
        discounts={
            canonical_percent(each["from_percent"]): canonical_percent(each["to_percent"])
            for each in asked["discounts"]
        },
        levels={each["level_id"]: canonical_percent(each["discount_percent"]) for each in asked["levels"]},
        prices=prices,
        first=max(1, first) if first_us is None else log.position_at(connection, first_us - 1) + 1,
        last=last if last_us is None else log.position_at(connection, last_us),
    )


def _body(repricing: Repricing, found: Found, names: Names) -> dict[str, Any]:
    most = sorted(found.effects.items(), key=lambda each: (-abs(each[1].available_shift_minor), each[0]))
    return {
        "position": found.position,
        "from": repricing.first,
        "to": found.position if repricing.last is None else repricing.last,
        "customers_count": len(most),
        "customers": [
            {"customer_id": name, "customer_name": names.name_of(name), **row(effect)}
            for name, effect in most[:CUSTOMERS_MAX]
        ],
        "sums": _sums(list(found.effects.values())),
    }


def _sums(effects: Sequence[Effect]) -> list[dict[str, Any]]:
    return [row(effect) for _, effect in sorted(sums(effects).items())]
