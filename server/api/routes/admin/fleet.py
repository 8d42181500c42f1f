"""The fleet: what its servers serve together, and who they are."""

from fastapi import APIRouter, Response

from server.api.dependencies import ModelsDep, require
from server.api.schemas.admin.fleet import FleetBody, fleet_body
from server.api.schemas.requests import no_parameters
from server.api.schemas.responses import json_response, problems
from server.core import errors
from server.core.errors import Problem
from server.serving.fleet import Fleet

__all__ = ["router"]

router = APIRouter(
    tags=["models"], dependencies=[require("admin"), no_parameters()], responses=problems(403, 409, 422, 500, 503)
)


@router.get("/admin/fleet", response_model=FleetBody)
async def get_fleet(models: ModelsDep) -> Response:
    """What the servers of `--fleet` serve, the change that is under way, and each of them; as Redis has it now."""
    if not isinstance(models, Fleet):
        raise Problem(errors.NO_FLEET, "this server is in no fleet: start it with --fleet NAME")
    return json_response(fleet_body(models, await models.member.look()))
