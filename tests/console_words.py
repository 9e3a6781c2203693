"""Every text that the console shows: those of its templates, scripts and menus, and what the service says of errors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.extract import extract_from_dir

import api.console
from api.problems import CATALOGUE
from ledger.directory.menus import GROUPS, ITEMS

CONSOLE = Path(next(iter(api.console.__path__)))
ROOT = CONSOLE.parent.parent
METHODS = [("templates/**.html", "jinja2.ext:babel_extract"), ("static/**.js", "javascript")]
KEYWORDS = {"_": None, "t": None}
SAID_BY = {
    "ValidationError": 0, "BadField": "problem", "FieldError": "detail", "BadMoney": "problem", "InUse": "reason",
    "ReadUnavailable": "reason", "NothingRecorded": "reason", "OutcomeUnknown": "reason", "MalformedRequest": "problem",
    "WrongParameter": "problem", "finding": None, "ValueError": 0,
}  # fmt: skip
"""Calls whose texts reach somebody who looks at a page, and which argument it is (None: any)."""
SAYING = (
    "api/bodies.py", "api/cancelling.py", "api/directory", "api/doctor.py", "api/events.py", "api/exports.py", "api/login.py",
    "api/orders.py", "api/safe_settings.py", "api/schemas.py", "api/searches.py", "api/summary.py", "api/what_if.py",
    "api/sms/codes.py", "ledger/directory", "ledger/executor_settings.py", "ledger/money.py",
    "ledger/pricing.py", "ledger/reading.py", "ledger/safety", "ledger/webhooks", "projections/redis_clients.py",
    "projections/safety.py", "projections/walk.py",
)  # fmt: skip
COMMANDS = ("SET GLOBAL", "CONFIG SET", "chmod", "orderledger ")
"""What an operator types is the same in every language."""
MARSHMALLOW = (
    "Missing data for required field.",
    "Field may not be null.",
    "Not a valid list.",
    "Longer than maximum length {max}.",
)
"""What its library says of the forms' fields."""


def texts() -> set[str]:
    """Return the English texts."""
    found = extract_from_dir(
        CONSOLE, METHODS, keywords=KEYWORDS, options_map={"static/**.js": {"parse_template_string": "true"}}
    )
    return {str(message) for _, _, message, _, _ in found} | said()


def said() -> set[str]:
    """Return what the service says of errors, with names in braces where it fills something in."""
    titles = {each.title for each in CATALOGUE.values()}
    details = {each.message if entry.detail is None else entry.detail for each, entry in CATALOGUE.items()}
    kinds = {"customer", "level", "product", "role", "user", "api key", "session", "webhook"}
    files = [
        path
        for name in SAYING
        for path in ([ROOT / name] if name.endswith(".py") else sorted((ROOT / name).glob("*.py")))
    ]
    found = {text for path in files for text in _texts_of(ast.parse(path.read_text("utf-8")))}
    every = titles | details | kinds | found | set(MARSHMALLOW)
    return {text for text in every if re.search("[a-z]", _fixed(text)) and not text.startswith(COMMANDS)}


def menu_words() -> dict[str, str]:
    """Return the menus' Chinese words by their English ones."""
    return {each.en: each.zh for each in ITEMS} | {each["en"]: each["zh"] for each in GROUPS.values()}


def _fixed(text: str) -> str:
    return re.sub(r"\{\w+\}", "", text)


def _texts_of(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in SAID_BY:
                yield from _arguments(node, SAID_BY[name])
        elif isinstance(node, ast.Assign) and any(
            isinstance(each, ast.Name) and each.id in ("problem", "mend") for each in node.targets
        ):
            yield from _strings(node.value)
        elif isinstance(node, ast.FunctionDef) and "problem" in node.name:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield from _strings(inner.value)
        elif isinstance(node, ast.Assign) and any(getattr(each, "id", "") == "error_messages" for each in node.targets):
            yield from (text for each in getattr(node.value, "values", ()) for text in _strings(each))


def _arguments(node: ast.Call, wanted: int | str | None) -> Iterator[str]:
    if isinstance(wanted, int):
        given = node.args[wanted : wanted + 1]
    elif wanted is None:
        given = [*node.args, *(each.value for each in node.keywords)]
    else:
        given = [each.value for each in node.keywords if each.arg == wanted]
    for each in given:
        yield from _strings(each)


def _strings(node: ast.AST) -> Iterator[str]:
    """Yield the texts that an expression may be, with what is filled in named by its place."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        count, parts = 0, []
        for part in node.values:
            if isinstance(part, ast.Constant):
                parts.append(str(part.value))
            else:
                count += 1
                parts.append(f"{{value{count}}}")
        yield "".join(parts)
    elif isinstance(node, ast.IfExp):
        yield from _strings(node.body)
        yield from _strings(node.orelse)
    elif isinstance(node, ast.Tuple | ast.BoolOp):
        # Of a field and what is wrong with it, the latter.
        for each in node.elts[-1:] if isinstance(node, ast.Tuple) else node.values:
            yield from _strings(each)
