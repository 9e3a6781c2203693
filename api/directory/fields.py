"""The fields of directory objects, strict: a value of another JSON type is refused, never converted.

Decimals come as text only, so that what is stored is exactly what was sent.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

from marshmallow import Schema, ValidationError, fields, pre_load

from ledger.errors import BadMoney
from ledger.ids import is_token
from ledger.money import currency, parse_decimal

BULK_OBJECTS_MAX = 1_000
FLAT_SETTINGS_MAX = 20
INTEGER_CHARACTERS = 40
"""More than a number of a body has."""
_SKU = re.compile(r"[A-Za-z0-9._\-]{1,64}")
Result = TypeVar("Result")
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs"})


class StrictSchema(Schema):
    """A schema that refuses what it does not know; of each object of a list it reports one error.

    A `plain` one has no hooks and no defaults, and its fields leave values as they are: what it certainly accepts needs
    no loading.
    """

    error_messages = {"unknown": "there is no such field", "type": "expected an object"}
    plain = False

    @cached_property
    def _certain(self) -> dict[str, tuple[Callable[[Any], bool], bool]]:
        return {name: (getattr(each, "accepts", _nothing), each.allow_none) for name, each in self.fields.items()}

    @cached_property
    def _required(self) -> frozenset[str]:
        return frozenset(name for name, each in self.fields.items() if each.required)

    def accepts(self, document: Any) -> bool:
        """Say whether a document is certainly right, so that loading would return what it is given.

        Fast. False says nothing: whether the document is right, and what is wrong, is for `load` to say.
        """
        if not self.plain or type(document) is not dict:
            return False
        certain = self._certain
        for name, value in document.items():
            known = certain.get(name)
            if known is None:
                return False
            accepts, allows_none = known
            if not (allows_none if value is None else accepts(value)):
                return False
        return self._required <= document.keys()

    def handle_error(self, error: ValidationError, data: Any, *, many: bool, **more: Any) -> None:
        """Keep one field's messages of each object of a list."""
        if many and isinstance(error.messages, dict):
            error.messages = {index: _first(found) for index, found in error.messages.items()}


class Contents(StrictSchema):
    """What one creates an object from; of a bulk request, a list of them."""

    @pre_load(pass_collection=True)
    def ensure_bulk_size(self, data: Any, *, many: bool, **more: Any) -> Any:
        """Refuse a bulk of the wrong size before looking at its objects."""
        if many and isinstance(data, list) and not 1 <= len(data) <= BULK_OBJECTS_MAX:
            raise ValidationError(f"expected 1 to {BULK_OBJECTS_MAX} objects")
        return data


class Text(fields.String):
    """A human text of 1 to `length_max` characters in any script, without control characters."""

    def __init__(self, length_max: int, **more: Any) -> None:
        super().__init__(metadata={"minLength": 1, "maxLength": length_max}, **more)
        self.length_max = length_max

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= self.length_max:
            raise ValidationError(f"expected a text of 1 to {self.length_max} characters")
        if any(unicodedata.category(letter) in _REFUSED_CATEGORIES for letter in value):
            raise ValidationError("control characters and lone surrogates are not allowed")
        if value != value.strip():
            raise ValidationError("expected no white space at either end")
        return value

    def accepts(self, value: Any) -> bool:
        """Say whether the value is certainly right."""
        # A space is the only printable white space.
        return (
            type(value) is str
            and 1 <= len(value) <= self.length_max
            and value.isprintable()
            and value[0] != " " != value[-1]
        )


class Token(fields.String):
    """An id or a name of a machine: up to `length_max` of A-Z a-z 0-9 . _ : -"""

    def __init__(self, length_max: int, **more: Any) -> None:
        super().__init__(metadata={"minLength": 1, "maxLength": length_max}, **more)
        self.length_max = length_max

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        if not isinstance(value, str) or len(value) > self.length_max or not is_token(value):
            raise ValidationError(f"expected 1 to {self.length_max} of A-Z a-z 0-9 . _ : -")
        return value

    def accepts(self, value: Any) -> bool:
        """Say whether the value is certainly right."""
        return type(value) is str and len(value) <= self.length_max and is_token(value)


