"""The forms that a part of a path can take, and the rules that tell a path's route."""

from __future__ import annotations

from functools import lru_cache

from flask import Flask
from werkzeug.routing import BaseConverter, Map, ValidationError

from ledger.proofs.tree import TILE_WIDTH


class TokenConverter(BaseConverter):
    """An id: what ledger.ids calls a token."""

    regex = r"[A-Za-z0-9._:\-]{1,80}"


class PositionConverter(BaseConverter):
    """A position of the log, from 1 to below 2**53."""

    regex = r"[1-9][0-9]{0,14}"

    def to_python(self, value: str) -> int:
        """Return the position as a number."""
        return int(value)


class LevelConverter(BaseConverter):
    """A level of the tree, from 0 to 63."""

    regex = r"[0-9]|[1-5][0-9]|6[0-3]"

    def to_python(self, value: str) -> int:
        """Return the level as a number."""
        return int(value)


class TileConverter(BaseConverter):
    """The index of a tile in pieces of three digits, and its width when it is not whole: `x001/x234/067.p/8`."""

    regex = r"(?:x[0-9]{3}/){0,4}[0-9]{3}(?:\.p/(?:[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
    part_isolating = False

    def to_python(self, value: str) -> tuple[int, int]:
        """Return index and width. Raises ValidationError for an index that is written with more pieces than it has."""
        index_text, _, width = value.partition(".p/")
        if index_text.startswith("x000"):
            raise ValidationError()
        return int(index_text.replace("x", "").replace("/", "")), int(width or TILE_WIDTH)


@lru_cache
def compiled_rules(rules: tuple[tuple[str, str, str], ...]) -> Map:
    """Return the compiled rules of (method, path, endpoint): dear to make, and the same for every application."""
    app = Flask("rules", static_folder=None)
    app.url_map.merge_slashes = False
    app.url_map.converters |= {
        "token": TokenConverter,
        "position": PositionConverter,
        "level": LevelConverter,
        "tile": TileConverter,
    }
    for method, path, endpoint in rules:
        app.add_url_rule(path, endpoint=endpoint, methods=[method])
    return app.url_map
