"""The ledger at a glance, for the console's first page: from the read model, so that looking costs the log nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from marshmallow import ValidationError, fields

from api.answering import answer_read
from api.directory.fields import StrictSchema
from api.freshness import reflected
from api.routing import Answer, Call, Routes
from api.schemas import QueryNumber
from api.shapes import Shown, decimal, moment
from ledger.clock import now_us, rfc3339
from ledger.money import currency, format_amount
from projections.activity import NAME, Happened, Money, read_activity

routes = Routes("summary")
DAYS_DEFAULT, DAYS_MAX = 1, 92


class QueryZone(fields.Field[ZoneInfo]):
    """A time zone by its IANA name."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> ZoneInfo:
        if value not in _zones():
            raise ValidationError("expected a time zone such as Asia/Shanghai or UTC")
        return ZoneInfo(value)


class SummaryQuery(StrictSchema):
    """Whose days, and how many of them."""

    time_zone = QueryZone(metadata={"description": "an IANA name; UTC unless given"})
    days = QueryNumber(1, DAYS_MAX, load_default=DAYS_DEFAULT)


class MoneyAnswer(Shown):
    """The money of all accounts in a currency."""

    currency = fields.String()
    available = decimal()
    held = decimal()


class HappenedAnswer(Shown):
    """Events of a type on that day, and what they moved; of completed and resolved orders, what was captured."""

    type = fields.String()
    currency = fields.String()
    events = fields.Integer()
    amount = decimal()


class DayAnswer(Shown):
    """A day, and the money at its end."""

    date = fields.String(metadata={"format": "date"})
    ends_at = moment()
    money = fields.List(fields.Nested(MoneyAnswer))


class SummaryAnswer(Shown):
    """The ledger at a glance: money now, what happened since `since`, when today began, and the last days."""

    position = fields.Integer()
    since = moment()
    money = fields.List(fields.Nested(MoneyAnswer))
    happened = fields.List(fields.Nested(HappenedAnswer))
    days = fields.List(fields.Nested(DayAnswer))


@routes.get(
    "/v1/summary",
    permission="trial_balance.read",
    summary="The money of all accounts now and at the end of each of the last days, and what happened today",
    query=SummaryQuery(),
    answers={200: SummaryAnswer()},
    errors=(503,),
)
def read_summary(call: Call) -> Answer:
    """Return the sums. Days begin at midnight of the time zone, or at the half hour of UTC before it."""
    reflected(call, NAME)
    now = now_us()
    dates, midnights_us = _days(now, call.query.get("time_zone", ZoneInfo("UTC")), call.query["days"])
    # The first midnight begins the first day; the others end one each, and the last day ends now.
    found = read_activity(call.services.redis, since_us=midnights_us[-1], before_us=midnights_us[1:], now_us=now)
    ends = [*midnights_us[1:], now]
    body = {
        "position": found.position,
        "since": rfc3339(midnights_us[-1]),
        "money": _money(found.money),
        "happened": [_happened(each) for each in found.happened],
        "days": [
            {"date": day.isoformat(), "ends_at": rfc3339(end_us), "money": _money(money)}
            for day, end_us, money in zip(dates, ends, [*found.money_before, found.money], strict=True)
        ],
    }
    return answer_read(body, found.position)


def _days(now: int, zone: ZoneInfo, count: int) -> tuple[list[date], list[int]]:
    """Return the last days, today last, and when each began."""
    today = datetime.fromtimestamp(now // 1_000_000, zone).date()
    dates = [today - timedelta(days=back) for back in reversed(range(count))]
    return dates, [int(datetime.combine(each, time(), zone).timestamp()) * 1_000_000 for each in dates]


def _money(sums: Sequence[Money]) -> list[dict[str, str]]:
    return [
        {
            "currency": each.currency,
            "available": format_amount(each.available_minor, currency(each.currency)),
            "held": format_amount(each.held_minor, currency(each.currency)),
        }
        for each in sums
    ]


def _happened(each: Happened) -> dict[str, Any]:
    return {
        "type": each.type,
        "currency": each.currency,
        "events": each.events,
        "amount": format_amount(each.amount_minor, currency(each.currency)),
    }


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
