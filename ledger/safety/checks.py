"""The catalogue of checks: what is looked at before a process starts, by the command `doctor` and by the console.

A check that refuses stops the start when it is bad, unless ORDERLEDGER_ALLOW_UNSAFE names it; the others only warn. Each
is described in docs/doctor.md; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

GOOD, WARNING, BAD = "good", "warning", "bad"
Finding = dict[str, str]
"""`check` (a name of the catalogue), `state`, `finding` (what was found) and `mend` (what to do about it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check; `where` is what it looks at: settings, database, schema, nodes, replicas or redis."""

    name: str
    where: str
    refuses: bool

    @property
    def word(self) -> str:
        """How ORDERLEDGER_ALLOW_UNSAFE names it."""
        return self.name.replace(" ", "-")


def _checks(where: str, *, refusing: Iterable[str], warning: Iterable[str]) -> tuple[Check, ...]:
    return (
        *(Check(name=name, where=where, refuses=True) for name in refusing),
        *(Check(name=name, where=where, refuses=False) for name in warning),
    )


CATALOGUE = (
    *_checks(
        "settings",
        refusing=("secret key", "well-known secret", "debugging", "secret file", "signing key"),
        warning=(
            "data directory",
            "executors",
            "webhook addresses",
            "session cookie",
            "login codes",
            "connection pool",
            "redis password",
        ),
    ),
    *_checks(
        "database",
        refusing=(
            "database version",
            "commits",
            "page writes",
            "binary log",
            "binary log format",
            "sql mode",
            "character set",
            "packet size",
            "clock",
            "database password",
        ),
        warning=("connections", "session time", "database user"),
    ),
    *_checks(
        "schema", refusing=("schema", "newer schema", "collation", "recorded time"), warning=("sealing", "webhooks")
    ),
    *_checks("redis", refusing=("redis version", "redis memory"), warning=("redis persistence",)),
    *_checks("nodes", refusing=(), warning=("nodes",)),
    *_checks("replicas", refusing=(), warning=("replicas",)),
    # What cannot be looked at is bad for the doctor; a start goes on and looks again.
    *_checks("reachable", refusing=(), warning=("database", "directory database", "redis")),
)
"""Every check, each name once."""

BY_NAME = {check.name: check for check in CATALOGUE}
REFUSING = {check.word: check for check in CATALOGUE if check.refuses}


def accepted_checks(value: str) -> tuple[str, ...]:
    """Accept a comma-separated list of checks that refuse, in the words of a refusal."""
    words = tuple(part.strip() for part in value.split(",") if part.strip())
    unknown = [word for word in words if word not in REFUSING]
    if unknown:
        raise ValueError(f"no check that refuses is named {unknown[0]!r}; there are {', '.join(sorted(REFUSING))}")
    return words


def finding(check: str, state: str, found: str, mend: str = "") -> Finding:
    """Return what a check of the catalogue found."""
    return {"check": BY_NAME[check].name, "state": state, "finding": found, "mend": mend}


def with_accepted(findings: Iterable[Finding], accepted: Iterable[str]) -> list[Finding]:
    """Return the findings with the accepted bad ones as warnings."""
    words = frozenset(accepted)
    return [
        {**each, "state": WARNING} if each["state"] == BAD and BY_NAME[each["check"]].word in words else each
        for each in findings
    ]


def refusals(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that stop a start."""
    return [each for each in findings if each["state"] == BAD and BY_NAME[each["check"]].refuses]


def sentence(found: Finding) -> str:
    """Return a refusal as one line: what was found, how to mend it, and how to accept it."""
    check = BY_NAME[found["check"]]
    accept = f" (or accept it: ORDERLEDGER_ALLOW_UNSAFE={check.word})" if check.refuses else ""
    return f"{found['check']}: {found['finding']} → {found['mend']}{accept}"
