"""The schema: the columns of the catalog, and changes of them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from catalog.data.columns.added import TYPES_BY_NAME
from catalog.data.columns.names import RESERVED_NAMES, kept_name
from catalog.facets import RELEVANCE
from catalog.filters.columns import ALIASES
from catalog.nearest import did_you_mean, nearest_name
from server.api.schemas.requests import RequestModel, other_names, schema_of

__all__ = ["MAX_ADDED", "ColumnChange", "SchemaBody", "SchemaChangedBody", "SchemaParameters", "TypeName"]

MAX_ADDED = 100
"""Columns that a catalog has beside those that it was published with."""
MAX_NAME_LENGTH = 100
TypeName = Literal["string", "bool", "int64", "uint64", "float", "string[]", "date", "datetime", "datetime_utc"]


class ColumnChange(RequestModel):
    """A column to add, with its type, or to drop."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH, examples=["colour"])]
    type: Annotated[str | None, Field(description=f"one of {', '.join(TYPES_BY_NAME)}", examples=["string"])] = None
    drop: Annotated[bool, Field(strict=True, description="take it away; it has to be empty")] = False

    @model_validator(mode="after")
    def _is_possible(self) -> "ColumnChange":
        if self.drop:
            if self.type is not None:
                raise _fault("type", "type_of_dropped", "a column that is dropped needs no type: leave it out")
            return self
        if self.type is None:
            raise _fault("type", "missing", f"give one of {', '.join(TYPES_BY_NAME)}, or `drop: true`")
        if self.type not in TYPES_BY_NAME:
            near = did_you_mean(nearest_name(self.type, TYPES_BY_NAME))
            raise _fault("type", "unknown_type", f"is no type{near}: the types are {', '.join(TYPES_BY_NAME)}")
        if self.name in (*ALIASES, RELEVANCE) or self.name in RESERVED_NAMES:
            raise _fault("name", "reserved_name", "means something else in requests or answers: take another name")
        if kept_name(self.name, (), RESERVED_NAMES) != self.name:
            text = "has characters that a request cannot name it by (commas, controls, spaces at an end, @ first)"
            raise _fault("name", "unusable_name", f"{text}: take another name")
        return self


class SchemaParameters(RequestModel):
    columns: Annotated[
        list[Annotated[ColumnChange, WithJsonSchema(schema_of(ColumnChange))]],
        Field(
            min_length=1,
            max_length=MAX_ADDED,
            description="what to add and to drop, all or none",
            json_schema_extra=other_names("fields"),
            examples=[[{"name": "colour", "type": "string"}]],
        ),
    ]

    @model_validator(mode="after")
    def _are_different(self) -> "SchemaParameters":
        names = [column.name for column in self.columns]
        for place, name in enumerate(names):
            if name in names[:place]:
                text = f"is named by columns.{names.index(name)} too: give each column once"
                raise _fault(f"columns.{place}.name", "repeated_column", text)
        return self


class ColumnBody(BaseModel):
    name: str
    type: TypeName
    nullable: bool
    filterable: bool
    facetable: bool
    sortable: bool
    added: bool = Field(description="it came while the catalog served, so that the model has not read it")
    values: int = Field(description="items that have one; of lists, that have one which is not empty")


class SchemaBody(BaseModel):
    columns: list[ColumnBody]
    items: int = Field(description="that are in the catalog, available or not")
    model: str
    catalog_version: int


class SchemaChangedBody(SchemaBody):
    request_id: str
    added_columns: list[str]
    dropped_columns: list[str]


def _fault(field: str, code: str, message: str) -> PydanticCustomError:
    return PydanticCustomError(code, "{message}", {"field": field, "message": message})
