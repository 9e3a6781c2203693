"""Traces of real processes, received by a real collector's protocol; and nothing of them when nobody asked."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from executor_stub import ExecutorStub
from running_service import running
from servers import PrivateRedis

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
ROOT = Path(__file__).parent.parent.parent
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, PARENT_SPAN = PARENT.split("-")[1:3]


@dataclass
class Collector:
    """What an OTLP collector got: spans by name."""

    port: int = 0
    spans: list[Any] = field(default_factory=list)
    roles: set[str] = field(default_factory=set)

    def named(self, name: str) -> list[Any]:
        return [each for each in list(self.spans) if each.name == name]


@contextmanager
def collecting() -> Iterator[Collector]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    got = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            request = ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
                assert attributes["service.name"] == "orderledger"
                got.roles.add(attributes["orderledger.role"])
                got.spans += [span for scope in resource.scope_spans for span in scope.spans]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    got.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield got
    server.shutdown()
    server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@pytest.mark.timeout(120)
def test_a_trace_goes_from_the_caller_through_the_commit_and_begins_anew_at_the_executor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collecting() as collector, PrivateRedis() as redis, closing(ExecutorStub()) as stub:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        environment = {
            "ORDERLEDGER_DATA": str(tmp_path),
            "ORDERLEDGER_REDIS_URL": redis.url(),
            "ORDERLEDGER_EXECUTOR_ALLOW_PRIVATE": "true",
            "ORDERLEDGER_SWEEP_INTERVAL_S": "1",
        }
        with running(environment) as service:
            client = service.client()
            customer = client.post("/v1/customers", {"name": "王芳"}).body["id"]
            settings = {"executor": "http", "executor_settings": {"url": stub.url}}
            client.post("/v1/products", {"sku": "sms", "name": "x", "unit_price": "0.10", **settings})
            client.post(f"/v1/customers/{customer}/recharges", {"amount": "100.00"})
            order = {"customer_id": customer, "product": "sms", "quantity": 10}
            placed = client.request("POST", "/v1/orders", order, traceparent=PARENT)
            names = ("place_order", "ledger.append", "ledger.wait", "executor.execute", "projection.batch")
            service.wait_until(lambda: all(collector.named(name) for name in names), s_max=30)

            ours = {each.name: each for each in collector.spans if each.trace_id.hex() == TRACE}
            assert set(ours) == {"place_order", "ledger.append", "ledger.wait"}
            assert ours["place_order"].parent_span_id.hex() == PARENT_SPAN
            assert ours["ledger.append"].parent_span_id == ours["place_order"].span_id
            assert ours["ledger.wait"].parent_span_id == ours["ledger.append"].span_id
            found = attributes(ours["place_order"])
            assert (found["http.request.method"], found["http.response.status_code"]) == ("POST", 201)
            (commit,) = [
                each
                for each in collector.named("ledger.commit")
                if ours["ledger.append"].span_id in {link.span_id for link in each.links}
            ]
            assert attributes(commit)["position"] == placed.body["position"]
            executed = collector.named("executor.execute")[0]
            assert attributes(executed)["order_id"] == placed.body["order"]["id"]
            trace, span = stub.calls[0].headers["traceparent"].split("-")[1:3]
            assert (trace, span) == (executed.trace_id.hex(), executed.span_id.hex())
            assert collector.roles == {"api", "agent", "projections"}
            assert "王芳" not in "".join(str(each) for each in collector.spans)


def test_nothing_of_it_is_imported_when_nobody_asked() -> None:
    code = (
        "import sys, orderledger.command_line, api.wsgi, workers.child\n"
        "from ledger import tracing\n"
        "tracing.configure_tracing({'OTEL_SERVICE_NAME': 'x'}, role='api')\n"
        "with tracing.span('x'): tracing.note(name='y')\n"
        "assert tracing.headers() == {} and tracing.here() is None\n"
        # redis-py imports the interfaces by itself, once they are installed.
        "sys.exit(any(name.startswith(('opentelemetry.sdk.trace', 'opentelemetry.exporter')) for name in sys.modules))\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=False).returncode == 0


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
    ],
)
def test_the_standard_variables_decide(variables: dict[str, str], wanted: bool) -> None:
    from ledger.tracing import is_wanted

    assert is_wanted(variables) is wanted
