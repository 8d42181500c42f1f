"""Which words of a query an item has, and where its texts have them, so that a page can highlight them.

Words match as they do in the search: stemmed, without case and accents, as what a slip or a beginning was read as.
Texts are looked at piece by piece, because a word that was found must lead back to the letters that stand in the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.priors.words.index import folded
from catalog.priors.words.places import TextPlaces, pieces
from catalog.text.prompts import MAX_TEXT_CHARACTERS

__all__ = ["TEXT_COLUMNS", "Match", "matches", "unknown_characters"]

TEXT_COLUMNS = ("title", "brand", "categories", "description")
MAX_CHARACTERS = 60_000
"""Characters of all items of an answer together that are looked at; each item has an equal share."""
MAX_MATCHES = 24
"""Places of an item that are told; beyond them only words that it has nowhere before."""


@dataclass(frozen=True, slots=True)
class Match:
    """A word of a query in a text of an item.

    word: as it was typed.
    field: the column, `id` for the item's own.
    start, end: where the word stands, in code points; the end is behind it.
    index: which of the column's texts, where it has several.
    """

    word: str
    field: str
    start: int
    end: int
    index: int | None = None


def matches(
    query: str, readings: Sequence[Mapping[str, float]], records: Sequence[Mapping[str, Any]], places: TextPlaces
) -> list[list[Match]]:
    """The matches of each record, by column, in the order in which they stand.

    readings: of each word of the query, as `Readings.of` gives them.
    records: items, with `item_id` and what they have of TEXT_COLUMNS.
    """
    word_of = _typed_words(query, readings, places)
    wanted, whole = query.strip(), folded(query)
    budget = _budget(records)
    found = []
    for record in records:
        item_id = str(record["item_id"])
        own = [Match(wanted, "id", 0, len(item_id))] if whole and folded(item_id) == whole else []
        found.append(own + _bounded(_places(record, budget, word_of, places)) if word_of else own)
    return found


def unknown_characters(records: Sequence[Mapping[str, Any]], places: TextPlaces) -> int:
    """How many characters `matches` has yet to look at to know where the words of these records stand."""
    budget = _budget(records)
    return places.unknown([text for record in records for _, _, text in _texts(record, budget)])


def _budget(records: Sequence[Mapping[str, Any]]) -> int:
    """Characters of each record that are looked at."""
    return MAX_CHARACTERS // max(len(records), 1)


def _typed_words(query: str, readings: Sequence[Mapping[str, float]], places: TextPlaces) -> Mapping[str, str]:
    """The word of a query, as it was typed, that each reading is one of.

    A reading of several words is one of that which it is surest of.
    """
    parts = [piece[0] for piece in pieces(query)]
    typed = {stem: piece for piece in reversed(parts) for stem in places.stems(piece)}
    sure: dict[str, tuple[float, str]] = {}
    for of_word in readings:
        first = max(of_word, key=lambda reading: of_word[reading], default="")
        for reading, how_sure in of_word.items():
            if how_sure > sure.get(reading, (0.0, ""))[0]:
                sure[reading] = how_sure, typed.get(first, first)
    return {reading: word for reading, (_, word) in sure.items()}


def _places(
    record: Mapping[str, Any], budget: int, word_of: Mapping[str, str], places: TextPlaces
) -> Iterator[tuple[str, str, int, int, int | None]]:
    """The fields of the matches of one record, in so many characters."""
    for field, index, text in _texts(record, budget):
        for begin, end, word in places.of(text).find(word_of):
            yield word, field, begin, end, index


def _texts(record: Mapping[str, Any], budget: int) -> Iterator[tuple[str, int | None, str]]:
    """The texts of an item, no more of them than so many characters: the column, which text of it, and the text."""
    for field in TEXT_COLUMNS:
        value = record.get(field)
        texts = value if isinstance(value, list) else [value]
        for index, text in enumerate(texts):
            if isinstance(text, str):
                part = text[: min(budget, MAX_TEXT_CHARACTERS)]
                budget -= len(part)
                yield field, index if texts is value else None, part


def _bounded(places: Iterator[tuple[str, str, int, int, int | None]]) -> list[Match]:
    kept: list[Match] = []
    words = set()
    for place in places:
        if len(kept) < MAX_MATCHES or place[0] not in words:
            kept.append(Match(*place))
            words.add(place[0])
    return kept
