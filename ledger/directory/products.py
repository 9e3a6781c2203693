"""Products: what can be ordered, at which price, and which executor fulfils it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from ledger.commands import ProductTerms
from ledger.directory.changes import find, stamped, stamps, touch, unique
from ledger.directory.directory import Directory
from ledger.directory.errors import BadField
from ledger.directory.listing import BOOLEAN, INTEGER, TIME, TOKEN, Field, Listing, ListQuery, Page, decimal, page
from ledger.directory.models import Product
from ledger.executor_settings import executor_names, validate_settings
from ledger.ids import new_id
from ledger.money import currency, format_decimal, parse_decimal
from ledger.pricing import QUANTITY_MAX, UNIT_PRICE_DECIMALS, Tier, canonical_unit_price

KIND = "product"
SECRETS = frozenset({"secret"})
"""Executor settings that are never shown."""
SHOWN_SECRET = "(set)"

LISTING = Listing(
    name="products",
    query=sa.select(Product),
    fields={
        "id": Field(Product.id, TOKEN),
        "sku": Field(Product.sku, TOKEN),
        "name": Field(Product.name),
        "unit_price": Field(Product.unit_price_micro, decimal(integer_digits_max=12, decimals_max=UNIT_PRICE_DECIMALS)),
        "currency": Field(Product.currency, TOKEN),
        "min_quantity": Field(Product.min_quantity, INTEGER),
        "max_quantity": Field(Product.max_quantity, INTEGER),
        "executor": Field(Product.executor, TOKEN),
        "active": Field(Product.active, BOOLEAN),
        "revision": Field(Product.revision, INTEGER),
        "created_at": Field(Product.created_at_us, TIME),
        "updated_at": Field(Product.updated_at_us, TIME),
    },
    shown=(
        "id",
        "sku",
        "name",
        "unit_price",
        "currency",
        "tiers",
        "min_quantity",
        "max_quantity",
        "executor",
        "executor_settings",
        "active",
        "revision",
        "created_at",
        "updated_at",
    ),
)


def create(directory: Directory, contents: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Create products, all or none; `currency` must be given. Raises AlreadyExists, BadField."""
    rows = [
        Product(
            id=new_id("prd"),
            sku=each["sku"],
            name=each["name"],
            unit_price_micro=_micro(each["unit_price"], each["currency"]),
            currency=each["currency"],
            tiers=_tiers_text(each.get("tiers") or [], each["currency"]),
            min_quantity=each.get("min_quantity", 1),
            max_quantity=each.get("max_quantity", QUANTITY_MAX),
            executor=each["executor"],
            executor_settings=json.dumps(each.get("executor_settings") or {}, ensure_ascii=False),
            active=int(each.get("active", True)),
            **stamps(),
        )
        for each in contents
    ]
    for row in rows:
        _ensure_usable(row)
    with unique(KIND, "sku"), directory.writing() as session:
        session.add_all(rows)
    return [public(row) for row in rows]


def listed(directory: Directory, query: ListQuery) -> Page:
    """Return one page of products."""
    with directory.reading() as session:
        return page(session, LISTING, query, public)


def read(directory: Directory, product_id: str) -> dict[str, Any]:
    """Return the product. Raises DirectoryNotFound."""
    with directory.reading() as session:
        return public(find(session, Product, KIND, product_id))


def change(
    directory: Directory, product_id: str, changes: Mapping[str, Any], *, revision: int | None = None
) -> dict[str, Any]:
    """Change a product; orders keep the price they were placed at. Sku and currency stay.

    Raises DirectoryNotFound, RevisionMismatch, BadField.
    """
    with directory.writing() as session:
        row = find(session, Product, KIND, product_id, revision=revision, lock=True)
        for name in ("name", "min_quantity", "max_quantity", "executor"):
            if name in changes:
                setattr(row, name, changes[name])
        if "unit_price" in changes:
            row.unit_price_micro = _micro(changes["unit_price"], row.currency)
        if "tiers" in changes:
            row.tiers = _tiers_text(changes["tiers"] or [], row.currency)
        if "active" in changes:
            row.active = changes["active"]
        if "executor_settings" in changes:
            row.executor_settings = _settings_text(changes["executor_settings"] or {}, row.executor_settings)
        _ensure_usable(row)
        touch(row)
    return public(row)


