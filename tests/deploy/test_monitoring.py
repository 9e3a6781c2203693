"""The Grafana dashboard and the alert rules: of metrics that exist, in queries that Prometheus understands, tested by it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from directory_front import open_front

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "orderledger.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
METRIC = re.compile(r"\b(?:orderledger|process)_[a-z_]+\b")

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed; on Debian: apt-get install prometheus"
)


def documented() -> set[str]:
    """Return the names of all samples, those of histograms with their endings."""
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \|", text, re.MULTILINE)
    histograms = {f"{name}_{end}" for name, kind in rows if kind == "histogram" for end in ("bucket", "sum", "count")}
    return (
        {name for name, kind in rows if kind != "histogram"}
        | histograms
        | set(re.findall(r"`(process_[a-z_]+)`", text))
    )


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return found


def queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel.get("targets", ())]


@pytest.mark.docs
def test_the_dashboard_and_the_alerts_ask_for_metrics_that_exist() -> None:
    asked = set(METRIC.findall(" ".join([*queries(), ALERTS.read_text("utf-8")])))

    assert asked - documented() == set()
    shown = {re.sub("_(bucket|sum|count)$", "", name) for name in METRIC.findall(" ".join(queries()))}
    ours = {re.sub("_(bucket|sum|count)$", "", name) for name in documented() if name.startswith("orderledger_")}
    assert ours - shown == set(), "every metric of ours has its place on the dashboard"


@pytest.mark.docs
def test_the_dashboard_is_one_that_grafana_loads() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))

    (variable,) = dashboard["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    assert dashboard["schemaVersion"] >= 38 and "id" not in dashboard
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@needs_promtool
def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    plain = [each.replace("$__rate_interval", "5m").replace("$__range", "6h") for each in queries()]
    rules = [{"record": f"q:{number}", "expr": each} for number, each in enumerate(plain)]
    written = tmp_path / "queries.yaml"
    # JSON is YAML.
    written.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))

    done = subprocess.run(["promtool", "check", "rules", str(written)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_every_alert_fires_when_it_should_and_not_before() -> None:
    folder = ALERTS.parent
    alerts = set(re.findall(r"- alert: (\w+)", ALERTS.read_text("utf-8")))
    tested = set(re.findall(r"^  - name: (\w+)$", (folder / "alerts_test.yaml").read_text("utf-8"), re.MULTILINE))

    done = subprocess.run(
        ["promtool", "test", "rules", "alerts_test.yaml"], cwd=folder, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert alerts == tested


@pytest.mark.docs
def test_every_alert_says_what_to_do_about_it() -> None:
    text = ALERTS.read_text("utf-8")

    assert text.count("- alert:") == text.count("summary:") == text.count("mend:") == text.count("severity:")
    for document in re.findall(r"docs/[a-z-]+\.md", text):
        assert (ROOT / document).exists()


@needs_promtool
def test_what_a_scrape_gets_is_as_prometheus_wants_it(sqlite_ledger_url: str, redis_url: str) -> None:
    front = open_front(sqlite_ledger_url, redis_url)
    front.create("customers")
    text = front.app.test_client().get("/metrics").text

    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
