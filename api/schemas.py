"""The bodies and queries of the ledger's routes, strict."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from marshmallow import ValidationError, fields, validates_schema

from api.bodies import is_idempotency_key
from api.directory.fields import Flag, Settings, StrictSchema, Text, Token, WholeNumber
from ledger.clock import parse_rfc3339
from ledger.errors import BadMoney
from ledger.money import parse_decimal
from ledger.orders import RESOLUTIONS, STATUSES
from ledger.pricing import QUANTITY_MAX
from ledger.submission import IDEMPOTENCY_KEY_BYTES_MAX

REFERENCE_LENGTH_MAX = 100
MEMO_LENGTH_MAX = 1_000
PARAMS_CHARACTERS_MAX = 16_384
LIMIT_DEFAULT, LIMIT_MAX = 50, 200
POSITION_MAX = 10**15 - 1
TIME_US_MAX = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""
_AMOUNT = re.compile(r"(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,4})?")
_DIGITS = re.compile(r"[0-9]{1,15}")
ORDER_SORTS = ("newest", "oldest", "amount", "-amount")


class Amount(fields.Field[str]):
    """A decimal in major units as a JSON string; the account's currency says later how many decimals it may have."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError('expected a decimal as a string, such as "12.50"')
        try:
            if parse_decimal(value, integer_digits_max=15, decimals_max=4) == 0:
                raise ValidationError("the amount must be more than zero")
        except BadMoney as error:
            raise ValidationError(error.problem) from None
        return value

    def accepts(self, value: Any) -> bool:
        """Say whether the value is certainly right."""
        return type(value) is str and _AMOUNT.fullmatch(value) is not None and value.strip("0.") != ""


class QueryNumber(fields.Field[int]):
    """A whole number in a query."""

    def __init__(self, minimum: int, maximum: int, **more: Any) -> None:
        super().__init__(**more)
        self.minimum, self.maximum = minimum, maximum

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> int:
        if _DIGITS.fullmatch(value) is None or not self.minimum <= int(value) <= self.maximum:
            raise ValidationError(f"expected a whole number from {self.minimum} to {self.maximum}")
        return int(value)


class QueryFlag(fields.Field[bool]):
    """True or false in a query."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> bool:
        if value not in ("true", "false"):
            raise ValidationError("expected true or false")
        return bool(value == "true")


class QueryTime(fields.Field[int]):
    """An RFC 3339 time with its offset, from 1970 to 9999, as microseconds since 1970."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> int:
        try:
            # A plus sign that was not encoded arrives as a space.
            time_us = parse_rfc3339(value.replace(" ", "+")) if value.isascii() and "T" in value else -1
        except (ValueError, OverflowError):
            time_us = -1
        if not 0 <= time_us <= TIME_US_MAX:
            raise ValidationError("expected a time with its offset, such as 2026-01-31T08:00:00Z")
        return time_us


class QueryAmount(fields.Field[str]):
    """A decimal in major units, zero allowed."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        try:
            parse_decimal(value, integer_digits_max=15, decimals_max=4)
        except BadMoney as error:
            raise ValidationError(error.problem) from None
        return str(value)


class QueryWords(fields.Field[list[str]]):
    """One or several of the known words, separated by commas."""

    def __init__(self, *words: str, **more: Any) -> None:
        super().__init__(**more)
        self.words = words

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> list[str]:
        found = value.split(",")
        if not set(found) <= set(self.words):
            raise ValidationError(f"expected some of {', '.join(self.words)}, separated by commas")
        return list(dict.fromkeys(found))


def reference() -> Text:
    """Return the field of a client's own reference."""
    return Text(REFERENCE_LENGTH_MAX, allow_none=True)


def memo() -> Text:
    """Return the field of erasable free text."""
    return Text(MEMO_LENGTH_MAX, allow_none=True)


class MoneyBody(StrictSchema):
    """A recharge or a deduction."""

    plain = True
    amount = Amount(required=True)
    reference = reference()
    memo = memo()


class OrderBody(StrictSchema):
    """An order to place; a principal bound to a customer may leave the customer out."""

    plain = True
    customer_id = Token(40)
    product = Token(64, required=True)
    quantity = WholeNumber(1, QUANTITY_MAX, required=True)
    params = Settings(PARAMS_CHARACTERS_MAX, allow_none=True)
    reference = reference()


class CancellationBody(StrictSchema):
    """Why an order is cancelled, if one wants to say."""

    plain = True
    reason = memo()


class ReversalBody(StrictSchema):
    """Why a transaction is reversed."""

    plain = True
    reason = Text(MEMO_LENGTH_MAX, required=True)


class ResolutionBody(StrictSchema):
    """What a person decided on a parked order."""

    resolution = fields.String(required=True, validate=lambda word: one_of(word, RESOLUTIONS))
    delivered = WholeNumber(0, QUANTITY_MAX)
    reason = Text(MEMO_LENGTH_MAX, required=True)

    @validates_schema(skip_on_field_errors=True)
    def delivered_fits(self, content: dict[str, Any], **_: Any) -> None:
        """Something delivered goes with completed and cancelled only, and completed needs it."""
        if content["resolution"] == "failed" and content.get("delivered"):
            raise ValidationError("a failed order delivered nothing", "delivered")
        if content["resolution"] == "completed" and "delivered" not in content:
            raise ValidationError("say how much was delivered", "delivered")


