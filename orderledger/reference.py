"""The reference of settings, made from their declarations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.settings import PREFIX, Declaration, is_set
from orderledger.surroundings import known_settings

HIDDEN = "(set, not shown)"


def settings_in_force(environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return every setting with its default, help and the environment's value (None: unset); secrets are hidden."""
    return [
        {
            "variable": PREFIX + each.variable,
            "default": shown_default(each),
            "value": _shown_value(each, environment),
            "help": each.help,
        }
        for each in known_settings()
    ]


def shown_default(declaration: Declaration) -> str:
    """Return a default as one would write it in the environment."""
    default = declaration.default
    if isinstance(default, bool):
        return "true" if default else "false"
    if isinstance(default, tuple):
        return ",".join(default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def reference_table() -> str:
    """Return the settings as a Markdown table, as docs/settings.md has it."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for each in known_settings():
        default = shown_default(each)
        or_file = ", `…_FILE`" if each.secret else ""
        shown = f"`{default}`" if default else "(empty)"
        rows.append(f"| `{PREFIX}{each.variable}`{or_file} | {shown} | {each.help} |")
    return "\n".join(rows)


def _shown_value(declaration: Declaration, environment: Mapping[str, str]) -> str | None:
    variable = PREFIX + declaration.variable
    if declaration.secret:
        return HIDDEN if is_set(environment, variable) else None
    return environment.get(variable) or None
