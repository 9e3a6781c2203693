"""What orders are searched by, as clauses for the indexes and as a check of a document.

Each clause leads to all orders that can match, perhaps to more: the check decides. All clauses must hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ledger.money import AMOUNT_MINOR_MAX
from projections import order_layout
from projections.order_documents import ACCOUNT_PREFIX, STATUS_CODES, OrderDocument, folded, shortened

SOURCES_MAX = 200
"""Lists of customers and products whose lengths one search asks for; more are not read, but recognised by code."""
LOOKED_MAX = 16
"""Customers of a clause that are looked up in bitmaps of their own; more are recognised by code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeText:
    """What a person's word may mean, any of it: the caller has looked names up. Prefixes are of references."""

    order_ids: Sequence[str] = ()
    customer_ids: Sequence[str] = ()
    products: Sequence[str] = ()
    reference_prefixes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilters:
    """What orders must be like; None: no matter. Bounds are inclusive; `placed_…` are positions in the log.

    `words`: every one of them must match.
    """

    order_id: str | None = None
    reference: str | None = None
    reference_prefix: str | None = None
    customer_ids: Sequence[str] | None = None
    statuses: Sequence[str] | None = None
    products: Sequence[str] | None = None
    placed_from: int | None = None
    placed_to: int | None = None
    amount_min_minor: int | None = None
    amount_max_minor: int | None = None
    words: Sequence[FreeText] = ()

    @property
    def amounts(self) -> tuple[int, int] | None:
        """The lowest and the highest amount, None when any will do."""
        lowest, highest = self.amount_min_minor, self.amount_max_minor
        if lowest is None and highest is None:
            return None
        return lowest or 0, AMOUNT_MINOR_MAX if highest is None else min(highest, AMOUNT_MINOR_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """Where orders are found, any of it.

    `ids` and `ranges` (of references) name them; `parts` list them, of which `looked` are to be looked up in a window;
    `maps` are bitmaps; `codes` are hashes of accounts. A clause that `is_listable` may be read from its lists alone.
    """

    ids: Sequence[tuple[str, str]] = ()
    ranges: Sequence[Sequence[str]] = ()
    parts: Sequence[str] = ()
    looked: Sequence[str] = ()
    maps: Sequence[str] = ()
    codes: frozenset[int] = field(default_factory=frozenset)
    is_listable: bool = True

    def request(self) -> dict[str, Any]:
        """Return what the script must know of it."""
        parts = self.parts if self.is_listable else ()
        return {
            "ids": self.ids,
            "ranges": self.ranges,
            "parts": parts,
            "looked": self.looked,
            "listable": self.is_listable,
        }


def clauses_of(filters: OrderFilters) -> list[Clause]:
    """Return the clauses; time and amount are not among them."""
    found = []
    if filters.order_id is not None:
        found.append(_clause(order_ids=[filters.order_id]))
    if filters.reference is not None:
        # The number that follows the zero byte is hexadecimal, and "g" comes after any.
        start = folded(filters.reference) + "\0"
        found.append(Clause(ranges=[[start, start + "g"]]))
    if filters.reference_prefix is not None:
        found.append(_clause(prefixes=[filters.reference_prefix]))
    if filters.customer_ids is not None:
        found.append(_clause(customer_ids=filters.customer_ids))
    if filters.products is not None:
        found.append(_clause(products=filters.products))
    if filters.statuses is not None:
        maps = [f"s:{STATUS_CODES[each]}" for each in dict.fromkeys(filters.statuses)]
        found.append(Clause(maps=maps, is_listable=not maps))
    found += [
        _clause(each.customer_ids, each.products, each.order_ids, each.reference_prefixes) for each in filters.words
    ]
    if len(filters.words) > 1:
        found.append(_together(filters.words))
    return found


def _together(words: Sequence[FreeText]) -> Clause:
    """Return a clause for all words: a customer must match each, or something else than a customer matches one."""
    customers = set(words[0].customer_ids).intersection(*(each.customer_ids for each in words[1:]))
    return _clause(
        sorted(customers),
        [each for word in words for each in word.products],
        [each for word in words for each in word.order_ids],
        [each for word in words for each in word.reference_prefixes],
    )


def _clause(
    customer_ids: Iterable[str] = (),
    products: Iterable[str] = (),
    order_ids: Iterable[str] = (),
    prefixes: Iterable[str] = (),
) -> Clause:
    accounts = list(dict.fromkeys(customer_ids))
    of_products = [order_layout.of_product(each) for each in dict.fromkeys(products)]
    is_listable = len(accounts) + len(of_products) <= SOURCES_MAX
    are_few = len(accounts) <= LOOKED_MAX
    of_accounts = []
    if is_listable or are_few:
        of_accounts = [order_layout.of_account(shortened(each, ACCOUNT_PREFIX)) for each in accounts]
    return Clause(
        ids=list(dict.fromkeys(map(order_layout.id_field, order_ids))),
        ranges=[[folded(each)] for each in dict.fromkeys(prefixes)],
        parts=of_accounts + of_products,
        looked=of_accounts + of_products if are_few else of_products,
        codes=frozenset() if are_few else frozenset(map(order_layout.account_code, accounts)),
        is_listable=is_listable,
    )


def check_of(filters: OrderFilters) -> Callable[[OrderDocument], bool]:
    """Return what says whether a document meets all filters."""
    amounts = filters.amounts
    customers = None if filters.customer_ids is None else frozenset(filters.customer_ids)
    reference = None if filters.reference is None else folded(filters.reference)
    prefix = None if filters.reference_prefix is None else folded(filters.reference_prefix)
    words = [_check_of_word(each) for each in filters.words]

    def check(document: OrderDocument) -> bool:
        order = document.order
        return (
            (filters.statuses is None or order.status in filters.statuses)
            and (customers is None or order.account_id in customers)
            and (filters.products is None or order.product in filters.products)
            and (amounts is None or amounts[0] <= order.amount_minor <= amounts[1])
            and (filters.order_id is None or order.order_id == filters.order_id)
            and (filters.placed_from is None or order.placed_position >= filters.placed_from)
            and (filters.placed_to is None or order.placed_position <= filters.placed_to)
            and (reference is None or _folded_reference(document) == reference)
            and (
                prefix is None
                or ((_folded_reference(document) or "").startswith(prefix) and order.reference is not None)
            )
            and all(word(document) for word in words)
        )

    return check


def _check_of_word(word: FreeText) -> Callable[[OrderDocument], bool]:
    order_ids, customers, products = map(frozenset, (word.order_ids, word.customer_ids, word.products))
    prefixes = tuple(folded(each) for each in word.reference_prefixes)

    def check(document: OrderDocument) -> bool:
        order = document.order
        reference = _folded_reference(document)
        return (
            order.order_id in order_ids
            or order.account_id in customers
            or order.product in products
            or (reference is not None and reference.startswith(prefixes))
        )

    return check


def _folded_reference(document: OrderDocument) -> str | None:
    reference = document.order.reference
    return None if reference is None else folded(reference)
