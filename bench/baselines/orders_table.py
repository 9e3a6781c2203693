"""Searching a plain orders table in MariaDB, with composite indexes that suit the questions exactly."""

from __future__ import annotations

from typing import Any, Self
from weakref import WeakKeyDictionary

import pymysql
from sqlalchemy.engine import make_url

from bench.order_book import PRODUCTS, STATUSES, OrderBook
from bench.server import MeasuredServer
from projections.search import OrderFilters

ROWS_A_STATEMENT = 5_000
_TABLE = (
    "CREATE TABLE orders (number BIGINT PRIMARY KEY, id CHAR(36), customer INT, status TINYINT, product SMALLINT,"
    " placed BIGINT, amount BIGINT, reference VARCHAR(64),"
    " KEY (customer, status, placed), KEY (status, placed)) ENGINE=InnoDB"
)
_made: WeakKeyDictionary[OrderBook, OrdersTable] = WeakKeyDictionary()


class OrdersTable:
    """The table, filled."""

    def __init__(self, url: str, book: OrderBook) -> None:
        parts = make_url(url)
        self._connection: pymysql.Connection[Any] = pymysql.connect(
            unix_socket=str(parts.query["unix_socket"]), user="root", database=parts.database, autocommit=True
        )
        self._customers = {each: number for number, each in enumerate(book.customer_ids)}
        with self._connection.cursor() as cursor:
            cursor.execute(_TABLE)
            for start in range(0, book.orders, ROWS_A_STATEMENT):
                places = range(start, min(start + ROWS_A_STATEMENT, book.orders))
                cursor.execute("INSERT INTO orders VALUES " + ",".join(_row(book, place) for place in places))

    @classmethod
    def of(cls, server: MeasuredServer, book: OrderBook) -> Self:
        """Return the table with a book's orders, made once."""
        if book not in _made:
            _made[book] = cls(server.fresh_database()[1], book)
        return _made[book]  # type: ignore[return-value]

    def search(self, filters: OrderFilters, limit: int) -> list[int]:
        """Return the numbers of the newest orders that match; the rows have come whole."""
        conditions, values = ["placed BETWEEN %s AND %s"], [filters.placed_from or 0, filters.placed_to or 10**15]
        for column, known, wanted in (
            ("customer", self._customers, filters.customer_ids),
            ("status", {each: code for code, each in enumerate(STATUSES)}, filters.statuses),
            ("product", {each: code for code, each in enumerate(PRODUCTS)}, filters.products),
        ):
            if wanted is not None:
                conditions.append(f"{column} IN ({','.join(str(known[each]) for each in wanted)})")
        query = f"SELECT * FROM orders WHERE {' AND '.join(conditions)} ORDER BY placed DESC LIMIT {limit}"
        with self._connection.cursor() as cursor:
            cursor.execute(query, values)
            return [row[0] for row in cursor.fetchall()]


def _row(book: OrderBook, place: int) -> str:
    reference = book.reference(place)
    text = "NULL" if reference is None else f"'{reference}'"
    return (
        f"({place + 1},'{book.ids[place]}',{book.customers[place]},{book.statuses[place]},{book.products[place]},"
        f"{book.placed_position(place)},{book.amount_minor(place)},{text})"
    )
