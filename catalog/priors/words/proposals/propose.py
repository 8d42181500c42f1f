"""Proposed synonyms: words and short phrases of queries that lead to the same clicks.

Two words that mean the same are two ways to ask for one thing, so they lead to the same items, and of two people one of
whom typed the first and one the second the items agree as well as those of two people who typed the same. That ratio is
the similarity: 1 for words that stand for each other however few clicks there are, 0 for words without anything in
common. Words that merely go together (`red tent`) agree in the queries that have both, so of each pair only queries
count that have one and not the other.

A person counts once for a word, whatever they did, and only pairs of different people agree. An agreement in an item
counts the more the rarer the item is, and what agrees by chance is taken away, so that two words which both lead to
what everybody takes are not alike for it. Of every pair people are drawn anew (a bootstrap), and its similarity has to
hold for most of the draws. At last a synonym stands in the other's place: `headtorch` is none of `head`, which has
`torch` beside it.

Shapes: E events with a query, U terms, P people with one of two terms, N items, D draws.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from catalog.priors.words.proposals.terms import Stems, TermsOf
from catalog.priors.words.synonyms import MAX_SYNONYMS, fault_of

__all__ = ["MIN_PEOPLE", "Alike", "ProposalSettings", "Proposed", "proposals"]

MIN_PEOPLE = 5
"""Who typed a word, at least, before anything is said of it."""
MAX_TERMS = 20_000
"""The words and phrases of most people are compared."""
MAX_PEOPLE = 5_000
"""Of two words so many people say enough, drawn by chance."""
BLOCK = 500
"""Terms that are compared with all others at a time."""
SEED = 0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalSettings:
    """What is proposed.

    language: whose stems tell words apart, as in `WordSettings`; None for words as they were typed.
    people: how many different people typed each word in queries without the other, at least MIN_PEOPLE.
    shared: how many items were taken after either.
    similarity: the least that the similarity may be.
    sure: the least that it may be in nine of ten draws.
    together: the most queries that may have both, as a share of those that have the rarer one.
    beside: how far the words beside one are those beside the other, at least; 1 where both have the same as often.
    rarity: added to the people of every item, so that one that a single person took tells little.
    draws: how often people are drawn anew.
    max_words: of a phrase.
    """

    language: str | None = "english"
    people: int = MIN_PEOPLE
    shared: int = 2
    similarity: float = 0.7
    sure: float = 0.4
    together: float = 0.2
    beside: float = 0.2
    rarity: float = 5.0
    draws: int = 200
    max_words: int = 2

    def __post_init__(self) -> None:
        if self.people < MIN_PEOPLE:
            raise ValueError(
                f"people is {self.people}: what fewer than {MIN_PEOPLE} people typed is proposed to nobody"
            )


@dataclass(frozen=True, slots=True)
class Alike:
    """Two words or phrases and what speaks for them.

    people: who typed each, in queries without the other.
    shared: items that were taken after both.
    similarity, sure: as in `ProposalSettings`.
    """

    words: tuple[str, str]
    people: tuple[int, int]
    shared: int
    similarity: float
    sure: float


@dataclass(frozen=True, slots=True)
class Proposed:
    """A set of synonyms to look at. pairs: each two of them."""

    id: str
    synonyms: tuple[str, ...]
    pairs: tuple[Alike, ...]


def proposals(
    users: Sequence[str], items: Sequence[str], queries: Sequence[str | None], settings: ProposalSettings | None = None
) -> list[Proposed]:
    """Sets of synonyms, each pair in one of them, the surest first.

    users, items, queries: of every event; those without a query tell nothing.
    """
    settings = settings or ProposalSettings()
    searched = _Searched(users, items, queries, settings)
    alike = [found for pair in searched.pairs() if (found := searched.compare(*pair)) is not None]
    words = {found.words: searched.stems_of(found) for found in alike}
    alike.sort(key=lambda one: (sum(map(len, words[one.words])), -one.sure, one.words))
    kept: list[Alike] = []
    known: set[frozenset[Stems]] = set()
    for one in alike:
        if not _follows(*words[one.words], known):
            known.add(frozenset(words[one.words]))
            kept.append(one)
    return _sets(sorted(kept, key=lambda one: (-one.sure, one.words)))


class _Searched:
    """Who typed which terms and took which items.

    terms: the stems of each term, and how most people typed it.
    """

    def __init__(
        self,
        users: Sequence[str],
        items: Sequence[str],
        queries: Sequence[str | None],
        settings: ProposalSettings,
    ) -> None:
        rows = [row for row, query in enumerate(queries) if query]
        self._settings = settings
        self._user_E = _numbered(users[row] for row in rows)
        self._item_E = _numbered(items[row] for row in rows)
        self._items = int(self._item_E.max(initial=-1)) + 1
        of_query = TermsOf(settings.language, settings.max_words)
        self._terms_E = [of_query(queries[row] or "") for row in rows]
        self._events_of: dict[Stems, NDArray[np.int64]] = {}
        self._typed: dict[Stems, str] = {}
        self._choose(of_query)
        self.stems = list(self._events_of)
        person_item = np.unique(np.stack([self._user_E, self._item_E], 1), axis=0)
        count_N = np.bincount(person_item[:, 1], minlength=self._items) + settings.rarity
        self._usual_N: Floats = count_N / count_N.sum()

    def stems_of(self, alike: Alike) -> tuple[Stems, Stems]:
        first, second = (self._by_text[word] for word in alike.words)
        return first, second

    def pairs(self) -> Iterator[tuple[Stems, Stems]]:
        """Those that may be alike: what all people with either took agrees more than a little."""
        if not self.stems:
            return
        scaled_UN = sp.vstack([self._shares(stems) for stems in self.stems], "csr") @ sp.diags(
            1 / np.sqrt(self._usual_N)
        )
        least = self._settings.similarity / 2
        norm_U = np.sqrt(np.maximum(np.asarray(scaled_UN.multiply(scaled_UN).sum(1)).ravel() - 1, 1e-9))
        for start in range(0, len(self.stems), BLOCK):
            block_BU = (scaled_UN[start : start + BLOCK] @ scaled_UN.T).toarray() - 1
            like_BU = block_BU / norm_U[start : start + BLOCK, None] / norm_U[None]
            for row, column in zip(*np.nonzero(like_BU >= least), strict=True):
                one, other = self.stems[start + row], self.stems[column]
                if start + row < column and not set(one) & set(other):
                    yield one, other

    def compare(self, one: Stems, other: Stems) -> Alike | None:
        """What speaks for two terms; None where it is not enough."""
        settings = self._settings
        of_one, of_other = self._events_of[one], self._events_of[other]
        both = np.intersect1d(of_one, of_other)
        if len(both) > settings.together * min(len(of_one), len(of_other)):
            return None
        alone = [np.setdiff1d(events, both) for events in (of_one, of_other)]
        people = tuple(len(np.unique(self._user_E[events])) for events in alone)
        if min(people) < settings.people:
            return None
        if self._beside(one, other, alone) < settings.beside:
            return None
        shared = len(np.intersect1d(self._item_E[alone[0]], self._item_E[alone[1]]))
        if shared < settings.shared:
            return None
        found_D = self._similarities(alone)
        similarity, sure = float(found_D[0]), float(np.quantile(found_D[1:], 0.1))
        if similarity < settings.similarity or sure < settings.sure:
            return None
        words = self._typed[one], self._typed[other]
        return Alike(words, (people[0], people[1]), shared, round(min(similarity, 1.0), 3), round(min(sure, 1.0), 3))

    def _beside(self, one: Stems, other: Stems, alone: Sequence[NDArray[np.int64]]) -> float:
        """The share of their places, by the word before and the word after, that two terms have in common."""
        places = [
            Counter(self._terms_E[event][stems].beside for event in events)
            for stems, events in zip((one, other), alone, strict=True)
        ]
        shares = [{place: count / found.total() for place, count in found.items()} for found in places]
        return sum(min(share, shares[1].get(place, 0.0)) for place, share in shares[0].items())

    def _choose(self, of_query: TermsOf) -> None:
        """Keeps the terms of enough people, as most of them typed them."""
        events_of: dict[Stems, list[int]] = defaultdict(list)
        for event, terms in enumerate(self._terms_E):
            for stems in terms:
                events_of[stems].append(event)
        least = self._settings.people
        people_of = {
            stems: len(set(self._user_E[own].tolist())) for stems, own in events_of.items() if len(own) >= least
        }
        for stems, people in sorted(people_of.items(), key=lambda one: (-one[1], one[0]))[:MAX_TERMS]:
            if people < least:
                break
            typed: dict[str, set[int]] = defaultdict(set)
            for event in events_of[stems]:
                typed[self._terms_E[event][stems].typed].add(int(self._user_E[event]))
            text, typists = max(sorted(typed.items()), key=lambda one: len(one[1]))
            if len(typists) >= least and fault_of([text]) is None:
                self._typed[stems] = text
                self._events_of[stems] = np.array(events_of[stems], np.int64)
        self._by_text = {text: stems for stems, text in self._typed.items()}
        for stems in [stems for stems in self._events_of if self._is_part(stems)]:
            del self._events_of[stems]

    def _is_part(self, stems: Stems) -> bool:
        """Whether nearly all who typed a word typed it inside one and the same phrase."""
        own = len(self._events_of[stems])
        longer = Counter(
            phrase
            for event in self._events_of[stems]
            for phrase in self._terms_E[event]
            if len(phrase) > len(stems) and phrase in self._typed and set(stems) < set(phrase)
        )
        return bool(longer) and longer.most_common(1)[0][1] > 0.8 * own

    def _shares(self, stems: Stems) -> sp.csr_matrix:
        """Of all people with a term what they took, each counted once, float64 [1, N]."""
        events = self._events_of[stems]
        who = np.unique(self._user_E[events])
        return sp.csr_matrix(self._taken(events, who, np.arange(self._items)).mean(0))

    def _taken(self, events: NDArray[np.int64], who: NDArray[np.int64], items: NDArray[np.int64]) -> sp.csr_matrix:
        """What each of some people took in some events, rows of sum 1 or 0, float64 [P, N].

        items: all that were taken in these events, N of them, increasing.
        """
        events = events[np.isin(self._user_E[events], who)]
        rows, columns = np.searchsorted(who, self._user_E[events]), np.searchsorted(items, self._item_E[events])
        count_PN = sp.csr_matrix((np.ones(len(events)), (rows, columns)), (len(who), len(items)))
        sum_P = np.maximum(np.asarray(count_PN.sum(1)).ravel(), 1)
        return sp.csr_matrix(sp.diags(1 / sum_P) @ count_PN)

    def _similarities(self, alone: Sequence[NDArray[np.int64]]) -> Floats:
        """Of two terms by the events of each: as all people took, and then in every draw, float64 [1 + D]."""
        random = np.random.default_rng(SEED)
        events = np.concatenate(alone)
        who, taken = np.unique(self._user_E[events]), np.unique(self._item_E[events])
        if len(who) > MAX_PEOPLE:
            who = np.sort(random.choice(who, MAX_PEOPLE, replace=False))
        drawn_DP = random.multinomial(len(who), np.full(len(who), 1 / len(who)), self._settings.draws)
        weight_DP = np.concatenate([np.ones((1, len(who))), drawn_DP])
        one_PN, other_PN = (self._taken(own, who, taken) for own in alone)
        return _similarity(one_PN, other_PN, self._usual_N[taken], weight_DP)


def _similarity(one_PN: sp.csr_matrix, other_PN: sp.csr_matrix, usual_N: Floats, weight_DP: Floats) -> Floats:
    """How well people of two terms agree, in terms of how well those of one do: float64 [D].

    The correlation of what both lead to over what is usual, of pairs of different people alone. It is -1 where people
    of one term do not even agree among themselves.

    weight_DP: how often each person counts.
    """
    scale = sp.diags(1 / np.sqrt(usual_N))
    one_PN, other_PN = sp.csr_matrix(one_PN @ scale), sp.csr_matrix(other_PN @ scale)
    within_D = _agreement(one_PN, one_PN, weight_DP)
    within_D *= np.maximum(_agreement(other_PN, other_PN, weight_DP), 0)
    between_D = _agreement(one_PN, other_PN, weight_DP)
    found_D: Floats = np.where(within_D > 0, between_D / np.sqrt(np.maximum(within_D, 1e-12)), -1.0)
    return found_D


def _agreement(one_PN: sp.csr_matrix, other_PN: sp.csr_matrix, weight_DP: Floats) -> Floats:
    """How much more often than usual two different people take the same item, one of each kind: float64 [D]."""
    one_P, other_P = (np.asarray(taken.getnnz(1) > 0, np.float64) for taken in (one_PN, other_PN))
    sum_D = ((weight_DP @ one_PN) * (weight_DP @ other_PN)).sum(1)
    same_P = np.asarray(one_PN.multiply(other_PN).sum(1)).ravel()
    agree_D = sum_D - weight_DP**2 @ same_P
    pairs_D = (weight_DP @ one_P) * (weight_DP @ other_P) - weight_DP**2 @ (one_P * other_P)
    found_D: Floats = np.where(pairs_D > 0, agree_D / np.maximum(pairs_D, 1e-12), 1.0) - 1.0
    return found_D


def _follows(one: Stems, other: Stems, known: set[frozenset[Stems]]) -> bool:
    """Whether shorter parts of two phrases are alike, so that the phrases are too."""
    return any(frozenset((a, b)) in known for a in _parts(one) for b in _parts(other))


def _parts(stems: Stems) -> Iterator[Stems]:
    yield from (stems[begin:end] for begin, end in combinations(range(len(stems) + 1), 2))


def _sets(alike: Sequence[Alike]) -> list[Proposed]:
    """Each pair in one set, with others that are alike with both."""
    left = {frozenset(one.words): one for one in alike}
    sets: list[Proposed] = []
    for one in alike:
        if frozenset(one.words) not in left:
            continue
        words = list(one.words)
        for other in sorted({word for pair in left for word in pair} - set(words)):
            if len(words) < MAX_SYNONYMS and all(frozenset((word, other)) in left for word in words):
                words.append(other)
        pairs = tuple(left.pop(frozenset(pair)) for pair in combinations(words, 2))
        sets.append(Proposed(f"proposed {words[0]} = {words[1]}", tuple(words), pairs))
    return sets


def _numbered(names: Iterable[str]) -> NDArray[np.int64]:
    number_of: dict[str, int] = {}
    return np.array([number_of.setdefault(name, len(number_of)) for name in names], np.int64)
