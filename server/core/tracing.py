"""Tracing by OpenTelemetry: a span for every request, and spans inside it for what the request waited for.

`TracingMiddleware` begins the request's span and leaves a tracer in its context; `span` begins one inside of it. Where
the operator names no collector there is no middleware and no tracer, and `span` does nothing. Attributes say what a
request cost, never what somebody typed or who they are; of an error only its type is kept, because its text may quote
a request. Log lines carry `trace_id`.

The middleware is not that of opentelemetry-instrumentation-asgi, which puts the URL with its query, the path and the
client's address into every span before a hook could keep them out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

__all__ = ["TracingMiddleware", "otlp_provider", "span"]

EXPORT_SECONDS = 3.0
"""Longest time to send a batch, retries included: a collector that is away delays a shutdown no longer than this."""

QUIET_PATHS = frozenset({"/health/live", "/health/ready", "/metrics"})

_tracer: ContextVar[Tracer | None] = ContextVar("tracer", default=None)
_nothing: AbstractContextManager[None] = nullcontext()


def span(name: str, **attributes: AttributeValue) -> AbstractContextManager[Span | None]:
    """A span inside the request's. An exception that leaves the block marks it as an error, with its type."""
    tracer = _tracer.get()
    return _nothing if tracer is None else _span(tracer, name, attributes)


def otlp_provider(endpoint: str, share: float) -> TracerProvider:
    """A provider that sends spans to an OTLP/HTTP collector, in batches, from a thread.

    endpoint: the collector's address, such as http://127.0.0.1:4318.
    share: of the requests that begin a trace here; those that come with one follow its `sampled` flag.
    """
    # These imports take 0.2 s, which a server without a collector need not spend.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    resource = Resource.create({SERVICE_NAME: "gemserve", SERVICE_VERSION: version("gemserve")})
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(share)), resource=resource)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class TracingMiddleware:
    """ASGI middleware, the outermost: a server span for every request, part of the caller's trace if it names one."""

    def __init__(self, app: ASGIApp, *, provider: TracerProvider) -> None:
        self._app = app
        self._tracer = provider.get_tracer("gemserve", version("gemserve"))
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in QUIET_PATHS:
            await self._app(scope, receive, send)
            return
        parent = self._propagator.extract(Headers(scope=scope), context=Context(), getter=_HeaderGetter())
        status = None

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._tracer.start_as_current_span(
            scope["method"], parent, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as root:
            token = _tracer.set(self._tracer)
            try:
                with structlog.contextvars.bound_contextvars(
                    trace_id=format_trace_id(root.get_span_context().trace_id)
                ):
                    await self._app(scope, receive, watched)
            finally:
                _tracer.reset(token)
                _describe(root, scope, status)


class _HeaderGetter(Getter[Headers]):
    def get(self, carrier: Headers, key: str) -> list[str] | None:
        return carrier.getlist(key) or None

    def keys(self, carrier: Headers) -> list[str]:
        return list(carrier.keys())


@contextmanager
def _span(tracer: Tracer, name: str, attributes: dict[str, AttributeValue]) -> Iterator[Span]:
    named = {f"gemserve.{key}": value for key, value in attributes.items()}
    with tracer.start_as_current_span(
        name, attributes=named, record_exception=False, set_status_on_exception=False
    ) as begun:
        try:
            yield begun
        except Exception as error:
            begun.set_attribute("error.type", type(error).__qualname__)
            begun.set_status(Status(StatusCode.ERROR))
            raise


def _describe(root: Span, scope: Scope, status: int | None) -> None:
    """Gives the span what OpenTelemetry's conventions for HTTP servers ask for, and the request id."""
    state, route = scope.get("state", {}), getattr(scope.get("route"), "path", "unmatched")
    root.update_name(f"{scope['method']} {route}")
    root.set_attributes(
        {
            "http.request.method": scope["method"],
            "http.route": route,
            "gemserve.request_id": state.get("request_id", ""),
            "gemserve.degraded": bool(state.get("degraded", False)),
        }
    )
    if status is not None:
        root.set_attribute("http.response.status_code", status)
    if status is None or status >= 400:
        root.set_attribute("error.type", state.get("code") or str(status))
    if status is None or status >= 500:
        root.set_status(Status(StatusCode.ERROR))
