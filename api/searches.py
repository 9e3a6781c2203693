"""Search orders and transactions in the read models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from api.answering import answer_read, cursor_place, page_body, question_of
from api.errors import FieldError, InvalidFields
from api.frames import order_json
from api.freshness import reflected
from api.routing import Answer, Call, Routes
from api.schemas import OrdersQuery, TransactionsQuery
from api.shapes import OrdersAnswer, TransactionsAnswer
from ledger import log
from ledger.clock import rfc3339
from ledger.directory import products
from ledger.directory.names import Names
from ledger.errors import BadMoney
from ledger.ids import is_token
from ledger.money import currency, format_amount, parse_amount
from ledger.reading import read
from projections import orders as order_projection
from projections import search as order_search
from projections import transaction_search
from projections import transactions as transaction_projection
from projections.order_documents import OrderDocument
from projections.search import FreeText, OrderFilters
from projections.transaction_search import TransactionFilters, TransactionText

routes = Routes("searches")
PRODUCTS_OF_TEXT_MAX = 100
WORDS_MAX = 8


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a person's words may mean."""

    order_ids: Sequence[str]
    customer_ids: Sequence[str]
    prefixes: Sequence[str]


@routes.get(
    "/v1/orders",
    permission="orders.read",
    summary="Search orders, newest first or by amount",
    query=OrdersQuery(),
    answers={200: OrdersAnswer()},
    errors=(503,),
)
def search_orders(call: Call) -> Answer:
    """Return a page of the orders that meet every filter, with counts per status when asked."""
    asked, services = call.query, call.services
    reflected(call, order_projection.NAME)
    question = question_of(call, "orders")
    place = cursor_place(call, question)
    names = services.names.now()
    filters = filters_of(call, names)
    found = order_search.search(services.redis, filters, sort=asked["sort"], limit=asked["limit"], after=place)
    body = page_body(call, question, [order_row(each, names) for each in found.orders], found.next)
    if asked["counts"]:
        _, counts = order_search.count_by_status(services.redis, filters)
        body["counts"] = {status: {"orders": each.orders, "exact": each.is_exact} for status, each in counts.items()}
    return answer_read(body, found.position)


def filters_of(call: Call, names: Names) -> OrderFilters:
    """Return what a search of orders asks for, of what its asker may see."""
    asked = call.query
    first, last = _positions(call, "placed_from", "placed_to")
    return OrderFilters(
        order_id=asked.get("order_id"),
        reference=asked.get("reference"),
        customer_ids=_customers(call, names),
        statuses=asked.get("status"),
        products=None if "product" not in asked else [asked["product"]],
        placed_from=first,
        placed_to=last,
        amount_min_minor=_amount(call, "amount_min"),
        amount_max_minor=_amount(call, "amount_max"),
        words=_words(call, names, asked["q"]) if "q" in asked else (),
    )


def order_row(each: OrderDocument, names: Names) -> dict[str, Any]:
    """Return an order that was found as clients see it."""
    return order_json(each.order) | {
        "customer_name": names.name_of(each.order.account_id),
        "placed_at": rfc3339(each.placed_at_us),
        "updated_at": rfc3339(each.updated_at_us),
    }


@routes.get(
    "/v1/transactions",
    permission="transactions.read",
    summary="Search what moved money, each with the balance after it",
    query=TransactionsQuery(),
    answers={200: TransactionsAnswer()},
    errors=(503,),
)
def search_transactions(call: Call) -> Answer:
    """Return a page of the transactions that meet every filter."""
    asked, services = call.query, call.services
    reflected(call, transaction_projection.NAME)
    question = question_of(call, "transactions")
    place = cursor_place(call, question)
    first, last = _positions(call, "from_", "to")
    names = services.names.now()
    meaning = _meaning(names, asked["q"]) if "q" in asked else None
    filters = TransactionFilters(
        customer_ids=_customers(call, names),
        types=asked.get("type"),
        order_id=asked.get("order_id"),
        reference=asked.get("reference"),
        position_from=first,
        position_to=last,
        amount_min_minor=_amount(call, "amount_min"),
        amount_max_minor=_amount(call, "amount_max"),
        text=None
        if meaning is None
        else TransactionText(
            order_ids=meaning.order_ids, customer_ids=meaning.customer_ids, reference_prefixes=meaning.prefixes
        ),
    )
    found = transaction_search.search(services.redis, filters, sort=asked["sort"], limit=asked["limit"], after=place)
    rows = [_transaction_json(each) | {"customer_name": names.name_of(each.account_id)} for each in found.transactions]
    return answer_read(page_body(call, question, rows, found.next), found.position)


