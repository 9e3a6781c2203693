"""Traces by OpenTelemetry, when its own variables ask for them: nothing of it is imported here otherwise.

A request's trace goes on in its wait for the commit; the commit of a group is a trace of its own that links to every
command's. The log keeps no trace: what follows from an event later (a read model, a call to an executor) begins a new
one and names the position or the order. Packages: the extra ``otel``. Source: W3C Trace Context.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from ledger.errors import BadSetting

NAME = "orderledger"
LINKS_MAX = 128
"""Commands of a group that its span links to."""
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NOTHING: AbstractContextManager[None] = nullcontext()
_tracer: Any = None


def is_on() -> bool:
    """Say whether this process traces."""
    return _tracer is not None


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Say whether OpenTelemetry's variables ask for traces: an endpoint of OTLP, or the exporter by name."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter == "none":
        return False
    return exporter == "otlp" or any(environment.get(name) for name in _ENDPOINTS)


def configure_tracing(environment: Mapping[str, str], *, role: str) -> None:
    """Trace this process if that is wanted. Raises BadSetting when the packages are missing.

    Spans leave in batches on a thread of the SDK's, and are dropped when the collector is away.
    """
    global _tracer
    if not is_wanted(environment) or is_on():
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise BadSetting(
            variable="OTEL_EXPORTER_OTLP_ENDPOINT", problem="needs packages: pip install 'orderledger[otel]'"
        ) from None
    named = {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": NAME}
    resource = Resource.create({**named, "orderledger.role": role})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer(NAME)


def span(
    name: str, *, kind: str = "internal", parent: Mapping[str, str] | None = None, **attributes: Any
) -> AbstractContextManager[Any]:
    """Let what is done within be a span; `parent` are headers that may have a traceparent, `kind` is as OTLP names it."""
    return _NOTHING if _tracer is None else _span(name, kind, parent, attributes)


@contextmanager
def _span(name: str, kind: str, parent: Mapping[str, str] | None, attributes: Mapping[str, Any]) -> Iterator[Any]:
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = None if parent is None else TraceContextTextMapPropagator().extract(dict(parent))
    with _tracer.start_as_current_span(
        name,
        context,
        kind=SpanKind[kind.upper()],
        attributes=_plain(attributes),
        # A message may quote what somebody typed.
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except BaseException as error:
            made.set_attribute("error.type", type(error).__qualname__)
            made.set_status(Status(StatusCode.ERROR))
            raise


def note(**attributes: Any) -> None:
    """Add attributes to the span that is under way; `name` names it anew."""
    if _tracer is None:
        return
    from opentelemetry.trace import get_current_span

    current = get_current_span()
    name = attributes.pop("name", None)
    if name is not None:
        current.update_name(name)
    current.set_attributes(_plain(attributes))


def here() -> Any:
    """Return the context of the span that is under way, to be named by others; None without traces."""
    if _tracer is None:
        return None
    from opentelemetry.trace import get_current_span

    return get_current_span().get_span_context()


def headers() -> dict[str, str]:
    """Return the headers that let another service go on with this trace."""
    carrier: dict[str, str] = {}
    if _tracer is not None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(carrier)
    return carrier


def tell_commit(waits: Sequence[tuple[Any, float]], taken_at_s: float, **attributes: Any) -> None:
    """Tell of a group that was committed just now.

    `waits` are its commands' contexts (`here`) and when each came; times are of the monotonic clock.
    """
    if _tracer is None:
        return
    from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, set_span_in_context

    offset_s = time.time() - time.monotonic()

    def ns(at_s: float) -> int:
        return int((at_s + offset_s) * 1_000_000_000)

    known = [(context, came_at_s) for context, came_at_s in waits if context is not None and context.is_valid][
        :LINKS_MAX
    ]
    links = [Link(context) for context, _ in known]
    made = _tracer.start_span(
        "ledger.commit", kind=SpanKind.INTERNAL, links=links, start_time=ns(taken_at_s), attributes=_plain(attributes)
    )
    made.end()
    for context, came_at_s in known:
        wait = _tracer.start_span(
            "ledger.wait",
            set_span_in_context(NonRecordingSpan(context)),
            links=[Link(made.get_span_context())],
            start_time=ns(min(came_at_s, taken_at_s)),
        )
        wait.end(ns(taken_at_s))


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes in OpenTelemetry's spelling: two underscores are a dot; None is left out."""
    return {name.replace("__", "."): value for name, value in attributes.items() if value is not None}
