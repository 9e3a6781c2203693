"""The HTTP API beside what people usually write, and beside the same server that only validates."""

from __future__ import annotations

from bench.http.cells import HttpCell
from bench.http.streams import StreamCell
from bench.method import Cell

CONNECTIONS = (1, 16, 64, 128)
WAYS = ("ledger", "validation", "django")
WAYS_OF_AIM = ("ledger", "validation", "flask", "django", "orm")
BATCH_CONNECTIONS = 4


def cells() -> list[Cell]:
    """Return the loads, the lightest first."""
    single = [
        HttpCell(
            name=f"HTTP post, {_count(connections)}",
            ways=WAYS_OF_AIM if connections == 64 else WAYS,
            connections=connections,
            in_quick=connections == 64,
        )
        for connections in CONNECTIONS
    ]
    mixed = HttpCell(name="HTTP mixed commands, 64 connections", ways=("ledger",), kind="mixed", connections=64)
    batches = [
        HttpCell(
            name=f"HTTP batch of {size:,}, {BATCH_CONNECTIONS} connections",
            ways=("ledger", "orm", "raw") if size == 1_000 else ("ledger", "orm"),
            in_quick=size == 1_000,
            kind="batch",
            size=size,
            connections=BATCH_CONNECTIONS,
        )
        for size in (100, 1_000, 8_000)
    ]
    streams = [
        StreamCell(name=f"HTTP stream of {size:,} (NDJSON)", kind="ndjson", commands=size) for size in (10_000, 100_000)
    ]
    imports = [
        StreamCell(name="import of 100,000 lines", kind="import", commands=100_000, quick_commands=20_000),
        StreamCell(name="import of 1,000,000 lines", kind="import", commands=1_000_000),
    ]
    return [*single, mixed, *batches, *streams, *imports]


def _count(connections: int) -> str:
    return "1 connection" if connections == 1 else f"{connections} connections"
