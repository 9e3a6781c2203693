"""A role's menu: what is taken, and what its editor is answered."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from api.directory.fields import Flag, StrictSchema, Text, Token, Whole
from ledger.directory import menus


class MenuLabel(StrictSchema):
    """A menu's name; an empty one is the default."""

    en = Text(menus.LABEL_LENGTH_MAX, allow_none=True)
    zh = Text(menus.LABEL_LENGTH_MAX, allow_none=True)


class MenuPageContents(StrictSchema):
    """A page of a menu."""

    key = Token(menus.LABEL_LENGTH_MAX, required=True)
    label = Whole(MenuLabel, allow_none=True)
    hidden = Flag()


class MenuContents(MenuPageContents):
    """An entry of a menu: a page, or a group with the pages below it."""

    children = fields.List(Whole(MenuPageContents), validate=validate.Length(max=menus.ENTRIES_MAX))


class EditableMenuPage(Schema):
    """A page of a role's menu as an editor needs it."""

    key = fields.String()
    path = fields.String(allow_none=True)
    label = fields.Dict()
    default_label = fields.Dict()
    hidden = fields.Boolean()
    for_customers = fields.Boolean()


class EditableMenuEntry(EditableMenuPage):
    """A page, or a group with its pages."""

    children = fields.List(fields.Nested(EditableMenuPage))


class EditableMenu(Schema):
    """A role's menu with every page that its permissions open; `is_default`: it has none of its own."""

    role = fields.String()
    revision = fields.Integer()
    is_default = fields.Boolean()
    menu = fields.List(fields.Nested(EditableMenuEntry))
