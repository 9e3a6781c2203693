"""The executor over HTTP: the protocol that outside systems implement to fulfil orders; docs/executor-protocol.md.

Repeats of a call carry the identical key and body. With a secret every call is signed as Standard Webhooks describes,
with the id of the order (and what is asked) as the message's id. Source: https://www.standardwebhooks.com.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ledger import tracing
from ledger.codec import canonical_json
from ledger.executor_settings import HTTP, secret_bytes, validate_settings
from workers.executors.addresses import AddressRefused
from workers.executors.answers import cancellation_report, enquiry_report, execution_report
from workers.executors.call import Answer, NoAnswer, Request, call
from workers.executors.connections import Connections
from workers.executors.protocol import CancelReport, ExecuteReport, ExecutorOrder, Unknown, UnusableExecutor
from workers.signatures import signature_headers


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpExecutor:
    """Calls `url`, each call within `timeout_s`; `key` signs the calls."""

    url: str
    timeout_s: float
    key: bytes | None
    allow_private: bool
    connections: Connections = field(default_factory=Connections, compare=False, repr=False)

    def execute(self, order: ExecutorOrder, timeout_s: float) -> ExecuteReport:
        """POST url: execute, or repeat."""
        body = canonical_json(order.body())
        answer = self._call(
            order, "POST", self.url, order.order_id, timeout_s, body=body, idempotency_key=order.order_id
        )
        return answer if isinstance(answer, Unknown) else execution_report(answer, order)

    def enquire(self, order: ExecutorOrder, timeout_s: float) -> ExecuteReport:
        """GET url/<order id>."""
        answer = self._call(order, "GET", f"{self.url}/{order.order_id}", f"{order.order_id}-enquiry", timeout_s)
        return answer if isinstance(answer, Unknown) else enquiry_report(answer, order)

    def cancel(self, order: ExecutorOrder, timeout_s: float) -> CancelReport:
        """POST url/<order id>/cancellation."""
        body = canonical_json({"order_id": order.order_id})
        key = f"{order.order_id}-cancellation"
        answer = self._call(
            order, "POST", f"{self.url}/{order.order_id}/cancellation", key, timeout_s, body=body, idempotency_key=key
        )
        return answer if isinstance(answer, Unknown) else cancellation_report(answer, order)

    def _call(
        self,
        order: ExecutorOrder,
        method: str,
        url: str,
        message_id: str,
        timeout_s: float,
        *,
        body: bytes | None = None,
        idempotency_key: str | None = None,
    ) -> Answer | Unknown:
        headers = (
            {} if idempotency_key is None else {"Idempotency-Key": idempotency_key, "Content-Type": "application/json"}
        )
        if order.correlation_id:
            headers["X-Request-Id"] = order.correlation_id
        headers |= tracing.headers()
        if self.key is not None:
            headers |= signature_headers([self.key], message_id, body or b"")
        request = Request(method=method, url=url, headers=headers, body=body)
        try:
            return call(
                request,
                timeout_s=min(timeout_s, self.timeout_s),
                allow_private=self.allow_private,
                connections=self.connections,
            )
        except NoAnswer as error:
            return Unknown(code=f"executor-{error.problem}")
        except AddressRefused:
            raise UnusableExecutor("the executor's address is private") from None


def open_http(settings: Mapping[str, Any], *, timeout_s: float, call_s_max: float, allow_private: bool) -> HttpExecutor:
    """Open the executor with a product's settings. Raises UnusableExecutor."""
    errors = validate_settings(HTTP, settings)
    if errors:
        raise UnusableExecutor(f"executor_settings{errors[0].pointer}: {errors[0].message}")
    return HttpExecutor(
        url=settings["url"].rstrip("/"),
        timeout_s=min(float(settings.get("timeout_s", timeout_s)), call_s_max),
        key=secret_bytes(settings["secret"]) if "secret" in settings else None,
        allow_private=allow_private,
    )
