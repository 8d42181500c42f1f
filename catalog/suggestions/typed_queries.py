"""Queries that several people typed and that led them to items, which a bundle keeps in `typed_queries.json`.

A query is the same in any case, with accents or without, and with other signs between its words; it is shown as most
people wrote it. One that fewer than MIN_PEOPLE people typed is left out, as it may name somebody, and so is one that
looks like an address or a long number.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, ValidationError

from catalog.errors import BundleError
from catalog.suggestions.screen import is_private
from catalog.text.compounds import words_of
from catalog.text.normalization import accentless, nfkc
from catalog.text.query_terms import MIN_PEOPLE

__all__ = ["HALF_LIFE_MS", "MIN_PEOPLE", "TypedQueries", "TypedQuery", "key_of", "shown_form", "weight_at"]

HALF_LIFE_MS = 30 * 24 * 3_600_000
"""A person who typed a query so long ago counts half as much as one of now."""
EPOCH_MS = 1_600_000_000_000
"""The moment whose people weigh 1. All weights fade alike, so that their order needs no clock."""


class TypedQuery(BaseModel):
    """One query.

    text: as most people wrote it, in small letters.
    people: how many different people typed it.
    weight: the sum of what these count, see `weight_at`.
    last: when it was typed last, Unix ms.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(min_length=1)
    people: int = Field(ge=MIN_PEOPLE)
    weight: NonNegativeFloat
    last: NonNegativeInt


@dataclass(slots=True)
class _Count:
    """Of one query how many people wrote it in each form, and the others as in `TypedQuery`."""

    forms: Counter[str] = field(default_factory=Counter)
    weight: float = 0.0
    last: int = 0

    @property
    def people(self) -> int:
        return self.forms.total()


class TypedQueries(BaseModel):
    """The contents of typed_queries.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    queries: tuple[TypedQuery, ...] = ()

    @classmethod
    def of(cls, typed: Iterable[tuple[int, str, int]]) -> TypedQueries:
        """What may be published.

        typed: of every event that a query led to the person's number, the query, and the time in Unix ms; by ascending
            number, as only one person's are kept.

        Raises ValueError for numbers that descend, as somebody could then count twice.
        """
        counts: defaultdict[str, _Count] = defaultdict(_Count)
        key_of_text: dict[str, str] = {}
        before = -1
        for person, own in groupby(typed, key=itemgetter(0)):
            if person < before:
                raise ValueError(f"person {person} comes after person {before}")
            before = person
            last_of: dict[str, int] = {}
            for _, text, at in own:
                key = key_of_text.get(text)
                if key is None:
                    key = key_of_text[text] = "" if is_private(text) else key_of(text)
                if key and key not in last_of:
                    counts[key].forms[shown_form(text)] += 1
                if key:
                    last_of[key] = max(at, last_of.get(key, 0))
            for key, last in last_of.items():
                counts[key].weight += weight_at(last)
                counts[key].last = max(counts[key].last, last)
        return cls(
            queries=tuple(
                TypedQuery(text=commonest(own.forms), people=own.people, weight=own.weight, last=own.last)
                for key, own in sorted(counts.items())
                if own.people >= MIN_PEOPLE
            )
        )

    @classmethod
    def open(cls, path: Path) -> TypedQueries:
        """Raises BundleError for a file that is none."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise BundleError(
                f"{path} holds no queries that people typed, publish the bundle again: {error}"
            ) from error

    def save(self, path: Path) -> None:
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


def key_of(text: str) -> str:
    """What a query is known by: its words without case and accents, with one space between them."""
    return " ".join(accentless(word) for word in words_of(text))


def shown_form(text: str) -> str:
    """A query in small letters, with one space between its parts."""
    return " ".join(nfkc(text).lower().split())


def commonest(forms: Counter[str]) -> str:
    """The form that most people wrote; of equal ones the shortest, then the first by code point."""
    return min(forms, key=lambda form: (-forms[form], len(form), form))


def weight_at(timestamp: int) -> float:
    """What a person counts who typed a query at a time in Unix ms, halved with every HALF_LIFE_MS before another."""
    return float(2.0 ** ((max(timestamp, 0) - EPOCH_MS) / HALF_LIFE_MS))
