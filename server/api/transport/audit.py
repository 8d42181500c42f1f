"""Keeps a log of the changes that people make over HTTP: who made which, when, and what became of it."""

from __future__ import annotations

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalog.data.tombstones import digest_of
from server.core.errors import HistoryUnavailable
from server.storage.protocol import AuditLog, ChangeMade

__all__ = ["AuditMiddleware"]

EVENTS = "/events"  # customers send them, and the event log keeps them
USERS = "/users/"
log = structlog.get_logger(__name__)


class AuditMiddleware:
    """Notes every change that was carried out, before its answer ends: of items, synonyms, models, keys and whatever
    else needs the scope admin, and of users.

    A line of the server's own log has it in any case; the audit log too where Redis is there.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self._app(scope, receive, send)
            return

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400 and _is_change(scope):
                await _note(scope, message["status"])
            await send(message)

        await self._app(scope, receive, send_noted)


def _is_change(scope: Scope) -> bool:
    needed = scope["state"].get("scope")
    if scope["state"].get("only_checks"):
        return False
    return bool(needed == "admin" or (needed == "write" and scope["route"].path_format != EVENTS))


async def _note(scope: Scope, status: int) -> None:
    change = _change_of(scope, status)
    log.info(
        "change",
        method=change.method,
        route=change.route,
        target=change.target,
        key=change.key,
        key_name=change.key_name,
        address=change.address,
        status=status,
    )
    audit_log: AuditLog = scope["app"].state.parts.audit_log
    try:
        await audit_log.add(change)
    except HistoryUnavailable as error:
        log.warning("change_not_in_audit_log", error=str(error))


def _change_of(scope: Scope, status: int) -> ChangeMade:
    state, route = scope["state"], scope["route"].path_format
    key, client = state["admission"].key, scope.get("client")
    target = {name: str(value) for name, value in scope.get("path_params", {}).items()}
    if route.startswith(USERS):
        target = {name: digest_of(value) for name, value in target.items()}
    return ChangeMade(
        request_id=state["request_id"],
        key=None if key is None else key.id,
        key_name=None if key is None else key.name,
        address=client[0] if client else "",
        method=scope["method"],
        route=route,
        target=target,
        status=status,
    )
