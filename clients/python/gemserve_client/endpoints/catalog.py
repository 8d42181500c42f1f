"""The catalog: its items and its columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gemserve_client import responses
from gemserve_client.endpoints.call import Call, quoted, reading
from gemserve_client.responses import Item
from gemserve_client.values.plain import plain, plain_list, plain_record

__all__ = ["delete_item", "item", "patch_item", "patch_schema", "put_item", "put_items", "schema"]


def item(item_id: str | int) -> Call[Item]:
    """An item of the catalog, whether or not it is available."""
    return Call("GET", f"/items/{quoted(item_id, 'item_id')}", reading(Item))


def put_item(item_id: str | int, record: Mapping[str, Any]) -> Call[responses.Change]:
    """Writes a whole item, new or in place of the one there was: what the record leaves out is null."""
    return Call(
        "PUT", f"/items/{quoted(item_id, 'item_id')}", reading(responses.Change), body=plain_record(record, "record")
    )


def patch_item(item_id: str | int, changes: Mapping[str, Any]) -> Call[responses.Change]:
    """Changes the named columns of an item, and clears those that are None; the others stay as they are."""
    return Call(
        "PATCH",
        f"/items/{quoted(item_id, 'item_id')}",
        reading(responses.Change),
        body=plain_record(changes, "changes"),
    )


def put_items(records: Iterable[Mapping[str, Any]]) -> Call[responses.Change]:
    """Writes 1 to 1,000 whole items, each with its `id`: all of them or, if one is not acceptable, none."""
    return Call("POST", "/items", reading(responses.Change), body=plain_list(records, "records", plain_record))


def delete_item(item_id: str | int) -> Call[responses.Change]:
    """Takes an item out of all answers. Raises NotFound also where a first attempt did it and its answer got lost."""
    return Call("DELETE", f"/items/{quoted(item_id, 'item_id')}", reading(responses.Change))


def schema() -> Call[responses.Schema]:
    """The columns of the catalog, and how many items have a value in each."""
    return Call("GET", "/schema", reading(responses.Schema))


def patch_schema(*, add: Mapping[str, str] | None = None, drop: Iterable[str] = ()) -> Call[responses.SchemaChanged]:
    """Gives the catalog further columns, which count at once, and takes empty ones of these away: all or none.

    add: types by name, such as `{"fragile": "bool"}`. Raises ApiError with the code `column_conflict` where a column
    cannot be changed so; of one to drop also where a first attempt dropped it and its answer got lost.
    """
    added = [{"name": name, "type": plain(kind, "add")} for name, kind in plain_record(add or {}, "add").items()]
    dropped = [{"name": name, "drop": True} for name in plain_list(drop, "drop", plain)]
    return Call("PATCH", "/schema", reading(responses.SchemaChanged), body={"columns": added + dropped})
