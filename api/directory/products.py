"""Products over HTTP. One that was ever ordered is never deleted, only taken off sale.

Where and how a product is executed is the operator's business: customers are not told.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from api.directory.findings import Rules
from api.directory.resources import Content, Resource, routes
from api.directory.schemas import ProductChanges, ProductContents, ProductShown
from api.directory.services import services_of
from api.routing import Call
from ledger.directory import products
from ledger.directory.listing import ListQuery, Page
from ledger.directory.models import Product
from ledger.reading import read
from ledger.schema import orders


def _listed(call: Call, query: ListQuery) -> Page:
    page = products.listed(services_of(call).directory, query)
    return Page([_told(call, each) for each in page.data], page.next)


def _create(call: Call, contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return products.create(services_of(call).directory, contents)


def _read(call: Call, product_id: str) -> dict[str, Any]:
    return _told(call, products.read(services_of(call).directory, product_id))


def _told(call: Call, shown: dict[str, Any]) -> dict[str, Any]:
    """Return what whoever asks may know of a product."""
    if call.asker.customer_id is None:
        return shown
    return {name: value for name, value in shown.items() if name != "executor_settings"}


def _change(call: Call, product_id: str, changes: Content, revision: int | None) -> dict[str, Any]:
    services = services_of(call)
    changed = products.change(services.directory, product_id, changes, revision=revision)
    services.forget_terms()
    return changed


def _delete(call: Call, product_id: str, revision: int | None) -> dict[str, Any] | None:
    services = services_of(call)
    sku = products.read(services.directory, product_id)["sku"]
    left = products.delete(services.directory, product_id, revision=revision, ordered=_is_ordered(call, sku))
    services.forget_terms()
    return left


def _is_ordered(call: Call, sku: str) -> bool:
    query = sa.select(orders.c.order_id).where(orders.c.product == sku).limit(1)
    return read(services_of(call).engine, lambda connection: connection.execute(query).first()) is not None


RESOURCE = Resource(
    singular="product",
    plural="products",
    path="/v1/products",
    kind=products.KIND,
    may_read="products.read",
    may_write="products.write",
    may_delete="products.write",
    listing=products.LISTING,
    listed=_listed,
    shown=ProductShown(),
    created=ProductShown(),
    contents=ProductContents,
    changes=ProductChanges(partial=True),
    rules=Rules(kind=products.KIND, unique=("sku", Product.sku)),
    create=_create,
    read=_read,
    change=_change,
    delete=_delete,
    has_currency=True,
)
ROUTES = routes(RESOURCE)
