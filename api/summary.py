"""The ledger at a glance, for the console's first page."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from marshmallow import fields

from api.answering import answer_read
from api.directory.fields import StrictSchema
from api.routing import Answer, Call, Routes
from api.schemas import QueryTime
from api.shapes import Shown, decimal, moment
from ledger import log, summary
from ledger.clock import now_us, rfc3339
from ledger.money import currency, format_amount
from ledger.reading import read

routes = Routes("summary")
DAY_US = 86_400_000_000
SPAN_DAYS_MAX = 2
"""How far back a summary looks: it reads every event of its span."""


class SummaryQuery(StrictSchema):
    """Since when."""

    since = QueryTime()


class MoneyAnswer(Shown):
    """The money of all accounts in a currency."""

    currency = fields.String()
    accounts = fields.Integer()
    available = decimal()
    held = decimal()


class HappenedAnswer(Shown):
    """Events of a type since then, and what their amounts come to."""

    type = fields.String()
    currency = fields.String()
    events = fields.Integer()
    amount = decimal()


class SummaryAnswer(Shown):
    """The ledger at a glance."""

    position = fields.Integer()
    since = moment()
    money = fields.List(fields.Nested(MoneyAnswer))
    happened = fields.List(fields.Nested(HappenedAnswer))


@routes.get(
    "/v1/summary",
    permission="trial_balance.read",
    summary="The money of all accounts, and what happened since a time, two days back at most",
    query=SummaryQuery(),
    answers={200: SummaryAnswer()},
    errors=(503,),
)
def read_summary(call: Call) -> Answer:
    """Return the sums; without a time since a day ago."""
    now = now_us()
    since_us = max(call.query.get("since", now - DAY_US), now - SPAN_DAYS_MAX * DAY_US)

    def query(connection: sa.Connection) -> Any:
        return log.head(connection).position, summary.money(connection), summary.happened_since(connection, since_us)

    position, money, happened = read(call.services.engine, query)
    body = {
        "position": position,
        "since": rfc3339(since_us),
        "money": [
            {
                "currency": each.currency,
                "accounts": each.accounts,
                "available": format_amount(each.available_minor, currency(each.currency)),
                "held": format_amount(each.held_minor, currency(each.currency)),
            }
            for each in money
        ],
        "happened": [
            {
                "type": each.type,
                "currency": each.currency,
                "events": each.events,
                "amount": format_amount(each.amount_minor, currency(each.currency)),
            }
            for each in happened
        ],
    }
    return answer_read(body, position)
