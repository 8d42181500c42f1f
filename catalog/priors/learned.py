"""What a catalog's events teach: the part of the priors that a bundle keeps, for words are read from the items anew.

A folder of NumPy arrays, which are mapped into memory, and a file of texts; a bundle has the SHA-256 of each.

T texts of queries, V words of queries, G categories, B brands, N items.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from catalog.errors import PriorsError
from catalog.priors import clicks, intents, popularity
from catalog.priors.events import TrainingEvents, takers
from catalog.priors.neighbours import ease, item_knn, next_kinds, transitions
from catalog.priors.neighbours.next_kinds import known_kinds
from catalog.priors.taste import Taste

__all__ = ["ARRAYS", "MATRICES", "MAX_NEIGHBOURS", "Learned", "learn", "open_learned", "save_learned"]

FORMAT = 3
OLDER = (1, 2)
"""Formats without `next_category_NG` and `next_brand_NB`, of which 1 has no `steps_N` and `takers_N` either, in whose
place events are counted."""
TEXTS = "texts.json"
WORDS = ("queries", "intent_words")
ARRAYS = ("evidence_VG", "events_N", "steps_N", "takers_N")
NEXT = ("next_category_NG", "next_brand_NB")
MATRICES = ("count_TN", "ease_NN", "transitions_NN", "item_knn_NN", *NEXT)
MAX_NEIGHBOURS = 200
"""Neighbours that EASE and transitions keep of an item."""


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What events teach.

    queries: the distinct cleaned queries.
    count_TN: how many events with an item came after each query, as all counts here by their weights.
    intent_words: the words of the rows of `evidence_VG`.
    evidence_VG: what each word says about categories; see `intents.py`.
    ease_NN, transitions_NN, item_knn_NN: the strongest neighbours of every item, a row each.
    next_category_NG, next_brand_NB: how often items of each category and brand were taken after every item; see
        `next_kinds.py`.
    events_N: how many events every item has, float64.
    until: the time of the newest of these events, Unix ms; 0 where nobody knows.
    steps_N, takers_N: how many steps of transitions lead to every item, and how many people took it, float64.
    """

    queries: Sequence[str]
    count_TN: sp.csr_matrix
    intent_words: Sequence[str]
    evidence_VG: np.ndarray
    ease_NN: sp.csr_matrix
    transitions_NN: sp.csr_matrix
    item_knn_NN: sp.csr_matrix
    next_category_NG: sp.csr_matrix
    next_brand_NB: sp.csr_matrix
    events_N: np.ndarray
    steps_N: np.ndarray
    takers_N: np.ndarray
    until: int = 0


def learn(
    events: TrainingEvents,
    kinds: Taste,
    words: Callable[[str], Sequence[str]],
    neighbours: tuple[ease.EaseSettings, transitions.TransitionSettings, item_knn.ItemKnnSettings],
) -> Learned:
    """What these events teach.

    kinds: the categories and brands of the items.
    words: the distinct words of a query.
    """
    queries, count_TN = clicks.count(events)
    categories, brands = len(kinds.number_of_category), len(kinds.number_of_brand)
    category_N, brand_N = known_kinds(kinds.category_N, categories), known_kinds(kinds.brand_N, brands)
    spoken = intents.fit(events, category_N, words)
    of_ease, of_transitions, of_knn = neighbours
    return Learned(
        queries=queries,
        count_TN=_small(count_TN),
        intent_words=tuple(spoken.column_of),
        evidence_VG=spoken.evidence_VG,
        ease_NN=_small(_strongest_of(ease.fit(events, of_ease))),
        transitions_NN=_small(item_knn.strongest(transitions.fit(events, of_transitions), MAX_NEIGHBOURS)),
        item_knn_NN=_small(item_knn.fit(events, of_knn)),
        next_category_NG=next_kinds.fit(events, category_N, categories + 1),
        next_brand_NB=next_kinds.fit(events, brand_N, brands + 1),
        events_N=popularity.fit(events),
        steps_N=transitions.steps(events),
        until=events.until,
        takers_N=takers(events.taken()),
    )


def save_learned(learned: Learned, folder: Path) -> None:
    """Write the folder, which must not exist."""
    folder.mkdir(parents=True)
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(learned, name))
    for name in MATRICES:
        matrix = getattr(learned, name)
        for part in ("data", "indices", "indptr"):
            np.save(folder / f"{name}.{part}.npy", getattr(matrix, part))
    shapes = {name: list(getattr(learned, name).shape) for name in MATRICES}
    texts = {name: list(getattr(learned, name)) for name in WORDS}
    content = {"format": FORMAT, "shapes": shapes, "until": learned.until, **texts}
    (folder / TEXTS).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def open_learned(folder: Path, items: int) -> Learned:
    """Map the folder into memory.

    items: how many the catalog has.
    Raises PriorsError for a folder that is missing, damaged, of another version, or of another catalog.
    """
    try:
        content = json.loads((folder / TEXTS).read_text(encoding="utf-8"))
        if content["format"] not in (*OLDER, FORMAT):
            raise PriorsError(f"{folder} has format {content['format']}, not {FORMAT}: publish the bundle again")
        parts: dict[str, Any] = {name: tuple(content[name]) for name in WORDS}
        parts["until"] = int(content.get("until", 0))
        names = ARRAYS if content["format"] > 1 else ARRAYS[:2]
        parts |= {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
        parts |= dict.fromkeys(ARRAYS[len(names) :], parts["events_N"])
        for name in MATRICES if content["format"] == FORMAT else MATRICES[: -len(NEXT)]:
            arrays = (np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in ("data", "indices", "indptr"))
            parts[name] = sp.csr_matrix(tuple(arrays), shape=content["shapes"][name])
            parts[name].check_format()
        if content["format"] < FORMAT:
            parts |= dict.fromkeys(NEXT, _nothing(items))
        learned = Learned(**parts)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise PriorsError(f"cannot read what events teach in {folder}: {error}; publish the bundle again") from error
    if not learned.ease_NN.shape[0] == learned.count_TN.shape[1] == len(learned.events_N) == items:
        raise PriorsError(f"{folder} is of {len(learned.events_N)} items and the catalog has {items}: publish it again")
    return learned


def _nothing(items: int) -> sp.csr_matrix:
    """What followed items where nothing was counted: float32 [N, 1]."""
    return sp.csr_matrix(
        (np.empty(0, np.float32), np.empty(0, np.int32), np.zeros(items + 1, np.int32)), shape=(items, 1)
    )


def _small(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """The same in half of the memory."""
    matrix.data = matrix.data.astype(np.float32)
    return matrix


def _strongest_of(model: ease.Ease) -> sp.csr_matrix:
    """The strongest positive weights of every item: float64 [N, N]."""
    kept = []
    for weight_H in model.weight_HH:
        best = np.argsort(-weight_H, kind="stable")[:MAX_NEIGHBOURS]
        kept.append(np.sort(best[weight_H[best] > 0]))
    starts = np.zeros(model.items + 1, np.int64)
    starts[model.item_H + 1] = [len(columns) for columns in kept]
    columns = np.concatenate(kept) if kept else np.empty(0, np.int64)
    owner = np.repeat(np.arange(len(kept)), [len(own) for own in kept])
    data = model.weight_HH[owner, columns]
    return sp.csr_matrix((data, model.item_H[columns], np.cumsum(starts)), shape=(model.items, model.items))
