"""Items, and what became of changes to them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MAX_ITEMS", "ChangeBody", "ItemBody", "shown"]

MAX_ITEMS = 1_000  # of one POST /items


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
