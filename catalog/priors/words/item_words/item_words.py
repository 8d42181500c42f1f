"""Item words: which words of a query each of some items has, and in which fields.

BM25 finds items that have some of a query's words, and does not say which. This does, for a few hundred items at a
time: the words of every item are kept as numbers, and compared with those of the query.

Shapes: N items, K of them changed, S states of items, B bounds of fields, W words of all states together, Q readings of
a query's words, P words of a query, C candidates.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import tantivy
from numpy.typing import NDArray

from catalog.priors.events import places_within
from catalog.priors.words.index import words_of
from catalog.priors.words.item_words.growing import Growing
from catalog.priors.words.item_words.postings import Postings

__all__ = ["MATCHED", "ItemWords", "QueryWords"]

MATCHED = ("text", "title", "brand", "categories", "attributes")
"""The fields whose words are compared one by one."""
TITLE = MATCHED.index("title")
MAX_STATES = 2
"""States that are kept for each item before those that were replaced are dropped."""


@dataclass(frozen=True, slots=True, eq=False)
class QueryWords:
    """The words of a query, in the numbers of an ItemWords.

    number_Q: each known way to read a word, int32 ascending; a word may be read in several ways.
    place_Q: which of the query's words it is a reading of.
    weight_Q: how sure that reading is, 0 to 1.
    rarity_P: log(1 + N / n) of the n items that have each of the query's words, or its commonest reading.
    digit_P: whether the word is, or may be, a number.
    """

    number_Q: NDArray[np.int32]
    place_Q: NDArray[np.int64]
    weight_Q: NDArray[np.float64]
    rarity_P: NDArray[np.float64]
    digit_P: NDArray[np.bool_]


class ItemWords:
    """The words of items by field. It is not changed but for words that it learns: see `with_items`.

    number_of, word_of: the number of each word, and the word of each number.
    items_of_word: how many items have each word in any field, int64.
    rarity_V: log(N / n) of the n items that have each word, float32; 0 where no other has it.
    items: how many items have any.
    slot_N: the newest state of each item, int32; state 0 is that of an item without a word.
    """

    def __init__(self, fields: Mapping[str, Sequence[str]], analyzer: tantivy.TextAnalyzer) -> None:
        """
        fields: one text for each item, by the name of the field, of those in MATCHED.
        analyzer: what divides texts into words; see `words.analyzer`.
        """
        self.number_of: dict[str, int] = {}
        self.word_of: list[str] = []
        self._analyzer = analyzer
        self.items_of_word: NDArray[np.int64] = np.zeros(0, np.int64)
        self.slot_N: NDArray[np.int32] = np.zeros(0, np.int32)
        self.items = 0
        self._bounds_SB = Growing(np.zeros((1, len(MATCHED) + 1), np.int64))
        self._word_W = Growing(np.empty(0, np.int32))
        self._postings: Postings | None = None
        self.append(fields)

    @property
    def bounds_SB(self) -> NDArray[np.int64]:
        """Where the words of the fields of every state begin in `word_W`, and where the last ends."""
        return self._bounds_SB.values  # type: ignore[return-value]

    @property
    def word_W(self) -> NDArray[np.int32]:
        """The distinct words of every field of every state, in their order."""
        return self._word_W.values  # type: ignore[return-value]

    def append(self, fields: Mapping[str, Sequence[str]]) -> None:
        """Add items behind the others, before anybody asks. fields: their texts."""
        begin = len(self.slot_N)
        self._write(np.arange(begin, begin + len(next(iter(fields.values()), ()))), fields)
        self.rarity_V = self._rarities()

    def __contains__(self, item: int) -> bool:
        """Whether it has the words of an item, which is not deleted."""
        return item < len(self.slot_N) and bool(self.slot_N[item] > 0)

    def with_items(
        self, item_K: NDArray[np.int64], fields: Mapping[str, Sequence[str]], gone: Sequence[int]
    ) -> ItemWords:
        """After a change, which this does not see.

        item_K: items that are new or changed.
        fields: their texts.
        gone: items that are deleted.
        """
        changed = copy.copy(self)
        changed.items_of_word = self.items_of_word.copy()
        changed.slot_N = np.concatenate([self.slot_N, np.zeros(max(0, _end(item_K) - len(self.slot_N)), np.int32)])
        changed._forget([*gone, *item_K.tolist()])
        changed._write(item_K, fields)
        if len(changed.bounds_SB) > MAX_STATES * len(changed.slot_N) + 1:
            changed._drop_old_states()
        listed = changed._postings
        if self._postings is not None and (listed is None or not listed.reaches(len(changed.bounds_SB))):
            changed._postings = changed._list()  # here, rather than while a query waits
        changed.rarity_V = changed._rarities()
        return changed

    def has_title(self, item: int, words: Sequence[str]) -> bool:
        """Whether these are the words of the title of an item, in their order."""
        if item not in self:
            return False
        begin, end = self.bounds_SB[self.slot_N[item], TITLE : TITLE + 2].tolist()
        return bool(self.word_W[begin:end].tolist() == [self.number_of.get(word) for word in words])

    def text_of(self, item: int) -> NDArray[np.int32]:
        """The distinct words of all of an item's text, of an item that it has."""
        begin, end = self.bounds_SB[self.slot_N[item], :2].tolist()
        return self.word_W[begin:end]

    def read(self, words: Sequence[Mapping[str, float]]) -> QueryWords:
        """The words of a query.

        words: for each word its readings, and how sure each is; readings that no item has are dropped.
        """
        known = sorted(
            (number, place, sure)
            for place, readings in enumerate(words)
            for reading, sure in readings.items()
            if (number := self.number_of.get(reading, len(self.items_of_word))) < len(self.items_of_word)
        )
        most = [1] * len(words)
        for number, place, _ in known:
            most[place] = max(most[place], int(self.items_of_word[number]))
        return QueryWords(
            number_Q=np.array([number for number, *_ in known], np.int32),
            place_Q=np.array([place for _, place, _ in known], np.int64),
            weight_Q=np.array([sure for *_, sure in known], np.float64),
            rarity_P=np.log1p(self.items / np.array(most, np.float64)),
            digit_P=np.array([any(map(str.isdigit, chain.from_iterable(readings))) for readings in words], np.bool_),
        )

    def matching(self, words: Sequence[Mapping[str, float]]) -> NDArray[np.uint8]:
        """Of every item 2 where it has a reading of each word of a query in some field, 1 where it has some, else 0:
        uint8 [N].

        words: at most 64, as in `read`.
        """
        from catalog.priors import kernels  # not above: it loads numba, before which vLLM's process must have started

        asked, kind = (
            self.read(words),
            np.uint8 if len(words) <= 8 else np.uint64,
        )  # bytes stay in the processor's cache
        bits_V: NDArray[np.unsignedinteger] = np.zeros(len(self.items_of_word), kind)
        np.bitwise_or.at(bits_V, asked.number_Q, np.left_shift(1, asked.place_Q, dtype=kind, casting="unsafe"))
        listed = self._postings = self._postings or self._list()
        match_N: NDArray[np.uint8] = kernels.matching_words(
            *(self.slot_N, self.bounds_SB, self.word_W),
            *(listed.first_V1, listed.state_E, listed.states),
            *(np.unique(asked.number_Q), bits_V, kind((1 << len(words)) - 1)),
        )
        return match_N

    def _list(self) -> Postings:
        return Postings.of(self.bounds_SB, self.word_W, len(self.items_of_word))

    def _write(self, item_K: NDArray[np.int64], fields: Mapping[str, Sequence[str]]) -> None:
        """Append states of these items, which have none."""
        numbered = [
            [self._numbers(fields[name][place]) if name in fields else [] for name in MATCHED]
            for place in range(len(item_K))
        ]
        words_K = [set(chain.from_iterable(own)) for own in numbered]
        lengths_KB = np.array([[0, *map(len, own)] for own in numbered], np.int64).reshape(-1, len(MATCHED) + 1)
        begin_K1 = len(self.word_W) + np.cumsum([0, *lengths_KB.sum(1).tolist()])
        word_W = np.fromiter(chain.from_iterable(chain.from_iterable(numbered)), np.int32)
        slot_N = np.zeros(max(len(self.slot_N), _end(item_K)), np.int32)
        slot_N[: len(self.slot_N)] = self.slot_N
        slot_N[item_K] = len(self.bounds_SB) + np.arange(len(item_K))
        self.slot_N = slot_N
        self._bounds_SB = self._bounds_SB.extended(begin_K1[:-1, None] + lengths_KB.cumsum(1))
        self._word_W = self._word_W.extended(word_W)
        counts = np.bincount(np.fromiter(chain.from_iterable(words_K), np.int64), minlength=len(self.number_of))
        counts[: len(self.items_of_word)] += self.items_of_word
        self.items_of_word = counts
        self.items += len(item_K)

    def _forget(self, items: Iterable[int]) -> None:
        """Count the words of these items no more; those that have none are passed over."""
        for item in items:
            slot = int(self.slot_N[item])
            if slot > 0:
                begin, end = self.bounds_SB[slot, [0, -1]].tolist()
                self.items_of_word[np.unique(self.word_W[begin:end])] -= 1
                self.slot_N[item] = 0
                self.items -= 1

    def _drop_old_states(self) -> None:
        """Keep the newest state of every item."""
        kept_S = np.r_[0, np.sort(self.slot_N[self.slot_N > 0])]
        bounds_SB = self.bounds_SB[kept_S]
        place, _ = places_within(bounds_SB[:, 0], bounds_SB[:, -1])
        length_S = bounds_SB[:, -1] - bounds_SB[:, 0]
        moved_S = np.cumsum(length_S) - length_S - bounds_SB[:, 0]
        self.slot_N = np.where(self.slot_N > 0, np.searchsorted(kept_S, self.slot_N), 0).astype(np.int32)
        self._word_W = Growing(self.word_W[place])
        self._bounds_SB = Growing(bounds_SB + moved_S[:, None])
        self._postings = None  # which know the states by their former numbers

    def _rarities(self) -> NDArray[np.float32]:
        shared_V = np.where(self.items_of_word > 1, self.items_of_word, max(self.items, 1))
        return np.log(max(self.items, 1) / shared_V).astype(np.float32)

    def _numbers(self, text: str) -> list[int]:
        """The numbers of the words of a text; new words get the next ones."""
        return [self._number(word) for word in words_of(self._analyzer, text)]

    def _number(self, word: str) -> int:
        number = self.number_of.get(word)
        if number is None:
            number = self.number_of[word] = len(self.word_of)
            self.word_of.append(word)
        return number


def _end(item_K: NDArray[np.int64]) -> int:
    """One more than the greatest of these items."""
    return int(item_K.max(initial=-1)) + 1
