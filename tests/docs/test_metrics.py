"""Every metric is documented with its type and labels, and nothing else is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client import Metric

import api.figures
import projections.figures
import workers.figures
from api.metrics import Metrics, shared
from directory_front import Front, open_front
from ledger.audit.findings import Report
from ledger.audit.recording import record
from ledger.figures import REGISTRY

pytestmark = pytest.mark.docs
DOCS = Path(__file__).parent.parent.parent / "docs"
COUNTING = (api.figures, projections.figures, workers.figures)
"""Modules whose figures are there once they are imported."""


@pytest.fixture
def front(sqlite_ledger_url: str, redis_url: str) -> Front:
    return open_front(sqlite_ledger_url, redis_url)


def names(families: Iterable[Metric]) -> set[tuple[str, str]]:
    return {
        (each.name + ("_total" if each.type == "counter" else ""), each.type)
        for each in families
        if each.name.startswith("orderledger_")
    }


def test_every_metric_is_documented_with_its_type(front: Front) -> None:
    assert COUNTING
    record(
        front.services.engine,
        Report(status="clean", events=0, first_bad_position=None, finding=None, checked=(), seconds=0),
    )
    counted = [each for registry in (Metrics().registry, REGISTRY) for each in registry.collect()]

    listed = re.findall(
        r"^\| `(orderledger_[a-z_]+)` \| (\w+) \|", (DOCS / "metrics.md").read_text("utf-8"), re.MULTILINE
    )

    assert len(listed) == len(set(listed))
    assert set(listed) == names([*counted, *shared(front.services)])
