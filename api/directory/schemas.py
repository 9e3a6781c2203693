"""The schemas of directory objects: what is taken (strictly) and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from api.directory.fields import (
    Contents,
    CurrencyCode,
    DecimalText,
    Flag,
    OneOf,
    Settings,
    Sku,
    StrictSchema,
    Text,
    Token,
    Whole,
    WholeNumber,
)
from api.directory.fields import (
    credit_limit as parsed_limit,
)
from api.directory.menu_schemas import MenuContents
from ledger.directory import passwords
from ledger.directory.customers import STATUSES
from ledger.directory.menus import ENTRIES_MAX
from ledger.directory.permissions import PERMISSIONS
from ledger.directory.users import USERNAME_LENGTH_MAX
from ledger.executor_settings import validate_settings
from ledger.money import currency
from ledger.pricing import QUANTITY_MAX, canonical_percent, canonical_unit_price
from ledger.schema import ID_LENGTH

NAME_LENGTH_MAX = 200
ROLE_NAME_LENGTH_MAX = 64
MOBILE_LENGTH_MAX = 32
EXECUTOR_LENGTH_MAX = 40
LOCALES = ("en", "zh")
TIERS_MAX = 50
SETTINGS_LENGTH_MAX = 10_000
_MOST_DECIMALS = currency("CLF")
"""Prices have the same decimals in every currency: any serves to check one."""


def unit_price(text: str) -> str:
    """Return the price in its one stored form. Raises BadMoney."""
    return canonical_unit_price(text, _MOST_DECIMALS)


class Shown(Schema):
    """What every answered object has."""

    id = fields.String()
    revision = fields.Integer()
    created_at = fields.String(metadata={"format": "date-time"})
    updated_at = fields.String(metadata={"format": "date-time"})


class CustomerContents(Contents):
    """A new customer; its account opens with it."""

    name = Text(NAME_LENGTH_MAX, required=True)
    mobile = Text(MOBILE_LENGTH_MAX, allow_none=True)
    contact = Text(NAME_LENGTH_MAX, allow_none=True)
    level_id = Token(ID_LENGTH, allow_none=True)
    credit_limit = DecimalText(parsed_limit)
    low_balance_threshold = DecimalText(parsed_limit, allow_none=True)
    currency = CurrencyCode()


class CustomerChanges(CustomerContents):
    """What may change of a customer; its currency only stays."""

    status = OneOf(*STATUSES)


class CustomerShown(Shown):
    """A customer."""

    name = fields.String()
    mobile = fields.String(allow_none=True)
    contact = fields.String(allow_none=True)
    level_id = fields.String(allow_none=True)
    status = fields.String(validate=validate.OneOf(STATUSES))
    credit_limit = fields.String()
    low_balance_threshold = fields.String(allow_none=True)
    currency = fields.String()


class LevelContents(Contents):
    """A new level; `discount_percent` is what is paid."""

    name = Text(NAME_LENGTH_MAX, required=True)
    discount_percent = DecimalText(canonical_percent, required=True)


class LevelChanges(LevelContents):
    """What may change of a level."""


class LevelShown(Shown):
    """A level."""

    name = fields.String()
    discount_percent = fields.String()


class TierContents(StrictSchema):
    """From which quantity on which unit price."""

    from_quantity = WholeNumber(1, QUANTITY_MAX, required=True)
    unit_price = DecimalText(unit_price, required=True)


class ProductChanges(Contents):
    """What may change of a product; its sku and currency stay."""

    name = Text(NAME_LENGTH_MAX, required=True)
    unit_price = DecimalText(unit_price, required=True)
    min_quantity = WholeNumber(1, QUANTITY_MAX)
    max_quantity = WholeNumber(1, QUANTITY_MAX)
    tiers = fields.List(Whole(TierContents), validate=validate.Length(max=TIERS_MAX))
    executor = Token(EXECUTOR_LENGTH_MAX, required=True)
    executor_settings = Settings(SETTINGS_LENGTH_MAX)
    active = Flag()

    @validates_schema
    def ensure_distinct_tiers(self, data: Mapping[str, Any], **more: Any) -> None:
        """Refuse two tiers from the same quantity."""
        quantities = [tier["from_quantity"] for tier in data.get("tiers", ())]
        if len(set(quantities)) != len(quantities):
            raise ValidationError("two tiers start at the same quantity", "tiers")

    @validates_schema
    def ensure_range(self, data: Mapping[str, Any], **more: Any) -> None:
        """Refuse a smallest quantity above the largest."""
        if data.get("min_quantity", 1) > data.get("max_quantity", QUANTITY_MAX):
            raise ValidationError("expected at least min_quantity", "max_quantity")


class ProductContents(ProductChanges):
    """A new product."""

    sku = Sku(required=True)
    currency = CurrencyCode()

    @validates_schema
    def ensure_executor(self, data: Mapping[str, Any], **more: Any) -> None:
        """Refuse an executor that there is not, or settings that it cannot use."""
        problems = executor_problems(data["executor"], data.get("executor_settings", {}))
        if problems:
            raise ValidationError(problems)


class ProductShown(Shown):
    """A product; what is secret of its settings is not shown, and to who is bound to a customer none of them."""

    sku = fields.String()
    name = fields.String()
    unit_price = fields.String()
    currency = fields.String()
    tiers = fields.List(fields.Nested(TierContents))
    min_quantity = fields.Integer()
    max_quantity = fields.Integer()
    executor = fields.String()
    executor_settings = fields.Dict(metadata={"description": "without secrets; absent for who is bound to a customer"})
    active = fields.Boolean()


class RoleContents(Contents):
    """A new role; without a menu of its own it has the default one."""

    name = Text(ROLE_NAME_LENGTH_MAX, required=True)
    permissions = fields.List(OneOf(*PERMISSIONS), required=True, validate=validate.Length(max=len(PERMISSIONS)))
    menu = fields.List(Whole(MenuContents), allow_none=True, validate=validate.Length(max=ENTRIES_MAX))


class RoleChanges(RoleContents):
    """What may change of a role."""


class RoleShown(Shown):
    """A role; `builtin` ones came ready."""

    name = fields.String()
    builtin = fields.Boolean()
    permissions = fields.List(fields.String())
    menu = fields.List(fields.Dict(), allow_none=True)


class ApiKeyContents(Contents):
    """A new key; with a customer it sees that customer only."""

    name = Text(NAME_LENGTH_MAX, required=True)
    role = Text(ROLE_NAME_LENGTH_MAX, required=True)
    customer_id = Token(ID_LENGTH, allow_none=True)


class ApiKeyChanges(Contents):
    """What may change of a key; whom it stands for stays."""

    name = Text(NAME_LENGTH_MAX)
    active = Flag()


class ApiKeyShown(Shown):
    """A key, without its secret."""

    name = fields.String()
    role = fields.String()
    customer_id = fields.String(allow_none=True)
    active = fields.Boolean()


class ApiKeyCreated(ApiKeyShown):
    """A new key with its secret, shown this once."""

    key = fields.String()


class Password(fields.String):
    """A new password."""

    def __init__(self, **more: Any) -> None:
        super().__init__(
            metadata={"minLength": passwords.LENGTH_MIN, "maxLength": passwords.LENGTH_MAX, "format": "password"},
            load_only=True,
            **more,
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        problem = "expected a text" if not isinstance(value, str) else passwords.problem_of(value)
        if problem is not None:
            raise ValidationError(problem)
        return cast(str, value)


class UserChanges(Contents):
    """What may change of a user; its customer stays, its password has a route of its own."""

    username = Text(USERNAME_LENGTH_MAX, required=True)
    name = Text(NAME_LENGTH_MAX, allow_none=True)
    mobile = Text(MOBILE_LENGTH_MAX, allow_none=True)
    role = Text(ROLE_NAME_LENGTH_MAX, required=True)
    locale = OneOf(*LOCALES, allow_none=True)
    active = Flag()


class UserContents(Contents):
    """A new user; one of the role customer needs its customer, one without a password logs in by its number."""

    username = Text(USERNAME_LENGTH_MAX, required=True)
    name = Text(NAME_LENGTH_MAX, allow_none=True)
    mobile = Text(MOBILE_LENGTH_MAX, allow_none=True)
    role = Text(ROLE_NAME_LENGTH_MAX, required=True)
    customer_id = Token(ID_LENGTH, allow_none=True)
    locale = OneOf(*LOCALES, allow_none=True)
    password = Password(allow_none=True)


class UserShown(Shown):
    """A user, without its password."""

    username = fields.String()
    name = fields.String(allow_none=True)
    mobile = fields.String(allow_none=True)
    role = fields.String()
    customer_id = fields.String(allow_none=True)
    locale = fields.String(allow_none=True)
    has_password = fields.Boolean()
    active = fields.Boolean()


class NewPassword(StrictSchema):
    """A new password for somebody else; without one it is generated."""

    password = Password(allow_none=True)


class NewPasswordShown(Schema):
    """The new password, told this once."""

    password = fields.String()


def executor_problems(executor: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is wrong with an executor and its settings, as messages by field."""
    found: dict[str, Any] = {}
    for error in validate_settings(executor, settings):
        if error.pointer == "":
            return {"executor": [error.message]}
        name = error.pointer.removeprefix("/").replace("~1", "/").replace("~0", "~")
        found.setdefault(name, []).append(error.message)
    return {"executor_settings": found} if found else {}
