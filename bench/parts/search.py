"""Searches of a million orders: every filter, the usual combinations, names, words, deep pages, counts, other orders."""

from __future__ import annotations

import random
from collections.abc import Callable

from bench import shop_names
from bench.order_book import PRODUCTS, STATUSES
from bench.searching import ORDERS, Question, SearchCell, Shop, Shops
from ledger.directory.names import Names
from projections.search import FreeText, OrderFilters

ANY = "search, any combination of filters"
SIZES = (10_000, 100_000, ORDERS)
_SPANS = (0.01, 0.1, 0.3)
_AMOUNT_SPREAD = 1.2
Kind = Callable[[Shop, random.Random], Question]


def cells() -> list[SearchCell]:
    """Return the kinds of search; those of all sizes share one kind."""
    shops = Shops()
    growing = [
        SearchCell(
            name=f"{ANY}, {size:,} orders",
            shops=shops,
            question=any_combination,
            orders=size,
            axis="orders",
            is_quick=size == SIZES[0],
        )
        for size in SIZES
    ]
    kinds = [
        SearchCell(name=f"search, {name}", shops=shops, question=question, is_quick=name in _QUICK)
        for name, question in KINDS.items()
    ]
    others = [
        SearchCell(name="search, page 100", shops=shops, question=_deep, page=100, is_quick=True),
        SearchCell(name="search, page 100 of the big customer's", shops=shops, question=_deep_of_big, page=100),
        SearchCell(name="search, counts per status", shops=shops, question=any_combination, counts=True),
        SearchCell(name="search, by amount", shops=shops, question=any_combination, sort="-amount"),
    ]
    compared = [
        SearchCell(
            name=f"search, {name}, compared", shops=shops, question=question, baselines=("mariadb", "zinterstore")
        )
        for name, question in _COMPARED.items()
    ]
    return [*growing, *kinds, *others, *compared]


def _filters(**chosen: object) -> Question:
    filters = OrderFilters(**chosen)  # type: ignore[arg-type]
    return lambda: filters


def _place(shop: Shop, chance: random.Random) -> int:
    return chance.randrange(shop.book.orders)


def _order_id(shop: Shop, chance: random.Random) -> dict[str, object]:
    return {"order_id": shop.book.ids[_place(shop, chance)]}


def _reference(shop: Shop, chance: random.Random) -> dict[str, object]:
    return {"reference": shop.book.reference(_place(shop, chance)) or "none"}


def _prefix(shop: Shop, chance: random.Random) -> dict[str, object]:
    # Ten, a hundred or a thousand orders have it.
    return {"reference_prefix": f"INV-26-{7 * _place(shop, chance):07}"[: chance.randint(10, 13)]}


def _customer(shop: Shop, chance: random.Random) -> dict[str, object]:
    return {"customer_ids": [chance.choice(shop.book.customer_ids[1:])]}


def _big(shop: Shop, chance: random.Random) -> dict[str, object]:
    return {"customer_ids": [shop.book.customer_ids[0]]}


def _status(shop: Shop, chance: random.Random) -> dict[str, object]:
    return {"statuses": [chance.choice(STATUSES)]}


def _product(shop: Shop, chance: random.Random) -> dict[str, object]:
    return {"products": [chance.choice(PRODUCTS)]}


def _dates(shop: Shop, chance: random.Random) -> dict[str, object]:
    orders = shop.book.orders
    span = int(orders * chance.choice(_SPANS))
    first = chance.randrange(orders - span)
    return {
        "placed_from": shop.book.placed_position(first),
        "placed_to": shop.book.placed_position(first + span) - 1,
    }


def _amounts(shop: Shop, chance: random.Random) -> dict[str, object]:
    amount_minor = shop.book.amount_minor(_place(shop, chance))
    return {"amount_min_minor": amount_minor, "amount_max_minor": int(amount_minor * _AMOUNT_SPREAD) + 1}