def _transaction_json(each: transaction_projection.Transaction) -> dict[str, Any]:
    unit = currency(each.currency)
    return {
        "position": each.position,
        "type": each.type,
        "recorded_at": rfc3339(each.recorded_at_us),
        "customer_id": each.account_id,
        "order_id": each.order_id,
        "amount": format_amount(each.amount_minor, unit),
        "currency": each.currency,
        "reference": each.reference,
        "actor": each.actor,
        "reverses_position": each.reverses_position,
        "reversed_by": each.reversed_by,
        "available_change": format_amount(each.available_change_minor, unit),
        "held_change": format_amount(each.held_change_minor, unit),
        "balance": {
            "available": format_amount(each.available_minor, unit),
            "held": format_amount(each.held_minor, unit),
            "total": format_amount(each.available_minor + each.held_minor, unit),
            "currency": each.currency,
            "version": each.version,
            "position": each.position,
        },
    }


def _customers(call: Call, names: Names) -> Sequence[str] | None:
    """Return whose orders are wanted, None for everybody's; a principal of one customer gets no other's."""
    asked = call.query
    chosen: Sequence[str] | None = [asked["customer_id"]] if "customer_id" in asked else None
    if "customer_name" in asked:
        named = names.matching(asked["customer_name"])
        chosen = named if chosen is None else [each for each in chosen if each in named]
    own = call.asker.customer_id
    if own is None:
        return chosen
    return [own] if chosen is None or own in chosen else []


def _positions(call: Call, start: str, end: str) -> tuple[int | None, int | None]:
    """Return the first and last position of a span of time: positions and times have the same order."""
    asked = call.query
    if start not in asked and end not in asked:
        return None, None

    def query(connection: sa.Connection) -> tuple[int | None, int | None]:
        first = log.position_at(connection, asked[start] - 1) + 1 if start in asked else None
        last = log.position_at(connection, asked[end]) if end in asked else None
        return first, last

    return read(call.services.engine, query)


def _amount(call: Call, name: str) -> int | None:
    """Return the amount as the one account counts that is searched, else as the default currency does."""
    if name not in call.query:
        return None
    own = call.asker.customer_id
    account_id = call.query.get("customer_id") if own is None else own
    unit = call.services.default_currency if account_id is None else call.services.currency_of(account_id)
    try:
        return parse_amount(call.query[name], unit, zero=True)
    except BadMoney as error:
        raise InvalidFields(errors=[FieldError(parameter=name, detail=error.problem)]) from None


def _words(call: Call, names: Names, text: str) -> list[FreeText]:
    """Return what each word may mean. Raises InvalidFields."""
    words = list(dict.fromkeys(text.split()))
    if len(words) > WORDS_MAX:
        raise InvalidFields(errors=[FieldError(parameter="q", detail=f"at most {WORDS_MAX} words")])
    return [
        FreeText(
            order_ids=[word] if is_token(word) else [],
            customer_ids=names.matching(word),
            products=_skus(call, word),
            # A reference may have spaces in it: then the text as a whole is its beginning.
            reference_prefixes=list(dict.fromkeys((word, text.strip()))),
        )
        for word in words
    ]


def _skus(call: Call, word: str) -> list[str]:
    """Return the skus of the products that a word may mean. Raises InvalidFields: of too many, some would be left out."""
    found = products.skus_matching(call.services.directory, word, limit=PRODUCTS_OF_TEXT_MAX + 1)
    if len(found) > PRODUCTS_OF_TEXT_MAX:
        wrong = FieldError(parameter="q", detail=f"too many products match, more than {PRODUCTS_OF_TEXT_MAX}")
        raise InvalidFields(errors=[wrong])
    return found


def _meaning(names: Names, text: str) -> _Meaning:
    """Return what the text as a whole may mean among transactions."""
    return _Meaning(order_ids=[text] if is_token(text) else [], customer_ids=names.matching(text), prefixes=[text])
