"""The settings of the command line itself."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.settings import setting, text


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSettings:
    """What only commands need."""

    demo_api_key: str = setting(
        "DEMO_API_KEY",
        text,
        "",
        "secret of the API key that `up --demo` makes; empty: one is generated and printed",
        secret=True,
    )
    demo_password: str = setting(
        "DEMO_PASSWORD",
        text,
        "",
        "password of the logins that `up --demo` makes; empty: one is generated and printed",
        secret=True,
    )