class Sku(fields.String):
    """A product's sku: up to 64 of A-Z a-z 0-9 . _ -"""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        if not isinstance(value, str) or _SKU.fullmatch(value) is None:
            raise ValidationError("expected 1 to 64 of A-Z a-z 0-9 . _ -")
        return value


class OneOf(fields.String):
    """One of a few words."""

    def __init__(self, *words: str, **more: Any) -> None:
        super().__init__(metadata={"enum": list(words)}, **more)
        self.words = words

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise ValidationError(f"expected one of {', '.join(self.words)}")
        return value


class CurrencyCode(fields.String):
    """An ISO 4217 code."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError("expected an ISO 4217 currency code such as CNY")
        return _exact(lambda: currency(value)).code


class DecimalText(fields.String):
    """An exact decimal as a JSON string; `parse` says what is wrong with it by BadMoney."""

    def __init__(self, parse: Callable[[str], Any], **more: Any) -> None:
        super().__init__(**more)
        self.parse = parse

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError('expected a decimal as a string, such as "12.5"')
        _exact(lambda: self.parse(value))
        return value


class WholeNumber(fields.Integer):
    """A JSON number without a fraction, in a range."""

    def __init__(self, minimum: int, maximum: int, **more: Any) -> None:
        super().__init__(metadata={"minimum": minimum, "maximum": maximum}, **more)
        self.minimum, self.maximum = minimum, maximum

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> int:
        # bool is an int to Python, but true is no number.
        if isinstance(value, bool) or not isinstance(value, int) or not self.minimum <= value <= self.maximum:
            raise ValidationError(f"expected a whole number from {self.minimum} to {self.maximum}")
        return value

    def accepts(self, value: Any) -> bool:
        """Say whether the value is certainly right."""
        return type(value) is int and self.minimum <= value <= self.maximum


class Flag(fields.Boolean):
    """True or false, nothing that looks like it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("expected true or false")
        return value


class Whole(fields.Nested):
    """An object within an object; also in a change it is given whole."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, partial: Any = None, **more: Any) -> Any:
        return super()._deserialize(value, attr, data, partial=False, **more)


class Settings(fields.Dict):
    """A JSON object of settings, up to `bytes_max` as text."""

    def __init__(self, bytes_max: int, **more: Any) -> None:
        super().__init__(**more)
        self.bytes_max = bytes_max

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("expected an object")
        if any(unicodedata.category(letter) in _REFUSED_CATEGORIES for text in _texts(value) for letter in text):
            raise ValidationError("control characters and lone surrogates are not allowed")
        if sum(len(text) for text in _texts(value)) > self.bytes_max:
            raise ValidationError(f"expected settings of up to {self.bytes_max} characters")
        return value

    def accepts(self, value: Any) -> bool:
        """Say whether the value is certainly right: only when it is flat."""
        if type(value) is not dict or len(value) > FLAT_SETTINGS_MAX:
            return False
        size = 0
        for name, inner in value.items():
            text = inner if type(inner) is str else "" if type(inner) is int else None
            if text is None or not name.isprintable() or not text.isprintable():
                return False
            size += len(name) + len(text) + INTEGER_CHARACTERS
        return size <= self.bytes_max


def credit_limit(text: str) -> int:
    """Return a credit limit in the smallest unit that any currency has. Raises BadMoney."""
    return parse_decimal(text, integer_digits_max=15, decimals_max=4)


def _exact(parse: Callable[[], Result]) -> Result:
    try:
        return parse()
    except BadMoney as error:
        raise ValidationError(error.problem) from None


def _nothing(_: Any) -> bool:
    return False


def _first(messages: Any) -> Any:
    return dict([next(iter(messages.items()))]) if isinstance(messages, dict) and messages else messages


def _texts(value: Any) -> list[str]:
    """Return every name and text in a JSON value; bodies are not nested deep."""
    match value:
        case str():
            return [value]
        case dict():
            return [text for name, inner in value.items() for text in (name, *_texts(inner))]
        case list():
            return [text for inner in value for text in _texts(inner)]
        case _:
            return [str(value)]
