"""What events count: a weight for each type, nothing for ratings that are too low, and nothing before a dislike.

Training, priors and histories go by the same rules:

    an interaction   counts the weight of its type, 1 where none is configured
    a type of 0      is kept, but no signal: it counts nothing
    a rating         under `positive_rating` counts nothing; one without a value counts as any other
    a dislike        counts nothing, nor does what the user did with the item before it
    an impression    counts nothing

E events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from catalog.data.columns.long_text import encoded
from catalog.data.events import VALUE, EventType

__all__ = ["EQUAL_WEIGHTS", "EventWeights"]


@dataclass(frozen=True, slots=True)
class EventWeights:
    """
    weights: of types of interactions.
    positive_rating: the least value of a rating that counts; None for any.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    positive_rating: float | None = None

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> EventWeights:
        """Those of a recipe, as a bundle's manifest keeps it; a bundle from before there were any has equal ones."""
        own = settings.get("events") or {}
        return cls(dict(own.get("weights") or {}), own.get("positive_rating"))

    @property
    def ignore_some(self) -> bool:
        """Whether an interaction may count nothing by itself."""
        return self.positive_rating is not None or 0 in self.weights.values()

    def of(self, kind: str, value: float | None = None) -> float:
        """What an event counts by itself; 0 for one that is not positive. kind: of `EventType`, as text."""
        if kind in NO_INTERACTIONS:
            return 0.0
        low = self.positive_rating is not None and value is not None and value < self.positive_rating
        return 0.0 if kind == RATING and low else self.weights.get(kind, 1.0)

    def of_events(self, events: pa.Table) -> NDArray[np.float64]:
        """What each row of an events table counts, float64 [E]; at one moment the later row came later."""
        kinds = encoded(events["type"])
        value_E = pc.fill_null(events[VALUE], np.nan).to_numpy() if VALUE in events.column_names else None

        def codes(name: str) -> NDArray[np.int64]:
            code_E: NDArray[np.int64] = encoded(events[name]).indices.to_numpy().astype(np.int64)
            return code_E

        return self.of_arrays(
            kinds.dictionary.to_pylist(),
            kinds.indices.to_numpy(),
            value_E,
            lambda: (codes("user_id"), codes("item_id")),
            events["timestamp"].to_numpy(),
        )

    def of_arrays(
        self,
        kinds: Sequence[str],
        kind_E: NDArray[np.integer[Any]],
        value_E: NDArray[np.float64] | None,
        who_and_what: Callable[[], tuple[NDArray[np.int64], NDArray[np.int64]]],
        time_E: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """What events count, float64 [E], given as arrays; at one moment the later one came later.

        kind_E: of each its place in `kinds`. value_E: NaN where there is none. who_and_what: gives the numbers of each
        event's user and item; it is called where somebody dislikes something.
        """
        weight_E: NDArray[np.float64] = np.array([self.of(kind) for kind in kinds], np.float64)[kind_E]
        if self.positive_rating is not None and value_E is not None:
            rated_E = np.array([kind == RATING for kind in kinds], bool)[kind_E]
            weight_E[rated_E & (value_E < self.positive_rating)] = 0
        disliked_E = np.array([kind == DISLIKE for kind in kinds], bool)[kind_E]
        if disliked_E.any():
            weight_E[_before_dislikes(*who_and_what(), time_E, disliked_E)] = 0
        return weight_E


EQUAL_WEIGHTS = EventWeights()
RATING, DISLIKE = EventType.RATING.value, EventType.DISLIKE.value
NO_INTERACTIONS = frozenset(kind.value for kind in EventType if not kind.is_interaction)


def _before_dislikes(
    user_E: NDArray[np.int64], item_E: NDArray[np.int64], time_E: NDArray[np.int64], disliked_E: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether the user disliked the event's item later: bool [E]."""
    pair_E = user_E * (int(item_E.max(initial=0)) + 1) + item_E
    _, pair_E = np.unique(pair_E, return_inverse=True)
    place_E = np.empty(len(pair_E), np.int64)
    place_E[np.argsort(time_E, kind="stable")] = np.arange(len(pair_E))
    last_P = np.full(int(pair_E.max(initial=-1)) + 1, -1, np.int64)
    np.maximum.at(last_P, pair_E[disliked_E], place_E[disliked_E])
    before_E: NDArray[np.bool_] = place_E < last_P[pair_E]
    return before_E
