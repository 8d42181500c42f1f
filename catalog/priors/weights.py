"""How much each feature of a prior counts beside the model's log-probability.

The weights of a bundle are learned on its validation questions (`trainer/evaluation/guidance`). A shop without
events has the usual ones, with which search works before anything is trained.

C candidates, F features, K items.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalog.errors import PriorsError
from catalog.priors.neighbours.next_kinds import NEXT_KINDS
from catalog.priors.priors import CLICK_FEATURES, FEATURES, Candidates
from catalog.priors.taste import TASTE_FEATURES
from catalog.priors.words import CONTENT_FEATURES, WORD_FEATURES
from catalog.search.guidance import Prior
from catalog.text.prompts import TASKS, Task

__all__ = [
    "POPULARITY",
    "SOURCES",
    "USUAL_WEIGHTS",
    "PriorWeights",
    "open_weights",
    "prior_of",
    "prior_of_values",
    "save_weights",
    "shares_by_source",
    "values_of",
]

POPULARITY = FEATURES.index("popularity")
JOINT_SOURCES: Mapping[str, tuple[str, ...]] = {
    "words": WORD_FEATURES,
    "clicks": CLICK_FEATURES,
    "neighbours": ("ease", "item_knn"),
    "transitions": ("transitions", *NEXT_KINDS),
    "taste": (*TASTE_FEATURES, *CONTENT_FEATURES),
}
SOURCES: Mapping[str, tuple[str, ...]] = {
    **JOINT_SOURCES,
    **{name: (name,) for name in FEATURES if not any(name in own for own in JOINT_SOURCES.values())},
}
"""The features of each source that answers name: one of its own for a feature that is in no other."""
COLUMNS = {source: np.array([FEATURES.index(name) for name in names]) for source, names in SOURCES.items()}


@dataclass(frozen=True, slots=True, eq=False)
class PriorWeights:
    """The weights for questions of one kind.

    model: of the model's log-probability, at least 0.
    feature_F: of every feature, float64.
    """

    model: float
    feature_F: NDArray[np.float64]

    @classmethod
    def of(cls, model: float, features: Mapping[str, float]) -> PriorWeights:
        """The weights by name; a feature that is not named has 0. Raises ValueError for a name that is none."""
        unknown = set(features) - set(FEATURES)
        if unknown:
            raise ValueError(f"no feature is named {sorted(unknown)[0]!r}: there are {', '.join(FEATURES)}")
        return cls(model, np.array([features.get(name, 0.0) for name in FEATURES]))

    def as_json(self) -> dict[str, float]:
        """The weight of the model and of every feature that has one."""
        named = zip(FEATURES, self.feature_F.tolist(), strict=True)
        return {"model": round(self.model, 4), **{name: round(value, 4) for name, value in named if value}}

    @classmethod
    def from_json(cls, values: Mapping[str, float]) -> PriorWeights:
        """The inverse of `as_json`. Raises ValueError."""
        return cls.of(values.get("model", 0.0), {name: value for name, value in values.items() if name != "model"})


USUAL_WEIGHTS: Mapping[Task, PriorWeights] = {
    "search": PriorWeights.of(
        0.5,
        {
            "bm25": 1.5,
            "covered": 4.0,
            "title_covered": 1.5,
            "title_asked": 1.5,
            "brand": 2.0,
            "category": 1.0,
            "attributes": 2.0,
            "numbers": 1.0,
            "beside": 1.0,
            "category_named": 2.0,
            "exact_title": 20.0,
            "identifier": 30.0,
            "title_begun": 4.0,
            "same_clicks": 1.0,
            "alike_clicks": 1.0,
            "intent": 0.5,
            "transitions": 0.5,
            "item_knn": 1.0,
            "ease": 0.5,
            "brand_taste": 0.5,
            "category_taste": 0.5,
            "shown": -1.0,
            "popularity": 1.0,
        },
    ),
    "recommendation": PriorWeights.of(
        0.5,
        {
            "ease": 2.0,
            "transitions": 1.5,
            "item_knn": 1.0,
            "next_category": 0.2,
            "next_brand": 0.1,
            "brand_taste": 0.5,
            "category_taste": 1.0,
            "content": 0.5,
            "content_last": 1.0,
            "shown": -3.0,
            "popularity": 1.0,
        },
    ),
}
"""What weights are drawn towards where there are few validation questions, and what a shop without any has: rounded
means of those that were learned on the bundled store, MovieLens and Last.fm. Hardly any held-out question is a title or
an id, and none is half of a title, so those three are set: whoever types one wants that item. That of words beside each
other was chosen on half of the queries of a hardware store, and those of attributes and of named categories are set. No
store has impressions: what was shown n times and left is 1 / (1 + n) times as likely to be recommended, and the cube
root of it times as likely to be found, as people also search for what they have seen."""


def save_weights(weights: Mapping[Task, PriorWeights], file: Path) -> None:
    """Write the weights of each task."""
    file.write_text(
        json.dumps({task: own.as_json() for task, own in weights.items()}, indent=2) + "\n", encoding="utf-8"
    )


def open_weights(file: Path) -> dict[Task, PriorWeights]:
    """Read the weights of each task. Raises PriorsError."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        return {task: PriorWeights.from_json(values[task]) for task in TASKS}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PriorsError(f"cannot read the weights in {file}: {error!r}; publish the bundle again") from error


def shares_by_source(share_KF: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """What each source adds to the scores of some items, float64 [K].

    share_KF: what every feature adds, its value times its weight.
    """
    return {source: share_KF[:, own].sum(1) for source, own in COLUMNS.items()}


def prior_of(candidates: Candidates, weights: PriorWeights) -> Prior:
    """What guides the search: g of the candidates, and what popularity counts for all other items.

    The static prior that belongs to it is `Priors.popularity_N`.
    """
    return prior_of_values(candidates.item_C, values_of(candidates, weights), weights)


def values_of(candidates: Candidates, weights: PriorWeights) -> NDArray[np.float32]:
    """g of the candidates, float32 [C]."""
    return np.asarray(candidates.value_CF @ weights.feature_F, np.float32)


def prior_of_values(leaf_C: NDArray[np.int64], value_C: NDArray[np.float32], weights: PriorWeights) -> Prior:
    """What guides the search, of g of the candidates."""
    return Prior(leaf_C, value_C, model_weight=weights.model, static_weight=float(weights.feature_F[POPULARITY]))
