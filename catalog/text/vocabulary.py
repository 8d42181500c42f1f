"""The vocabulary of a catalog: its words in their normal form, what they are when they are joined, and how written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog.data.items import Items
from catalog.text.adjacent_words import MAX_LINE, AdjacentWords, adjacent_in, adjacent_pieces
from catalog.text.compounds import JOINERS, PIECE, joined_forms, words_of
from catalog.text.normalization import APOSTROPHES, accentless, case_folded, composed, nfkc, normalized, transcribed

__all__ = ["LETTERS", "MAX_LENGTH", "Vocabulary", "words_of_items", "words_of_records"]

MAX_LENGTH = 40  # letters of a word that is corrected, or that another is corrected to
ROWS_AT_ONCE = 100_000
VALUES_IN_ONE = 10_000
MAX_PAIRS = 1_000_000  # of words beside each other, of one column, after which only those of 100,000 rows are added

BETWEEN_PIECES = r"[^\p{L}\p{N}\p{M}\p{Cf}_" + re.escape(JOINERS) + "]+"
JOINER = f"[{re.escape(JOINERS)}]"
LETTER_APART = re.compile(r"(?<![\w'’-])([B-HJ-NP-Zb-hj-np-z]) ([^\W\d_]{3,})")
"""A word of one letter, as in `T shirt`, which is often written with the next. `A`, `I` and `o` mostly are not."""
HAS_LETTER_APART = r"\b[B-HJ-NP-Zb-hj-np-z] [^ -@\[-`{-~]{3}"  # what may have one, for \p{L} takes long to compile
TRADE_MARKS = "[\u2120\u2122]"
# Latin, Greek and Cyrillic: one letter a sound. Where a character is a syllable or a word, one edit is another word.
LETTERS = re.compile("[a-z\u00df-\u024f\u1e00-\u1eff\u0370-\u03ff\u1f00-\u1fff\u0400-\u052f]+")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words with how often they are used, in their normal form, letters only.

    joined: what words are together, where a hyphen or an apostrophe joins them; 0 where they are only parts of those.
    written: a word as it is written, where its normal form is another: `straße`, or `ς` at the end.
    adjacent: every two words that stand beside each other in short texts, joined.
    """

    counts: Counter[str] = field(default_factory=Counter)
    joined: Counter[str] = field(default_factory=Counter)
    written: dict[str, str] = field(default_factory=dict)
    adjacent: AdjacentWords = field(default_factory=AdjacentWords)

    def add(self, piece: str, count: int) -> None:
        """Add a piece of a text, so often."""
        parts = words_of(piece)
        for word in parts:
            if LETTERS.fullmatch(word):
                self.counts[word] += count
        if len(parts) == 1:
            lower = nfkc(piece).lower()
            if lower != parts[0] and case_folded(lower) == parts[0] and LETTERS.fullmatch(lower):
                self.written.setdefault(parts[0], lower)
        elif parts:
            whole = "".join(parts)
            for word in joined_forms(parts):
                if len(word) <= MAX_LENGTH and LETTERS.fullmatch(word):
                    self.joined[word] += count if word == whole else 0

    def add_apart(self, letter: str, word: str) -> None:
        """Add a word of one letter with the next, which may be one."""
        together = normalized(letter + word)
        if LETTERS.fullmatch(together):
            self.joined.setdefault(together, 0)

    def __len__(self) -> int:
        return len(self.counts) + len(self.joined)

    def __contains__(self, word: str) -> bool:
        return word in self.counts or word in self.joined


def words_of_items(items: Items) -> Vocabulary:
    """The words of all columns of text but the identifier; takes about a second a hundred thousand items."""
    words = Vocabulary()
    adjacent: set[str] = set()
    for column in _columns_of_text(items.table):
        adjacent |= _count_column(column, words)
    return replace(words, adjacent=_adjacent_words(adjacent))


def _columns_of_text(table: pa.Table) -> Iterator[pa.ChunkedArray]:
    """Those of a small catalog in one: every call with a regular expression compiles its classes of letters anew, which
    takes longer than the texts of a thousand items."""
    columns = [table[name] for name in table.column_names if name != "item_id"]
    kept = [column for column in columns if _holds_text(column.type)]
    if len(kept) * table.num_rows > VALUES_IN_ONE:
        yield from kept
        return
    chunks = [chunk.cast(pa.large_string()) for column in kept for chunk in _texts(column).chunks]
    yield pa.chunked_array([pa.chunked_array(chunks, pa.large_string()).combine_chunks()])  # else once for each


def _holds_text(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return _is_text(kind.value_type if is_list else kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """What is in it, where a cell may hold several."""
    return column if _is_text(column.type) else pc.list_flatten(column)


def _count_column(column: pa.ChunkedArray, words: Vocabulary) -> set[str]:
    """Count the words of a column; returns the joined pairs of its short texts."""
    adjacent: set[str] = set()
    for start in range(0, len(column), ROWS_AT_ONCE):
        text = _texts(column.slice(start, ROWS_AT_ONCE))
        text = pc.replace_substring_regex(pc.replace_substring_regex(text, TRADE_MARKS, " "), f"[{APOSTROPHES}]", "'")
        text = pc.utf8_normalize(text, form="NFKC")
        for entry in pc.value_counts(pc.list_flatten(pc.split_pattern_regex(text, BETWEEN_PIECES))).to_pylist():
            if entry["values"]:
                words.add(entry["values"], entry["counts"])
        apart = text.filter(pc.match_substring_regex(text, HAS_LETTER_APART))
        for pair in set(_pairs_apart(apart.to_pylist())):
            words.add_apart(*pair)
        if len(adjacent) >= MAX_PAIRS:
            continue
        short = text.filter(pc.less_equal(pc.utf8_length(text), MAX_LINE)).combine_chunks()
        adjacent.update(
            adjacent_in(pc.split_pattern_regex(pc.replace_substring_regex(short, JOINER, ""), BETWEEN_PIECES))
        )
    return adjacent


def _adjacent_words(joined: Iterable[str]) -> AdjacentWords:
    words = {word for word in map(normalized, joined) if LETTERS.fullmatch(word)}
    accented = [word for word in words if not word.isascii()]
    return AdjacentWords(words.union(map(accentless, accented), map(transcribed, accented)))


def _pairs_apart(texts: Iterable[str | None]) -> Iterator[tuple[str, str]]:
    for text in texts:
        yield from ((found[1], found[2]) for found in LETTER_APART.finditer(text or ""))


def words_of_records(records: Iterable[Mapping[str, Any]]) -> Vocabulary:
    """The words of the same columns of some items."""
    words = Vocabulary()
    adjacent: set[str] = set()
    for record in records:
        for name, value in record.items():
            for text in value if isinstance(value, list) else [value]:
                if name != "item_id" and isinstance(text, str):
                    pieces = [piece[0] for piece in PIECE.finditer(composed(text))]
                    for piece, count in Counter(pieces).items():
                        words.add(piece, count)
                    for pair in _pairs_apart([text]):
                        words.add_apart(*pair)
                    if len(text) <= MAX_LINE:
                        adjacent.update(adjacent_pieces(["".join(words_of(piece)) for piece in pieces]))
    return replace(words, adjacent=_adjacent_words(adjacent))
