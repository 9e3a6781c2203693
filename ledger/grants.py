"""The least privileges that the service's database user needs on MariaDB or MySQL.

History may be added to and read, column by column, but neither changed nor removed; the erasable details may go.
Source: docs/operating.md.
"""

from __future__ import annotations

import re

from ledger import schema
from ledger.directory.models import Base
from ledger.revisions import version_table
from ledger.upgrading import TABLE

APPEND_ONLY = ("events", "outcomes", "reversals", "tree_hashes", "checkpoints", "verifications")
_STATE = {"log_head": "SELECT, UPDATE", "accounts": "SELECT, INSERT, UPDATE", "orders": "SELECT, INSERT, UPDATE"}
_FREE = {
    "details": "SELECT, INSERT, DELETE",
    "claims": "SELECT, INSERT, UPDATE, DELETE",
    "cancellation_requests": "SELECT, INSERT, DELETE",
}
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
_ACCOUNT = re.compile(r"[A-Za-z0-9_.%\-]{1,80}")


def grants(database: str, user: str, host: str = "localhost", *, directory: str = "") -> list[str]:
    """Return the GRANT statements for an existing user, as an administrator runs them. Raises ValueError for odd names.

    `directory` is the directory's database, when it is another one on the same server.
    """
    return log_grants(database, user, host) + directory_grants(directory or database, user, host)


def log_grants(database: str, user: str, host: str = "localhost") -> list[str]:
    """Return the GRANT statements for the log's tables alone. Raises ValueError for odd names."""
    to = _to(database, user, host)
    statements = []
    for table in APPEND_ONLY:
        columns = ", ".join(schema.metadata.tables[table].columns.keys())
        statements.append(f"GRANT SELECT, INSERT ({columns}) ON {database}.{table} {to};")
    statements += [f"GRANT {rights} ON {database}.{table} {to};" for table, rights in (_STATE | _FREE).items()]
    return [*statements, *(f"GRANT SELECT ON {database}.{table} {to};" for table in (version_table("log"), TABLE))]


def directory_grants(database: str, user: str, host: str = "localhost") -> list[str]:
    """Return the GRANT statements for the directory's tables alone. Raises ValueError for odd names."""
    to = _to(database, user, host)
    statements = [f"GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.{table} {to};" for table in Base.metadata.tables]
    return [
        *statements,
        *(f"GRANT SELECT ON {database}.{table} {to};" for table in (version_table("directory"), TABLE)),
    ]


def _to(database: str, user: str, host: str) -> str:
    if not all(map(_NAME.fullmatch, (database, user))) or not _ACCOUNT.fullmatch(host):
        raise ValueError(
            "database and user names are letters, digits and underscores; a host is a name, an address or %"
        )
    return f"TO '{user}'@'{host}'"
