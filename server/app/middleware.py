"""What surrounds the routes: every request passes through it on the way in, and every answer on the way out."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from server.api.transport.audit import AuditMiddleware
from server.api.transport.compression import CompressionMiddleware
from server.api.transport.head import HeadMiddleware
from server.api.transport.middleware import REQUEST_ID, ProblemMiddleware, RequestContextMiddleware
from server.api.transport.request_body import RequestBodyMiddleware
from server.core.settings import Settings

__all__ = ["surround"]


def surround(app: FastAPI, settings: Settings) -> None:
    """Adds the middleware, the innermost first."""
    app.add_middleware(HeadMiddleware)
    app.add_middleware(AuditMiddleware)
    imports = dict.fromkeys(("/items/import", "/synonyms/import", "/overrides/import"), settings.max_import_bytes)
    larger = {"/batch": settings.max_batch_bytes} | imports
    app.add_middleware(RequestBodyMiddleware, max_bytes=settings.max_body_bytes, max_bytes_at=larger)
    app.add_middleware(ProblemMiddleware)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-API-Key", REQUEST_ID],
            expose_headers=[REQUEST_ID, "Retry-After"],
        )
    app.add_middleware(CompressionMiddleware)
    app.add_middleware(RequestContextMiddleware)
