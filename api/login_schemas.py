"""The bodies and answers of logging in and of one's own sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema

from api.directory.fields import OneOf, StrictSchema
from api.directory.schemas import LOCALES

CREDENTIAL_LENGTH_MAX = 256


class Credential(fields.String):
    """What one types to log in: looked at, never stored."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= CREDENTIAL_LENGTH_MAX:
            raise ValidationError(f"expected a text of 1 to {CREDENTIAL_LENGTH_MAX} characters")
        if any(0xD800 <= ord(letter) <= 0xDFFF for letter in value):
            raise ValidationError("lone surrogates are not allowed")
        return value


class LoginBody(StrictSchema):
    """A username and its password, or a mobile number and the code that was sent to it."""

    username = Credential()
    password = Credential()
    mobile = Credential()
    code = Credential()

    @validates_schema
    def ensure_one_pair(self, data: Mapping[str, Any], **more: Any) -> None:
        """Refuse anything but one pair."""
        if set(data) not in ({"username", "password"}, {"mobile", "code"}):
            raise ValidationError("expected username and password, or mobile and code")


class CodeBody(StrictSchema):
    """The number that wants a code."""

    mobile = Credential(required=True)


class CodeAnswer(Schema):
    """How long a code is good for, in seconds."""

    valid_s = fields.Integer()


class PasswordBody(StrictSchema):
    """One's password, unless one has none yet, and the new one."""

    password = Credential()
    new_password = Credential(required=True)


class MeChanges(StrictSchema):
    """What one may change of oneself."""

    locale = OneOf(*LOCALES, allow_none=True, required=True)


class LabelAnswer(Schema):
    """A menu's words."""

    en = fields.String()
    zh = fields.String()


class MenuPageAnswer(Schema):
    """An entry of the menu; a group has no path."""

    key = fields.String()
    path = fields.String(allow_none=True)
    label = fields.Nested(LabelAnswer)


class MenuAnswer(MenuPageAnswer):
    """An entry with the pages below it."""

    children = fields.List(fields.Nested(MenuPageAnswer))


class MeAnswer(Schema):
    """Who one is: `csrf_token` must come back as X-CSRF-Token with whatever a session changes."""

    actor = fields.String()
    user_id = fields.String(allow_none=True)
    username = fields.String(allow_none=True)
    name = fields.String(allow_none=True)
    role = fields.String()
    permissions = fields.List(fields.String())
    customer_id = fields.String(allow_none=True)
    has_password = fields.Boolean(allow_none=True)
    locale = fields.String(allow_none=True)
    menus = fields.List(fields.Nested(MenuAnswer))
    csrf_token = fields.String(allow_none=True)


class SessionAnswer(Schema):
    """One of one's sessions; `current` is the one that asks."""

    id = fields.String()
    began_at = fields.String(metadata={"format": "date-time"})
    seen_at = fields.String(metadata={"format": "date-time"})
    ends_at = fields.String(metadata={"format": "date-time"})
    address = fields.String()
    agent = fields.String()
    current = fields.Boolean()


class SessionsAnswer(Schema):
    """One's sessions."""

    data = fields.List(fields.Nested(SessionAnswer))
