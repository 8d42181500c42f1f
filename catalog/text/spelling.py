"""Spelling correction of queries by the words that the catalog and many people use.

The model reads a misspelled word too, only less well, so a correction must be careful rather than clever. Known are the
words of the catalog, and those that several people typed (`catalog/text/query_terms.py`). A word is changed if it has
4 to 40 letters of an alphabet, is not known, and a known one is within one edit of it (two from eight letters on). An
edit adds, drops or replaces a letter, or swaps two neighbours (optimal string alignment). Of several the nearest is
taken, then one that begins alike, then the one that most people typed, then the catalog's most frequent. A plural of a
known word is not misspelled. Of a query, the first 16 unknown words are looked up, and the others stay. Somebody may
still be typing the last word: if it is the beginning of a word of the catalog, it becomes none but such a word.
"""

from __future__ import annotations

import copy
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog.data.items import Items
from catalog.text.delete_index import DeleteIndex
from catalog.text.normalization import nfkc

__all__ = ["LETTERS", "MIN_CANDIDATE_LENGTH", "Lexicon", "forgiven_edits", "words_of"]

MIN_LENGTH = 4  # letters of a word that may be misspelled
MIN_CANDIDATE_LENGTH = 3
MAX_LENGTH = 40  # letters of a word that is corrected, or that another is corrected to
LONG = 8  # letters from which on two edits are forgiven
MAX_LOOKUPS = 16  # words of one query
MAX_ADDED = 20_000  # words beside the main index: they are indexed anew with every change of items
ROWS_AT_ONCE = 100_000

WORD = re.compile(r"\w+")
SEPARATOR = r"[^\p{L}\p{N}_]+"
# Latin, Greek and Cyrillic: one letter a sound. Where a character is a syllable or a word, one edit is another word.
LETTERS = re.compile("[a-z\u00df-\u024f\u1e00-\u1eff\u0370-\u03ff\u1f00-\u1fff\u0400-\u052f]+")


class Lexicon:
    """The known words: lower case, letters only. It never changes, so threads may share it.

    Words of items that came later are kept beside the others, so that a change of items costs no new index of all.
    """

    def __init__(self, counts: Mapping[str, int], typed: Mapping[str, int]) -> None:
        """
        counts: how often the catalog uses each of its words.
        typed: how many people typed each of theirs.
        """
        self._counts = {**dict.fromkeys(typed, 0), **counts}
        self._typed = typed
        self._index = _index_of(self._counts)
        self._sorted = sorted(counts)
        self._added: dict[str, int] = {}
        self._added_index = _index_of({})
        self._added_sorted: list[str] = []

    @classmethod
    def of(cls, items: Items, typed: Mapping[str, int]) -> Lexicon:
        """Counts all columns of text but the identifier; takes about a second a hundred thousand items."""
        counts: Counter[str] = Counter()
        for name in items.table.column_names:
            if name != "item_id":
                _count_column(items.table[name], counts)
        return cls(counts, typed)

    def __len__(self) -> int:
        return len(self._counts) + len(self._added)

    def __contains__(self, word: str) -> bool:
        return word in self._counts or word in self._added

    def with_records(self, records: Iterable[Mapping[str, Any]]) -> Lexicon:
        """With the words of further items too; what they replace is not forgotten."""
        counts = Counter(word for record in records for word in _words_of_record(record))
        new = {word: count for word, count in counts.items() if word not in self}
        if not new:
            return self
        added = {**self._added, **new}
        if len(added) > MAX_ADDED:
            return Lexicon({**self._counts, **added}, self._typed)
        grown = copy.copy(self)
        grown._added, grown._added_index, grown._added_sorted = added, _index_of(added), sorted(added)
        return grown

    def knows(self, query: str) -> bool:
        """Whether there is no word in it to be corrected."""
        return not any(self._is_suspect(word) for word in words_of(query))

    def correct(self, query: str, *, prefix: bool = False) -> str:
        """The query with misspelled words replaced; all else is kept as it was typed.

        prefix: whether its last word may be the beginning of one.

        Takes about 0.2 ms for each of at most MAX_LOOKUPS words, and 5 µs for each other one.
        """
        lookups = MAX_LOOKUPS

        def replacement(found: re.Match[str]) -> str:
            nonlocal lookups
            word = _lower(found[0])
            if lookups == 0 or not self._is_suspect(word):
                return found[0]
            lookups -= 1
            nearest = self._nearest(word) or found[0]
            unfinished = prefix and found.end() == len(query) and self._is_beginning(word)
            return found[0] if unfinished and not nearest.startswith(word) else nearest

        return WORD.sub(replacement, query)

    def _is_beginning(self, word: str) -> bool:
        """Whether a word of the catalog begins so."""
        for known in (self._sorted, self._added_sorted):
            place = bisect_left(known, word)
            if place < len(known) and known[place].startswith(word):
                return True
        return False

    def _is_suspect(self, word: str) -> bool:
        return (
            MIN_LENGTH <= len(word) <= MAX_LENGTH
            and word not in self
            and LETTERS.fullmatch(word) is not None
            and not self._has_other_number(word)
        )

    def _has_other_number(self, word: str) -> bool:
        """Whether the word's singular or plural is known."""
        singulars = [word.removesuffix("s"), word.removesuffix("es")]
        return any(form in self for form in (*singulars, f"{word}s", f"{word}es"))

    def _nearest(self, word: str) -> str | None:
        edits = forgiven_edits(word)
        near = self._index.near(word, edits) + self._added_index.near(word, edits)
        ranked = ((distance, known[0] != word[0], *self._rarity(known), known) for known, distance in near)
        best = min(ranked, default=None)
        return None if best is None else best[-1]

    def _rarity(self, word: str) -> tuple[int, int]:
        return -self._typed.get(word, 0), -(self._counts.get(word) or self._added.get(word, 0))


def _index_of(words: Iterable[str]) -> DeleteIndex:
    return DeleteIndex([word for word in words if MIN_CANDIDATE_LENGTH <= len(word) <= MAX_LENGTH])


def forgiven_edits(word: str) -> int:
    """How many edits away the word may be that was meant."""
    return 2 if len(word) >= LONG else 1


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    # finditer, because a search for all at once would keep other threads from running until it ends
    return [found[0] for found in WORD.finditer(_lower(text))]


def _lower(text: str) -> str:
    return nfkc(text).lower()


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