class IdempotencyKey(fields.String):
    """A command's key: 1 to 255 printable ASCII characters."""

    def __init__(self, **more: Any) -> None:
        metadata = {"minLength": 1, "maxLength": IDEMPOTENCY_KEY_BYTES_MAX, "pattern": "^[ -~]+$"}
        super().__init__(metadata=metadata, **more)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        if not isinstance(value, str) or not is_idempotency_key(value):
            raise ValidationError(f"expected 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters")
        return value

    def accepts(self, value: Any) -> bool:
        """Say whether the value is certainly right."""
        return type(value) is str and is_idempotency_key(value)


class Commands(fields.List[Any]):
    """Commands that are checked later, one by one; null is none."""

    def __init__(self, **more: Any) -> None:
        super().__init__(fields.Raw(), **more)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> list[Any]:
        if isinstance(value, list) and all(each is not None for each in value):
            return value
        return super()._deserialize(value, attr, data, **more)


class BatchBody(StrictSchema):
    """Many commands; each is checked by the schema of its type."""

    atomic = Flag(load_default=False)
    commands = Commands(required=True)


class DryRunQuery(StrictSchema):
    """Ask for the outcome that would be."""

    dry_run = QueryFlag(load_default=False)


class PageQuery(StrictSchema):
    """A page of a list."""

    limit = QueryNumber(1, LIMIT_MAX, load_default=LIMIT_DEFAULT)
    cursor = fields.String()


class BalanceQuery(StrictSchema):
    """When the balance is wanted for; one of the two, or neither for now."""

    at_position = QueryNumber(0, POSITION_MAX)
    as_of = QueryTime()

    @validates_schema
    def one_moment(self, content: dict[str, Any], **_: Any) -> None:
        """Refuse both at once."""
        if len(content) > 1:
            raise ValidationError("give at_position or as_of, not both", "as_of")


class AtPositionQuery(StrictSchema):
    """At which position; now without it."""

    at_position = QueryNumber(0, POSITION_MAX)


class StatementQuery(StrictSchema):
    """The statement's time and form."""

    from_ = QueryTime(data_key="from")
    to = QueryTime()
    format = fields.String(load_default="json", validate=lambda word: one_of(word, ("json", "csv")))


class OrdersQuery(PageQuery):
    """Search orders; every filter narrows."""

    q = Text(200)
    order_id = Token(40)
    reference = Text(REFERENCE_LENGTH_MAX)
    customer_id = Token(40)
    customer_name = Text(200)
    status = QueryWords(*STATUSES)
    product = Token(64)
    placed_from = QueryTime()
    placed_to = QueryTime()
    amount_min = QueryAmount()
    amount_max = QueryAmount()
    sort = fields.String(load_default="newest", validate=lambda word: one_of(word, ORDER_SORTS))
    counts = QueryFlag(load_default=False)


TRANSACTION_TYPES = (
    "recharge.posted",
    "deduction.posted",
    "transaction.reversed",
    "order.placed",
    "order.completed",
    "order.failed",
    "order.cancelled",
    "order.resolved",
)


class TransactionsQuery(PageQuery):
    """Search transactions; every filter narrows."""

    q = Text(200)
    customer_id = Token(40)
    customer_name = Text(200)
    type = QueryWords(*TRANSACTION_TYPES)
    from_ = QueryTime(data_key="from")
    to = QueryTime()
    amount_min = QueryAmount()
    amount_max = QueryAmount()
    order_id = Token(40)
    reference = Text(REFERENCE_LENGTH_MAX)
    sort = fields.String(load_default="newest", validate=lambda word: one_of(word, ("newest", "oldest")))


LOG_EXPORT_FORMATS = ("jsonl", "csv", "beancount")
"""Formats that can be sent while they are made."""


class EventsQuery(StrictSchema):
    """Read the log on from a position."""

    after = QueryNumber(0, POSITION_MAX, load_default=0)
    limit = QueryNumber(1, 10_000, load_default=LIMIT_MAX)
    type = fields.String()
    customer_id = Token(40)
    format = fields.String(validate=lambda word: one_of(word, ("json", "ndjson", "cloudevents")))


class LogExportQuery(StrictSchema):
    """A range of the log, and the format."""

    first = QueryNumber(1, POSITION_MAX, data_key="from")
    last = QueryNumber(1, POSITION_MAX, data_key="to")
    format = fields.String(load_default="jsonl", validate=lambda word: one_of(word, LOG_EXPORT_FORMATS))


def one_of(word: str, words: Iterable[str]) -> None:
    """Raise ValidationError unless the word is one of these."""
    if word not in words:
        raise ValidationError(f"expected one of {', '.join(words)}")
