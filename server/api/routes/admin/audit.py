"""The audit log: who changed what."""

from fastapi import APIRouter, Request, Response

from server.api.dependencies import AuditLogDep, require
from server.api.schemas.admin.audit import AuditBody, AuditParameters
from server.api.schemas.requests import query_of, read_query
from server.api.schemas.responses import fields_of, json_response, problems

__all__ = ["router"]

router = APIRouter(tags=["keys"], dependencies=[require("admin")], responses=problems(403, 422, 500, 503))


@router.get("/admin/audit", response_model=AuditBody, openapi_extra=query_of(AuditParameters))
async def list_changes(request: Request, audit_log: AuditLogDep) -> Response:
    """The latest changes of items, synonyms, models, traffic, keys and users on all servers of one Redis, the newest
    first: about the last 10,000."""
    wanted = read_query(request, AuditParameters)
    page = await audit_log.latest(wanted.limit, wanted.cursor)
    changes = [{"at": int(one.name.partition("-")[0])} | fields_of(one.change) for one in page.changes]
    return json_response({"changes": changes, "next_cursor": page.changes[-1].name if page.more else None})
