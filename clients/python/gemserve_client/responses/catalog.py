"""The catalog's columns, and what became of items that were changed."""

from __future__ import annotations

from dataclasses import dataclass

from gemserve_client.responses.body import Body

__all__ = ["Change", "Column", "Schema", "SchemaChanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Body):
    """What became of items: every id is in one of the lists."""

    request_id: str
    inserted: tuple[str, ...]
    replaced: tuple[str, ...]
    deleted: tuple[str, ...]
    missing: tuple[str, ...]
    catalog_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Body):
    """A column of the catalog. `added`: it came while the catalog served; `values`: items that have one."""

    name: str
    type: str
    nullable: bool
    filterable: bool
    facetable: bool
    sortable: bool
    added: bool
    values: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema(Body):
    """The columns of the catalog. `items`: how many there are, available or not."""

    columns: tuple[Column, ...]
    items: int
    model: str
    catalog_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChanged(Schema):
    """The columns after a change, and the names of those that it added and dropped."""

    request_id: str
    added_columns: tuple[str, ...]
    dropped_columns: tuple[str, ...]
