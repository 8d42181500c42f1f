"""Spelling correction of queries by the words that the catalog and many people use.

The model reads a misspelled word too, only less well, so a correction must be careful rather than clever. Known are the
words of the catalog, and those that several people typed (`catalog/text/query_terms.py`), in the normal form of
`catalog/text/normalization.py`; these words without their accents, or transcribed (`groesse`); and what words are when
they are joined, where the catalog has a hyphen or an apostrophe (`catalog/text/compounds.py`), or where they stand
beside each other in a title or a brand (`catalog/text/adjacent_words.py`). A word is changed if it has 4 to 40 letters
of an alphabet, is not known, and a known one is within one edit of it (two from eight letters on). An edit adds, drops
or replaces a letter, or swaps two neighbours (optimal string alignment). Of several the nearest is taken, then one that
begins alike, then the one that most people typed, then the catalog's most frequent. A plural of a known word is not
misspelled, nor is a part of one: `wi fi`. Of a query, the first 16 unknown words are looked up, and the others stay.
Somebody may still be typing the last word: if it is the beginning of a word of the catalog, it becomes none but such a
word.
"""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from catalog.data.items import Items
from catalog.text.adjacent_words import AdjacentWords
from catalog.text.compounds import MAX_JOINED, Word, words_in
from catalog.text.delete_index import DeleteIndex
from catalog.text.normalization import accentless, normalized, transcribed
from catalog.text.vocabulary import LETTERS, MAX_LENGTH, Vocabulary, words_of_items, words_of_records

__all__ = ["MIN_CANDIDATE_LENGTH", "Lexicon", "forgiven_edits"]

MIN_LENGTH = 4  # letters of a word that may be misspelled
MIN_CANDIDATE_LENGTH = 3
LONG = 8  # letters from which on two edits are forgiven
MAX_LOOKUPS = 16  # words of one query
MAX_ADDED = 20_000  # words beside the main index: they are indexed anew with every change of items


