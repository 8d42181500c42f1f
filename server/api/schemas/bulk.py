"""What import and export take in their URLs, and what an import answers line by line."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, Field

from server.api.schemas.queries.bounded_lists import MAX_FIELDS, split_names
from server.api.schemas.requests import RequestModel
from server.api.schemas.responses import ProblemBody

__all__ = ["ExportParameters", "ImportLineBody", "ImportParameters"]


class ImportParameters(RequestModel):
    in_url: ClassVar[bool] = True

    action: Annotated[
        Literal["create", "upsert", "update", "emplace"],
        Field(
            description="`create`: new items only; `upsert`: whole items, new or in place of what there was; `update`:"
            " the columns that a line names, of items that are there; `emplace`: as `update`, or a new item"
        ),
    ] = "upsert"
    dry_run: Annotated[bool, Field(description="only checks: the answers are those of an import, nothing changes")] = (
        False
    )


class ExportParameters(RequestModel):
    in_url: ClassVar[bool] = True

    filter: Annotated[
        str | None,
        Field(description='only items that meet this expression, as in `category = "Tents" and price < 200`'),
    ] = None
    fields: Annotated[
        list[str] | None,
        Field(max_length=MAX_FIELDS),
        BeforeValidator(split_names),
        Field(description="columns that are wanted, with commas; `id` always comes"),
    ] = None


class ImportLineBody(BaseModel):
    """Each line has a result or a problem."""

    index: int = Field(description="of the line that this answers, from 0; blank ones do not count")
    id: str | None = None
    result: Literal["inserted", "replaced", "updated", "unchanged"] | None = None
    problem: ProblemBody | None = None
