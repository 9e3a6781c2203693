"""Balances, statements and the trial balance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import redis
import sqlalchemy as sa

from api.answering import answer_read
from api.errors import NotFreshEnough
from api.frames import amount_of, balance_json, facts
from api.freshness import read_past, reflected
from api.routing import Answer, Call, Routes
from api.schemas import AtPositionQuery, BalanceQuery, StatementQuery
from api.shapes import BalanceAnswer, StatementAnswer, TrialBalanceAnswer
from api.spreadsheets import CSV
from ledger import log, state
from ledger.clock import now_us, rfc3339
from ledger.csv_lines import csv_lines
from ledger.errors import AccountNotFound, ReadUnavailable
from ledger.events import Recorded
from ledger.money import Currency, currency, format_amount
from ledger.reading import read
from ledger.submission import Balance
from ledger.trial import trial_balance
from projections import balances as projected

routes = Routes("balances")
STATEMENT_PAGE_EVENTS = 1_000
STATEMENT_COLUMNS = ("position", "recorded_at", "type", "order_id", "reference", "available", "held", "total", "change")


@routes.get(
    "/v1/customers/<token:customer_id>/balance",
    permission="balances.read",
    summary="See a balance, now or at a moment of the past",
    query=BalanceQuery(),
    answers={200: BalanceAnswer()},
    errors=(404, 503),
)
def read_balance(call: Call) -> Answer:
    """Return the balance; now from the read model, or from the log when Redis is away; the past from the log."""
    customer_id = call.path["customer_id"]
    if not call.query:
        found = _projected_balance(call, customer_id)
        if found is not None:
            return answer_read(*found)
    return _balance_of_log(call, customer_id)


@routes.get(
    "/v1/customers/<token:customer_id>/statement",
    permission="statements.read",
    summary="See what moved money on an account, with the balance after each",
    query=StatementQuery(),
    answers={200: StatementAnswer()},
    errors=(404, 503),
    media_types=("application/json", CSV),
)
def read_statement(call: Call) -> Answer:
    """Return opening balance, the lines, closing balance."""
    customer_id = call.path["customer_id"]
    start_us, asked_end_us = call.query.get("from_", 0), call.query.get("to")

    def query(connection: sa.Connection) -> Any:
        account = state.account(connection, customer_id)
        if account is None:
            raise AccountNotFound(account_id=customer_id)
        head = log.head(connection)
        # The clock of the host that recorded the last event may be ahead of ours.
        end_us = max(now_us(), head.recorded_at_us) if asked_end_us is None else asked_end_us
        first = log.position_at(connection, start_us - 1)
        last = head.position if asked_end_us is None else log.position_at(connection, end_us)
        opening = state.balance_at(connection, customer_id, first)
        lines, after = [], first
        while page := log.account_events(connection, customer_id, after=after, up_to=last, limit=STATEMENT_PAGE_EVENTS):
            lines += [each for each in page if each.postings != b"[]"]
            after = page[-1].position
        return currency(account.currency), opening, lines, end_us, head.position

    # Without an end it is as of what the server has; with one, nothing until then may be missing.
    unit, opening, lines, end_us, head = read_past(call, query, until_us=-1 if asked_end_us is None else asked_end_us)
    rows = list(_lines(lines, opening, unit))
    if call.query["format"] == "csv":
        return answer_read(_csv(rows, _opening_line(opening, unit, start_us), end_us), head, media_type=CSV)
    opening_total = _opening_line(opening, unit, start_us)["total"]
    body = {
        "customer_id": customer_id,
        "currency": unit.code,
        "from": rfc3339(start_us),
        "to": rfc3339(end_us),
        "opening": opening_total,
        "lines": rows,
        "closing": rows[-1]["total"] if rows else opening_total,
    }
    return answer_read(body, head)


@routes.get(
    "/v1/trial-balance",
    permission="trial_balance.read",
    summary="See every ledger account; each currency sums to zero",
    query=AtPositionQuery(),
    answers={200: TrialBalanceAnswer()},
    errors=(503,),
)
def read_trial_balance(call: Call) -> Answer:
    """Return the sums of all postings, now or at a position."""
    at_position = call.query.get("at_position")
    found = read_past(call, lambda connection: trial_balance(connection, at_position), position=at_position or 0)
    accounts = [
        {"account": name, "currency": code, "amount": format_amount(amount_minor, currency(code))}
        for (name, code), amount_minor in sorted(found.sums.items())
    ]
    sums = {code: format_amount(found.total(code), currency(code)) for code in sorted(found.currencies)}
    return answer_read({"position": found.position, "accounts": accounts, "sums": sums}, found.position)


def _projected_balance(call: Call, customer_id: str) -> tuple[dict[str, Any], int] | None:
    """Return the balance of the read model and its position; None when it cannot say."""
    try:
        reflected(call, projected.NAME)
        position, found = projected.read_balances(call.services.redis, [customer_id])
    except (redis.RedisError, ReadUnavailable, NotFreshEnough):
        return None
    return (balance_json(found[customer_id]), position) if customer_id in found else None


def _balance_of_log(call: Call, customer_id: str) -> Answer:
    asked = call.query

    def query(connection: sa.Connection) -> tuple[Balance | None, int]:
        position = asked.get("at_position")
        if "as_of" in asked:
            position = log.position_at(connection, asked["as_of"])
        head = log.head(connection).position
        return state.balance_at(connection, customer_id, position), head

    if asked:
        balance, head = read_past(call, query, position=asked.get("at_position") or 0, until_us=asked.get("as_of", -1))
    else:
        balance, head = read(call.services.engine, query)
    if balance is None:
        raise AccountNotFound(account_id=customer_id)
    return answer_read(balance_json(balance), head)


def _lines(events: list[Recorded], opening: Balance | None, unit: Currency) -> Iterator[dict[str, Any]]:
    total_minor = 0 if opening is None else opening.total_minor
    for each in events:
        fact = facts(each)
        amount_minor = amount_of(each.type, fact)
        after_minor = each.available_minor + each.held_minor
        yield {
            "position": each.position,
            "recorded_at": rfc3339(each.recorded_at_us),
            "type": each.type,
            "order_id": each.order_id,
            "reference": fact.get("reference"),
            "amount": None if amount_minor is None else format_amount(amount_minor, unit),
            "change": format_amount(after_minor - total_minor, unit),
            "available": format_amount(each.available_minor, unit),
            "held": format_amount(each.held_minor, unit),
            "total": format_amount(after_minor, unit),
        }
        total_minor = after_minor


def _opening_line(opening: Balance | None, unit: Currency, start_us: int) -> dict[str, Any]:
    available_minor, held_minor = (0, 0) if opening is None else (opening.available_minor, opening.held_minor)
    return {
        "recorded_at": rfc3339(start_us),
        "type": "opening",
        "available": format_amount(available_minor, unit),
        "held": format_amount(held_minor, unit),
        "total": format_amount(available_minor + held_minor, unit),
    }


def _csv(rows: list[dict[str, Any]], opening: dict[str, Any], end_us: int) -> str:
    last = rows[-1] if rows else opening
    closing = {name: last[name] for name in ("available", "held", "total")}
    lines = (opening, *rows, closing | {"recorded_at": rfc3339(end_us), "type": "closing"})
    return "".join(csv_lines(STATEMENT_COLUMNS, lines, typed=("reference",)))