class Lexicon:
    """The known words. It never changes, so threads may share it.

    Words of items that came later are kept beside the others, so that a change of items costs no new index of all.
    """

    def __init__(self, counts: Mapping[str, int], typed: Mapping[str, int]) -> None:
        """
        counts: how often the catalog uses each of its words.
        typed: how many people typed each of theirs.
        """
        words = Vocabulary()
        for word, count in counts.items():
            words.add(word, count)
        self._fill(words, typed)

    def _fill(self, words: Vocabulary, typed: Mapping[str, int]) -> None:
        self._typed = _normal(typed)
        self._counts = {**dict.fromkeys(self._typed, 0), **words.counts}
        self._joined = dict(words.joined)
        self._written = words.written
        self._adjacent = words.adjacent
        self._bare = _bare_of((*self._counts, *self._joined))
        self._index = _index_of((*self._counts, *_candidates(self._joined, self._counts)))
        self._sorted = sorted({*words.counts, *words.joined})
        self._added = Vocabulary()
        self._added_sorted: list[str] = []
        self._added_bare: frozenset[str] = frozenset()
        self._added_index = _index_of(())

    @classmethod
    def of(cls, items: Items, typed: Mapping[str, int]) -> Lexicon:
        """Counts all columns of text but the identifier; takes about a second a hundred thousand items."""
        lexicon = cls.__new__(cls)
        lexicon._fill(words_of_items(items), typed)
        return lexicon

    def __len__(self) -> int:
        return len(self._counts) + len(self._added.counts)

    def __contains__(self, word: str) -> bool:
        return word in self._counts or word in self._added.counts

    def with_records(self, records: Iterable[Mapping[str, Any]]) -> Lexicon:
        """With the words of further items too; what they replace is not forgotten."""
        words = words_of_records(records)
        new = Counter({word: count for word, count in words.counts.items() if word not in self})
        joined = Counter(
            {w: n for w, n in words.joined.items() if w not in self._joined and w not in self._added.joined}
        )
        adjacent = self._adjacent.with_pairs(words.adjacent)
        if not new and not joined:
            return self._with_adjacent(adjacent)
        added = Vocabulary(
            Counter({**self._added.counts, **new}),
            Counter({**self._added.joined, **joined}),
            {**words.written, **self._added.written},
        )
        grown = copy.copy(self)
        grown._adjacent = adjacent
        if len(added.counts) + len(added.joined) > MAX_ADDED:
            everything = Vocabulary(
                Counter({**{word: count for word, count in self._counts.items() if count}, **added.counts}),
                Counter({**self._joined, **added.joined}),
                {**added.written, **self._written},
                adjacent,
            )
            grown._fill(everything, self._typed)
            return grown
        grown._added, grown._added_sorted = added, sorted({*added.counts, *added.joined})
        grown._added_bare = _bare_of((*added.counts, *added.joined))
        grown._added_index = _index_of((*added.counts, *_candidates(added.joined, added.counts)))
        return grown

    def _with_adjacent(self, adjacent: AdjacentWords) -> Lexicon:
        if adjacent is self._adjacent:
            return self
        grown = copy.copy(self)
        grown._adjacent = adjacent
        return grown

    def has(self, text: str) -> bool:
        """Whether all of a text's words are known, or are of no letters that are."""
        words = [word.text for word in words_in(text) if LETTERS.fullmatch(word.text)]
        return all(self._is_known(word) or self._has_other_number(word) for word in words)

    def knows(self, query: str) -> bool:
        """Whether there is no word in it to be corrected."""
        return next(self._suspects(query), None) is None

    def correct(self, query: str, *, prefix: bool = False) -> str:
        """The query with misspelled words replaced; all else is kept as it was typed.

        prefix: whether its last word may be the beginning of one.

        Takes about 0.2 ms for each of at most MAX_LOOKUPS words, and 10 µs for each other one.
        """
        parts, end = [], 0
        for word in islice(self._suspects(query), MAX_LOOKUPS):
            nearest = self._nearest(word.text)
            unfinished = prefix and word.end == len(query) and self._is_beginning(word.text)
            if nearest is not None and (not unfinished or nearest.startswith(word.text)):
                parts += [query[end : word.start], self._as_written(nearest)]
                end = word.end
        return "".join([*parts, query[end:]])

    def _is_beginning(self, word: str) -> bool:
        """Whether a word of the catalog begins so."""
        for known in (self._sorted, self._added_sorted):
            place = bisect_left(known, word)
            if place < len(known) and known[place].startswith(word):
                return True
        return False

    def _suspects(self, query: str) -> Iterator[Word]:
        """The words of a query that may be misspelled: no part of a known one, together with their neighbours."""
        words = [*words_in(query)]
        for place, word in enumerate(words):
            if self._is_suspect(word.text) and not self._is_part(words, place):
                yield word

    def _is_part(self, words: Sequence[Word], place: int) -> bool:
        """Whether a word and some beside it are a known one that was written in several."""
        for length in range(2, MAX_JOINED + 1):
            for start in range(max(0, place - length + 1), min(place, len(words) - length) + 1):
                together = words[start : start + length]
                if all(word.joins for word in together[1:]) and self._is_known("".join(w.text for w in together)):
                    return True
        return False

    def _is_known(self, word: str) -> bool:
        """Whether it is a word, or several that are joined, with all of its accents or without, or transcribed."""
        return any(map(self._has_form, dict.fromkeys((word, accentless(word), transcribed(word)))))

    def _has_form(self, word: str) -> bool:
        return (
            word in self
            or word in self._joined
            or word in self._added.joined
            or word in self._bare
            or word in self._added_bare
            or word in self._adjacent
        )

    def _is_suspect(self, word: str) -> bool:
        return (
            MIN_LENGTH <= len(word) <= MAX_LENGTH
            and LETTERS.fullmatch(word) is not None
            and not self._is_known(word)
            and not self._has_other_number(word)
        )

    def _has_other_number(self, word: str) -> bool:
        """Whether the word's singular or plural is known."""
        singulars = [word.removesuffix("s"), word.removesuffix("es")]
        return any(map(self._is_known, (*singulars, f"{word}s", f"{word}es")))

    def _nearest(self, word: str) -> str | None:
        edits = forgiven_edits(word)
        near = self._index.near(word, edits) + self._added_index.near(word, edits)
        ranked = ((distance, known[0] != word[0], *self._rarity(known), known) for known, distance in near)
        best = min(ranked, default=None)
        return None if best is None else best[-1]

    def _as_written(self, word: str) -> str:
        return self._written.get(word) or self._added.written.get(word, word)

    def _rarity(self, word: str) -> tuple[int, int]:
        used = self._counts.get(word) or self._added.counts[word] or self._joined.get(word) or self._added.joined[word]
        return -self._typed.get(word, 0), -used


def _index_of(words: Iterable[str]) -> DeleteIndex:
    return DeleteIndex([word for word in words if MIN_CANDIDATE_LENGTH <= len(word) <= MAX_LENGTH])


def forgiven_edits(word: str) -> int:
    """How many edits away the word may be that was meant."""
    return 2 if len(word) >= LONG else 1


def _normal(typed: Mapping[str, int]) -> dict[str, int]:
    """Typed words in their normal form, which those of bundles of before may not have."""
    people: Counter[str] = Counter()
    for word, count in typed.items():
        people[normalized(word)] += count
    return dict(people)


def _bare_of(words: Iterable[str]) -> frozenset[str]:
    """Words without accents, and transcribed, of those that have some."""
    return frozenset(form(word) for word in words if not word.isascii() for form in (accentless, transcribed))


def _candidates(joined: Mapping[str, int], words: Mapping[str, int]) -> list[str]:
    """The joined words that a misspelled one may stand for."""
    return [word for word, count in joined.items() if count > 0 and word not in words]