_FILTERS = {
    "order id": _order_id,
    "reference": _reference,
    "start of a reference": _prefix,
    "customer": _customer,
    "big customer": _big,
    "status": _status,
    "product": _product,
    "dates": _dates,
    "amounts": _amounts,
}
_TOGETHER = (
    "customer + status",
    "customer + dates",
    "customer + amounts",
    "customer + status + dates",
    "customer + product",
    "big customer + status",
    "big customer + dates",
    "big customer + status + dates",
    "big customer + product",
    "big customer + product + status",
    "big customer + amounts",
    "status + dates",
    "product + status",
    "product + dates",
    "product + amounts",
    "amounts + status",
    "amounts + dates",
    "product + status + amounts + dates",
    "big customer + product + status + amounts + dates",
)


def _of(name: str) -> Kind:
    def question(shop: Shop, chance: random.Random) -> Question:
        chosen: dict[str, object] = {}
        for each in name.split(" + "):
            if each != "name":
                chosen |= _FILTERS[each](shop, chance)
        return _filters(**chosen)

    return question


def _named(*others: str, is_latin: bool) -> Kind:
    """Return what makes questions with a part of a customer's name and other filters."""

    def question(shop: Shop, chance: random.Random) -> Question:
        while (name := chance.choice(shop.customer_names)).isascii() != is_latin:
            continue
        text = shop_names.part(name, chance)
        chosen: dict[str, object] = {}
        for each in others:
            chosen |= _FILTERS[each](shop, chance)
        return lambda: OrderFilters(customer_ids=shop.names.matching(text), **chosen)  # type: ignore[arg-type]

    return question


def _words(shop: Shop, chance: random.Random) -> Question:
    """A part of a name and a product, or two parts of a name, or a reference's start."""
    name = chance.choice(shop.customer_names)
    texts = chance.choice(
        (
            [shop_names.part(name, chance), chance.choice(PRODUCTS)],
            name.split() if " " in name else [name[0], name[1:]],
            [f"INV-26-{7 * _place(shop, chance):07}"[:12], shop_names.part(name, chance)],
        )
    )

    def filters() -> OrderFilters:
        known = shop.names.now()
        return OrderFilters(words=[_word(known, each) for each in texts])

    return filters


def _word(known: Names, text: str) -> FreeText:
    return FreeText(
        order_ids=[text] if text.isascii() else [],
        customer_ids=known.matching(text),
        products=[each for each in PRODUCTS if text in each],
        reference_prefixes=[text],
    )


def _nothing(shop: Shop, chance: random.Random) -> Question:
    """Filters of which each leads to very many orders, and all together to none."""
    chosen = chance.choice(
        (
            {"products": [PRODUCTS[0]], "amount_min_minor": 2_000_000},
            {"customer_ids": [shop.book.customer_ids[0]], "amount_min_minor": 13, "amount_max_minor": 14},
            {"statuses": ["completed"], "products": [PRODUCTS[1]], "amount_min_minor": 1_300_000},
        )
    )
    return _filters(**chosen)


KINDS: dict[str, Kind] = {
    **{name: _of(name) for name in (*_FILTERS, *_TOGETHER)},
    "part of a Chinese name": _named(is_latin=False),
    "part of a Latin name": _named(is_latin=True),
    "part of a name + status": _named("status", is_latin=False),
    "part of a name + product": _named("product", is_latin=True),
    "part of a name + dates": _named("dates", is_latin=False),
    "words": _words,
    "very many that come to nothing": _nothing,
}
_QUICK = ("big customer + status + dates", "part of a Chinese name", "words")
_COMPARED = {
    "customer + status + dates": KINDS["customer + status + dates"],
    "big customer + status + dates": KINDS["big customer + status + dates"],
    "status + dates": KINDS["status + dates"],
}


def any_combination(shop: Shop, chance: random.Random) -> Question:
    """Return a question of any kind."""
    return chance.choice(list(KINDS.values()))(shop, chance)


def _deep(shop: Shop, chance: random.Random) -> Question:
    return _filters(statuses=[chance.choice(("completed", "cancelled", "failed"))])


def _deep_of_big(shop: Shop, chance: random.Random) -> Question:
    return _filters(customer_ids=[shop.book.customer_ids[0]], statuses=["completed"])
