"""How lists of synonyms and overrides are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, ClassVar, TypeVar

from pydantic import Field

from server.api.schemas.requests import RequestModel
from server.api.schemas.responses import page_of_names
from server.api.schemas.types import Identifier, QueryText, WholeNumber

__all__ = ["ListParameters", "found_by", "page_of"]

Entry = TypeVar("Entry")


class ListParameters(RequestModel):
    in_url: ClassVar[bool] = True

    limit: Annotated[WholeNumber, Field(ge=1, le=1_000, description="how many, by their ids")] = 50
    cursor: Annotated[Identifier | None, Field(description="`next_cursor` of the page before")] = None
    q: Annotated[
        QueryText | None,
        Field(description="only those that have these letters in their id or in what they are about, in any case"),
    ] = None


def page_of(
    entries: Mapping[str, Entry], wanted: ListParameters, texts: Callable[[Entry], Iterable[str]]
) -> tuple[list[Entry], int, str | None]:
    """A page of entries, how many there are on all pages, and the cursor of the next page. For threads.

    texts: of an entry, in which `q` is looked for.
    """
    if wanted.q is not None:
        entries = found_by(wanted.q, entries, texts)
    names, next_cursor = page_of_names(entries, wanted.limit, wanted.cursor)
    return [entries[name] for name in names], len(entries), next_cursor


def found_by(letters: str, entries: Mapping[str, Entry], texts: Callable[[Entry], Iterable[str]]) -> dict[str, Entry]:
    """Those that have letters in one of their texts, in any case."""
    wanted = letters.strip().casefold()
    return {name: one for name, one in entries.items() if any(wanted in text.casefold() for text in texts(one))}
