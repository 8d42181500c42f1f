"""Items, and what became of changes to them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from catalog.data.changes import shortened
from server.api.schemas.types import Identifier
from server.core import errors
from server.core.errors import Problem

__all__ = [
    "MAX_ITEMS",
    "ChangeBody",
    "ItemBody",
    "check_new_id",
    "item_record",
    "shown",
]

MAX_ITEMS = 1_000  # of one POST /items
ID: TypeAdapter[str] = TypeAdapter(Identifier)


class ItemBody(BaseModel):
    """An item with every further column of the catalog."""

    model_config = ConfigDict(extra="allow")

    id: str
    title: str | None
    description: str | None
    brand: str | None
    categories: list[str] | None
    price: float | None
    available: bool


class ChangeBody(BaseModel):
    """What became of items: every id is in one of the lists."""

    request_id: str
    inserted: list[str]
    replaced: list[str]
    deleted: list[str]
    missing: list[str] = Field(description="to be deleted, but not in the catalog")
    catalog_version: int


def shown(record: dict[str, Any], merits: dict[str, Any] | None = None) -> dict[str, Any]:
    """A catalog record, or some columns of it, as clients see it: `id` and `title` first, then what an answer says of
    the item, then every other column."""
    item: dict[str, Any] = {"id": record["item_id"]}
    if "title" in record:
        item["title"] = record["title"]
    if merits is not None:
        item |= merits
    for name, value in record.items():
        if name not in item and name != "item_id":
            item[name] = value
    return item


def item_record(row: object, *, what: str, whole: str = "the body") -> dict[str, Any]:
    """With the identifier under the name that files give it, `item_id`; clients may call it `id`."""
    if not isinstance(row, dict):
        raise Problem(errors.INVALID_CHANGE, f"{whole} is a JSON object, {what}")
    renamed = {"item_id" if name == "id" else name: value for name, value in row.items()}
    if len(renamed) < len(row):
        raise Problem(errors.INVALID_CHANGE, "an item has `id` or `item_id`, not both")
    return renamed


def check_new_id(item_id: object, whose: str = "the item") -> str:
    """An id by which every route knows the item. Raises Problem for any other."""
    try:
        return ID.validate_python(item_id)
    except ValidationError as error:
        detail = f"{whose} has the id {shortened(item_id)}, which {error.errors()[0]['msg']}"
        raise Problem(errors.INVALID_CHANGE, detail) from error
