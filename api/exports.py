"""What a search of orders finds, whole, as a table for spreadsheets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from marshmallow import fields

from api.answering import answer_read
from api.errors import TooManyRows
from api.freshness import reflected
from api.routing import Answer, Call, Routes
from api.schemas import OrdersQuery, one_of
from api.searches import filters_of, order_row
from api.services import Services
from api.spools import Spool
from api.spreadsheets import CSV, XLSX, xlsx
from ledger.csv_lines import csv_lines
from ledger.directory.names import Names
from ledger.errors import ReadUnavailable
from projections import orders as order_projection
from projections import search as order_search
from projections.search import OrderFilters

routes = Routes("exports")
FORMATS = {"csv": CSV, "xlsx": XLSX}
COLUMNS = (
    "id", "placed_at", "updated_at", "status", "customer_id", "customer_name", "product", "quantity", "delivered",
    "unit_price", "list_amount", "discount_percent", "amount", "captured", "released", "currency", "reference", "code",
)  # fmt: skip
TYPED = ("customer_name", "reference")
TIMES = ("placed_at", "updated_at")
_COUNT, _AMOUNT, _PRICE = "#,##0", "#,##0.00##", "0.00####"
NUMBERS = {
    **dict.fromkeys(("quantity", "delivered"), _COUNT),
    **dict.fromkeys(("list_amount", "amount", "captured", "released"), _AMOUNT),
    **dict.fromkeys(("unit_price", "discount_percent"), _PRICE),
}


class OrdersExportQuery(OrdersQuery):
    """The filters and order of a search, and the format."""

    class Meta:
        """All of it, not a page."""

        exclude = ("limit", "cursor", "counts")

    format = fields.String(load_default="csv", validate=lambda word: one_of(word, FORMATS))


@routes.get(
    "/v1/orders/export",
    permission="orders.read",
    summary="All orders that a search finds, as CSV or XLSX",
    query=OrdersExportQuery(),
    answers={200: None},
    errors=(422, 503),
    media_types=(CSV, XLSX),
)
def export_orders(call: Call) -> Answer:
    """Return the table, once it is complete: CSV however long it is, XLSX up to a limit."""
    services: Services = call.services
    position = reflected(call, order_projection.NAME)
    names = services.names.now()
    rows = _rows(services, filters_of(call, names), call.query["sort"], names, position)
    chosen = call.query["format"]
    headers = {"Content-Disposition": f'attachment; filename="orders.{chosen}"'}
    if chosen == "csv":
        table = Spool(line.encode("utf-8") for line in csv_lines(COLUMNS, rows, typed=TYPED))
        headers["Content-Length"] = str(table.size)
        answer = answer_read(table, position, media_type=CSV)
    else:
        answer = answer_read(_workbook(services, rows), position, media_type=XLSX)
    return answer._replace(headers={**answer.headers, **headers})


def _rows(
    services: Services, filters: OrderFilters, sort: Any, names: Names, position: int
) -> Iterator[dict[str, Any]]:
    """Yield all that is found at `position` or later. Raises ReadUnavailable, also when Redis goes back meanwhile."""
    after = None
    while True:
        page = order_search.search(services.redis, filters, sort=sort, limit=order_search.LIMIT_MAX, after=after)
        if page.position < position:
            raise ReadUnavailable(reason="the read model went back to an earlier position")
        position = page.position
        yield from (order_row(each, names) for each in page.orders)
        after = page.next
        if after is None:
            return


def _workbook(services: Services, rows: Iterator[dict[str, Any]]) -> bytes:
    """Return a workbook of the rows. Raises TooManyRows, ReadUnavailable when others are being made."""
    rows_max = services.settings.export_rows_max
    if not services.workbooks.acquire(blocking=False):
        raise ReadUnavailable(reason="another export is being made")
    try:
        return xlsx(COLUMNS, _at_most(rows, rows_max), numbers=NUMBERS, times=TIMES)
    finally:
        services.workbooks.release()


def _at_most(rows: Iterator[dict[str, Any]], rows_max: int) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows, 1):
        if number > rows_max:
            raise TooManyRows(rows_max=rows_max)
        yield row
