"""What the audits that were recorded came to: the log's own health book."""

from __future__ import annotations

import math
from dataclasses import dataclass

import sqlalchemy as sa

from ledger import schema
from ledger.audit.findings import Report
from ledger.clock import now_us

_TABLE = schema.verifications


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A recorded report; `seconds` are rounded up."""

    finished_at_us: int
    status: str
    events: int
    first_bad_position: int | None
    finding: str | None
    seconds: int


def record(engine: sa.Engine, report: Report) -> None:
    """Write down what an audit came to: just now, or right behind what was recorded while a clock was ahead.

    Raises sqlalchemy.exc.SQLAlchemyError.
    """
    values = {
        "status": report.status,
        "events": report.events,
        "first_bad_position": report.first_bad_position,
        "finding": None if report.finding is None else report.finding.encode(),
        "seconds": math.ceil(report.seconds),
    }
    with engine.execution_options(write=True).begin() as connection:
        newest = connection.scalar(sa.select(sa.func.max(_TABLE.c.finished_at_us)))
        finished_at_us = now_us() if newest is None else max(now_us(), newest + 1)
        connection.execute(sa.insert(_TABLE).values(finished_at_us=finished_at_us, **values))


def latest_verification(connection: sa.Connection) -> Verification | None:
    """Return what was recorded last."""
    row = connection.execute(sa.select(_TABLE).order_by(_TABLE.c.finished_at_us.desc()).limit(1)).first()
    if row is None:
        return None
    return Verification(
        finished_at_us=row.finished_at_us,
        status=row.status,
        events=row.events,
        first_bad_position=row.first_bad_position,
        finding=None if row.finding is None else bytes(row.finding).decode("utf-8", "replace"),
        seconds=row.seconds,
    )
