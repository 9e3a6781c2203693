"""The console's words: English in the templates and scripts, other languages from catalogues beside this file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

ENGLISH, CHINESE = "en", "zh"
LANGUAGES: Mapping[str, str] = {ENGLISH: "English", CHINESE: "简体中文"}
"""Languages by what their speakers call them."""


@cache
def catalogue(language: str) -> Catalog:
    """Return what is translated into the language."""
    text = (files("api.console") / "locales" / f"{language}.po").read_bytes()
    return read_po(io.BytesIO(text), locale=language)


@cache
def translations(language: str) -> Translations:
    """Return the language's translations, none for English."""
    if language == ENGLISH:
        return Translations()
    compiled = io.BytesIO()
    write_mo(compiled, catalogue(language))
    compiled.seek(0)
    return Translations(compiled)


@cache
def words(language: str) -> dict[str, str]:
    """Return the language's word for each English one, for the console's scripts."""
    if language == ENGLISH:
        return {}
    return {str(each.id): str(each.string) for each in catalogue(language) if each.id and each.string}
