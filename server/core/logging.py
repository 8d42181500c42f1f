"""Structured logs: one JSON object a line on standard output, with the request's id during a request.

Non-ASCII and control characters are escaped, so nothing that a client sent can forge or hide a line. Queries, users and
items are never logged, and of an API key only its id.
"""

import contextlib
import logging
import sys

import structlog

__all__ = ["configure_logging"]


class Lines:
    """Writes lines to standard output. Where it is full or closed the line is lost, and the request goes on."""

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError):
            print(line, flush=True)

    debug = info = warning = error = critical = exception = msg


def configure_logging(level: str) -> None:
    """Sends structlog's and the standard library's records (uvicorn, redis, asyncio) to standard output, as JSON."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    render = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: Lines(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for chatty in ("uvicorn.error", "asyncio", "vllm"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