def delete(
    directory: Directory, product_id: str, *, revision: int | None = None, ordered: bool
) -> dict[str, Any] | None:
    """Delete a product, or take it off sale when it was ever `ordered`; return it then, None when it is gone.

    Raises DirectoryNotFound, RevisionMismatch.
    """
    with directory.writing() as session:
        row = find(session, Product, KIND, product_id, revision=revision, lock=True)
        if not ordered:
            session.delete(row)
            return None
        row.active = False
        touch(row)
    return public(row)


def terms_of(directory: Directory, sku: str) -> ProductTerms | None:
    """Return what an order of the product costs today, None when no product on sale has the sku."""
    with directory.reading() as session:
        row = session.scalar(sa.select(Product).where(Product.sku == sku, Product.active == 1))
        if row is None:
            return None
        return ProductTerms(
            sku=row.sku,
            unit_price=_unit_price(row),
            tiers=tuple(Tier(**tier) for tier in json.loads(row.tiers)),
            quantity_min=row.min_quantity,
            quantity_max=row.max_quantity,
            currency=row.currency,
        )


def executor_of(directory: Directory, sku: str) -> tuple[str, dict[str, Any]] | None:
    """Return the name and settings of the product's executor, None when the product is gone."""
    with directory.reading() as session:
        row = session.scalar(sa.select(Product).where(Product.sku == sku))
        return None if row is None else (row.executor, json.loads(row.executor_settings))


def skus_matching(directory: Directory, text: str, *, limit: int) -> list[str]:
    """Return the skus of up to `limit` products whose sku or name contains the text, letters in any case."""
    text = text.lower()
    # The lower() of SQLite itself knows ASCII only.
    lower = sa.func.lower_unicode if directory.engine.dialect.name == "sqlite" else sa.func.lower
    matching: sa.ColumnElement[bool] = lower(Product.name).contains(text, autoescape=True)
    if text.isascii():
        # A sku is ASCII, and MariaDB refuses to compare it with anything else.
        matching |= sa.func.lower(Product.sku).contains(text, autoescape=True)
    with directory.reading() as session:
        return list(session.scalars(sa.select(Product.sku).where(matching).order_by(Product.sku).limit(limit)))


def public(row: Product) -> dict[str, Any]:
    """Return the product as clients see it: secrets in executor settings are not shown."""
    settings = {
        name: SHOWN_SECRET if name in SECRETS else value for name, value in json.loads(row.executor_settings).items()
    }
    return {
        "id": row.id,
        "sku": row.sku,
        "name": row.name,
        "unit_price": _unit_price(row),
        "currency": row.currency,
        "tiers": json.loads(row.tiers),
        "min_quantity": row.min_quantity,
        "max_quantity": row.max_quantity,
        "executor": row.executor,
        "executor_settings": settings,
        "active": bool(row.active),
        **stamped(row),
    }


def _unit_price(row: Product) -> str:
    decimals_min = currency(row.currency).exponent
    return format_decimal(row.unit_price_micro, decimals=UNIT_PRICE_DECIMALS, decimals_min=decimals_min)


def _micro(text: str, code: str) -> int:
    canonical = canonical_unit_price(text, currency(code))
    return parse_decimal(canonical, integer_digits_max=12, decimals_max=UNIT_PRICE_DECIMALS)


def _tiers_text(tiers: Sequence[Mapping[str, Any]], code: str) -> str:
    quantities = [tier["from_quantity"] for tier in tiers]
    if len(set(quantities)) != len(quantities):
        raise BadField(pointer="/tiers", problem="two tiers start at the same quantity")
    stored = [
        {"from_quantity": tier["from_quantity"], "unit_price": canonical_unit_price(tier["unit_price"], currency(code))}
        for tier in sorted(tiers, key=lambda tier: int(tier["from_quantity"]))
    ]
    return json.dumps(stored)


def _settings_text(wanted: Mapping[str, Any], before: str) -> str:
    # A client that sends back what it was shown keeps the secret.
    kept = json.loads(before)
    merged = {
        name: kept.get(name) if name in SECRETS and value == SHOWN_SECRET else value for name, value in wanted.items()
    }
    return json.dumps(merged, ensure_ascii=False)


def _ensure_usable(row: Product) -> None:
    wrong = validate_settings(row.executor, json.loads(row.executor_settings))
    if wrong:
        unknown = row.executor not in executor_names()
        pointer = "/executor" if unknown else f"/executor_settings{wrong[0].pointer}"
        raise BadField(pointer=pointer, problem=wrong[0].message)
    if not 1 <= row.min_quantity <= row.max_quantity <= QUANTITY_MAX:
        raise BadField(pointer="/max_quantity", problem=f"quantities go from 1 to {QUANTITY_MAX}, the minimum first")
