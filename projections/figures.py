"""What keeping read models counts."""

from __future__ import annotations

from ledger.figures import counter, histogram

APPLIED = counter("projection_events_applied", "events applied to a read model, rebuilds included", "projection")
APPLY_S = histogram("projection_apply_seconds", "time of Redis to apply one batch", "projection")
REBUILT = counter("projection_rebuilds", "read models made again and switched to", "projection")
STOPPED = counter("projection_stops", "times a read model met an event that it cannot apply", "projection")
