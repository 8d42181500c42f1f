"""Misspelled words of a query, set right by the words that the catalog and many people use.

Careful rather than clever, since the model reads a misspelled word too, only less well. Known are the words of the
catalog, and those that several people typed (`catalog/text/query_terms.py`). A word is changed if it has four letters
or
more of an alphabet, is not known, and a known one is within one edit of it (two from eight letters on). An edit adds,
drops or replaces a letter, or swaps two neighbours (optimal string alignment). Of several the nearest is taken, then
one that begins alike, then the one that most people typed, then the catalog's most frequent. A plural of a known word
is not misspelled.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import process
from rapidfuzz.distance import OSA

from catalog.data.items import Items

__all__ = ["LETTERS", "SHORTEST_CANDIDATE", "Lexicon", "forgiven_edits", "words_of"]

SHORTEST = 4  # letters of a word that may be misspelled
SHORTEST_CANDIDATE = 3
LONG = 8  # letters from which on two edits are forgiven
MOST_REMEMBERED = 10_000
ROWS_AT_ONCE = 100_000

WORD = re.compile(r"\w+")
SEPARATOR = r"[^\p{L}\p{N}_]+"
# Latin, Greek and Cyrillic: one letter a sound. Where a character is a syllable or a word, one edit is another word.
LETTERS = re.compile("[a-z\u00df-\u024f\u1e00-\u1eff\u0370-\u03ff\u1f00-\u1fff\u0400-\u052f]+")


class Lexicon:
    """The known words: lower case, letters only. Never changes."""

    def __init__(self, counts: Mapping[str, int], typed: Mapping[str, int]) -> None:
        """counts: how often the catalog uses each of its words. typed: how many people typed each of theirs."""
        self._counts = {**dict.fromkeys(typed, 0), **counts}
        self._typed = typed
        self._found: dict[str, str | None] = {}

    @classmethod
    def of(cls, items: Items, typed: Mapping[str, int]) -> Lexicon:
        """Counts all columns of text but the identifier; takes about a second a hundred thousand items."""
        counts: Counter[str] = Counter()
        for name in items.table.column_names:
            if name != "item_id":
                _count_column(items.table[name], counts)
        return cls(counts, typed)

    def __len__(self) -> int:
        return len(self._counts)

    def __contains__(self, word: str) -> bool:
        return word in self._counts

    def with_records(self, records: Iterable[Mapping[str, Any]]) -> Lexicon:
        """With the words of further items too; what they replace is not forgotten."""
        counts = Counter(word for record in records for word in _words_of_record(record))
        new = {word: count for word, count in counts.items() if word not in self._counts}
        return Lexicon({**self._counts, **new}, self._typed) if new else self

    def knows(self, query: str) -> bool:
        """Whether there is no word in it to be corrected; quick."""
        return not any(self._is_suspect(word) for word in words_of(query))

    def correct(self, query: str) -> str:
        """The query with misspelled words replaced; all else is kept as it was typed. Some ms a misspelled word."""
        return WORD.sub(lambda found: self._correct_word(found[0]), query)

    def _correct_word(self, typed: str) -> str:
        word = _lower(typed)
        if not self._is_suspect(word):
            return typed
        if word not in self._found:
            if len(self._found) >= MOST_REMEMBERED:
                self._found.clear()
            self._found[word] = self._nearest(word)
        return self._found[word] or typed

    def _is_suspect(self, word: str) -> bool:
        return (
            len(word) >= SHORTEST
            and word not in self._counts
            and LETTERS.fullmatch(word) is not None
            and not self._has_other_number(word)
        )

    def _has_other_number(self, word: str) -> bool:
        """Whether the word's singular or plural is known."""
        singulars = [word.removesuffix("s"), word.removesuffix("es")]
        return any(form in self._counts for form in (*singulars, f"{word}s", f"{word}es"))

    def _nearest(self, word: str) -> str | None:
        edits = forgiven_edits(word)
        lengths = range(max(SHORTEST_CANDIDATE, len(word) - edits), len(word) + edits + 1)
        candidates = [known for length in lengths for known in self._by_length.get(length, ())]
        near = process.extract(word, candidates, scorer=OSA.distance, score_cutoff=edits, limit=None)
        if not near:
            return None
        return min((distance, known[0] != word[0], *self._rarity(known), known) for known, distance, _ in near)[-1]

    def _rarity(self, word: str) -> tuple[int, int]:
        return -self._typed.get(word, 0), -self._counts[word]

    @cached_property
    def _by_length(self) -> dict[int, list[str]]:
        by_length: dict[int, list[str]] = {}
        for word in self._counts:
            by_length.setdefault(len(word), []).append(word)
        return by_length


def forgiven_edits(word: str) -> int:
    """How many edits away the word may be that was meant."""
    return 2 if len(word) >= LONG else 1


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return WORD.findall(_lower(text))


def _lower(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).lower()


def _count_column(column: pa.ChunkedArray, counts: Counter[str]) -> None:
    for start in range(0, len(column), ROWS_AT_ONCE):
        text = column.slice(start, ROWS_AT_ONCE)
        if pa.types.is_list(text.type) or pa.types.is_large_list(text.type):
            text = pc.list_flatten(text)
        if not (pa.types.is_string(text.type) or pa.types.is_large_string(text.type)):
            return
        text = pc.utf8_lower(pc.utf8_normalize(text, form="NFKC"))
        words = pc.list_flatten(pc.split_pattern_regex(text, SEPARATOR))
        for entry in pc.value_counts(words).to_pylist():
            word = entry["values"]
            if word and LETTERS.fullmatch(word):
                counts[word] += entry["counts"]


def _words_of_record(record: Mapping[str, Any]) -> Iterable[str]:
    for name, value in record.items():
        texts = value if isinstance(value, list) else [value]
        if name != "item_id":
            yield from (w for text in texts if isinstance(text, str) for w in words_of(text) if LETTERS.fullmatch(w))
