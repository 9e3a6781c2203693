"""Every text that the console shows, as its templates, scripts and menus have it."""

from __future__ import annotations

from pathlib import Path

from babel.messages.extract import extract_from_dir

import api.console
from api.problems import CATALOGUE
from ledger.directory.menus import ITEMS

CONSOLE = Path(next(iter(api.console.__path__)))
METHODS = [("templates/**.html", "jinja2.ext:babel_extract"), ("static/**.js", "javascript")]
KEYWORDS = {"_": None, "t": None}


def texts() -> set[str]:
    """Return the English texts."""
    found = extract_from_dir(
        CONSOLE, METHODS, keywords=KEYWORDS, options_map={"static/**.js": {"parse_template_string": "true"}}
    )
    # What the service says of an error reaches its reader as the problem's title.
    return {str(message) for _, _, message, _, _ in found} | {each.title for each in CATALOGUE.values()}


def menu_words() -> dict[str, str]:
    """Return the menus' Chinese words by their English ones."""
    return {each.en: each.zh for each in ITEMS}
