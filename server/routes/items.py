"""GET /items/{id}: one item of the catalogue."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from server import errors
from server.dependencies import DeploymentDep
from server.errors import Problem
from server.schemas import ItemBody, json_response, problems, shown

__all__ = ["router"]

router = APIRouter(tags=["items"], responses=problems(404, 414, 422, 500))


@router.get("/items/{item_id:path}", response_model=ItemBody)
async def get_item(
    item_id: Annotated[str, Path(description="slashes are fine")], deployment: DeploymentDep
) -> Response:
    """Every field of an item, whether or not it is available."""
    row = deployment.items.row_of(item_id)
    if row is None:
        raise Problem(errors.ITEM_NOT_FOUND, f"no item is named {item_id[:256]!r}: ids are case-sensitive")
    return json_response(shown(deployment.items.record(row)))
