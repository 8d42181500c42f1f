"""Synonyms as they are written and shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, Field

from catalog.priors.words import MAX_SYNONYMS, SynonymSet, fault_of
from server.api.schemas.requests import RequestModel
from server.core import errors

__all__ = [
    "SynonymParameters",
    "SynonymSetBody",
    "SynonymsBody",
    "SynonymsDeletedBody",
    "SynonymsWrittenBody",
    "shown_synonyms",
    "texts_of_synonyms",
]


class SynonymParameters(RequestModel):
    synonyms: Annotated[
        list[str],
        Field(
            min_length=1,
            max_length=MAX_SYNONYMS,
            description="words and phrases: 1 to 100 characters and at most five words each",
            examples=[["sofa", "couch"]],
        ),
    ]
    root: Annotated[
        str | None, Field(description="where given, it alone is also read as the others, and none of them as it")
    ] = None

    def synonym_set(self, set_id: str) -> SynonymSet:
        """Raises Problem for words that cannot be synonyms."""
        phrases = self.synonyms if self.root is None else [self.root, *self.synonyms]
        if (fault := fault_of(phrases)) is not None:
            place, code, message = fault
            names = [] if self.root is None else ["root"]
            names += [f"synonyms.{number}" for number in range(len(self.synonyms))]
            raise errors.invalid_parameter(names[place], code, message)
        if len(phrases) < 2:
            message = "has one word, which is like none: give two or more, or one and a `root`"
            raise errors.invalid_parameter("synonyms", "too_short", message)
        return SynonymSet(set_id, tuple(self.synonyms), self.root)


class SynonymSetBody(BaseModel):
    id: str
    synonyms: list[str]
    root: str | None = Field(description="null: each is also read as the others")


class SynonymsBody(BaseModel):
    synonyms: list[SynonymSetBody]
    total: int
    next_cursor: str | None = Field(description="for the sets behind these; null where there are none")


class SynonymsWrittenBody(SynonymSetBody):
    request_id: str
    created: bool = Field(description="false: it took the place of another set")


class SynonymsDeletedBody(BaseModel):
    request_id: str
    id: str


def shown_synonyms(one: SynonymSet) -> dict[str, Any]:
    """The shape of SynonymSetBody."""
    return {"id": one.id, "synonyms": list(one.synonyms), "root": one.root}


def texts_of_synonyms(one: SynonymSet) -> Iterator[str]:
    """In which a search of the list looks."""
    yield one.id
    yield from one.synonyms
    if one.root is not None:
        yield one.root
