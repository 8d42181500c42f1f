"""How an item's score came about: what each source adds, how likely the model found each of its codes, and which of
the user's items is most like it.

Two items are alike as far as their identifiers begin alike: codes are quantised from what items are about and who took
them, the coarsest first.

Shapes: K items of an answer, H items of a history, L levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from catalog.data.events import EventType
from catalog.ids.codes import token_name
from catalog.priors.weights import shares_by_source
from catalog.text.prompts import Interaction
from server.engine.protocol import Ranking
from server.query.types import Explanation, LevelProbability, Pinned, Query, Reason, ReasonCode
from server.retrieval.live_catalog import Searcher
from server.retrieval.priors.guided_by import GuidedBy
from server.storage.protocol import History

__all__ = ["deed", "explanations_of", "likeness_of", "nearest", "shortened"]

NONE = -1
MAX_QUERY_SHOWN = 60  # characters
DEEDS = {
    EventType.VIEW: "viewed",
    EventType.CLICK: "opened",
    EventType.CART: "put into your basket",
    EventType.PURCHASE: "bought",
    EventType.RATING: "rated",
}


def nearest(codes_KL: NDArray[np.integer], codes_HL: NDArray[np.integer]) -> NDArray[np.int64]:
    """For each item the history's that shares the most leading codes, of equals the latest, int64 [K]; NONE where the
    first code is nowhere."""
    if len(codes_HL) == 0:
        return np.full(len(codes_KL), NONE)
    same_KHL = codes_KL[:, None, :] == codes_HL[None, ::-1, :]
    shared_KH = np.logical_and.accumulate(same_KHL, 2).sum(2)
    best_K = shared_KH.argmax(1)
    alike_K = shared_KH.max(1) > 0
    return np.where(alike_K, len(codes_HL) - 1 - best_K, NONE)


def likeness_of(
    query: Query, searcher: Searcher, leaves: Sequence[int], past: Sequence[Interaction], history: History
) -> list[Reason]:
    """The reason of each leaf of an answer as far as the model goes, by the item of the history that is most like it.

    past: the history as the model saw it, oldest first; history: all of it.
    """
    code = _code(query, has_past=len(past) > 0)
    if not past:
        return [Reason(code, None, _text(code, query, None))] * len(leaves)
    codes_NL = searcher.snapshot.codes_NL
    near_K = nearest(codes_NL[list(leaves)], codes_NL[[interaction.leaf for interaction in past]])
    if query.kind == "similar":
        near_K[(near_K == NONE) | (len(past) == 1)] = len(past) - 1
    known = {place: _reason(code, query, searcher, past[place], history) for place in set(near_K.tolist()) - {NONE}}
    alone: ReasonCode = "query" if query.text is not None else "history"
    strange = Reason(alone, None, _text(alone, query, None))
    return [known.get(place, strange) for place in near_K.tolist()]


def explanations_of(
    searcher: Searcher,
    ranking: Ranking,
    boosted_K: Sequence[float],
    without_history: Ranking | None,
    guided_by: GuidedBy | None,
    pins: Sequence[Pinned],
) -> list[Explanation]:
    """One for each leaf.

    ranking: without boosts. boosted_K: what these add to each score.
    without_history: the same leaves ranked as for a stranger; None where there is no history.
    guided_by: what guided the ranking; None for the model alone.
    """
    assert ranking.level_scores is not None, "the engine was asked for them"
    codes_NL = searcher.snapshot.codes_NL
    pin_of = {pin.leaf: pin for pin in pins}
    plain = {} if without_history is None else dict(zip(without_history.leaves, without_history.scores, strict=True))
    return [
        Explanation(
            tuple(
                LevelProbability(token_name(level, code), math.exp(logp))
                for level, (code, logp) in enumerate(zip(codes_NL[leaf].tolist(), score_L, strict=True))
            ),
            score - plain[leaf] if leaf in plain else None,
            shares | ({"boost": round(boosted, 6)} if boosted else {}),
            pin_of[leaf].position if leaf in pin_of else None,
            pin_of[leaf].override if leaf in pin_of else None,
        )
        for leaf, score, score_L, shares, boosted in zip(
            ranking.leaves, ranking.scores, ranking.level_scores, _shares(ranking, guided_by), boosted_K, strict=True
        )
    ]


def _shares(ranking: Ranking, guided_by: GuidedBy | None) -> list[dict[str, float]]:
    """What the model and every source that says something add to each score.

    The static prior that the engine holds may be a little older than popularity is now, so that of items which no
    source lists is what the model leaves of their scores.
    """
    assert ranking.level_scores is not None, "the engine was asked for them"
    if guided_by is None:
        return [{"model": score} for score in ranking.scores]
    weights = guided_by.weights
    by_source = shares_by_source(guided_by.features(ranking.leaves) * weights.feature_F)
    shares = [
        {"model": weights.model * math.fsum(score_L)}
        | {name: float(share_K[place]) for name, share_K in by_source.items()}
        for place, score_L in enumerate(ranking.level_scores)
    ]
    for own, score, listed in zip(shares, ranking.scores, guided_by.is_listed(ranking.leaves).tolist(), strict=True):
        if not listed:
            own["popularity"] = score - own["model"]
    return [{name: round(share, 6) for name, share in own.items() if share or name == "model"} for own in shares]


def _code(query: Query, *, has_past: bool) -> ReasonCode:
    if query.kind == "similar":
        return "similar"
    if query.text is not None:
        return "query_and_history" if has_past else "query"
    return "history" if has_past else "general"


def deed(like: Interaction, item_id: str, history: History) -> str:
    """What the user did last with an item of the history, as in `which you viewed`."""
    kind = history.latest_type(item_id)
    found = like.query is not None and kind in (EventType.VIEW, EventType.CLICK)
    return f"which you found with “{shortened(like.query or '')}”" if found else f"which you {DEEDS[kind]}"


def _reason(code: ReasonCode, query: Query, searcher: Searcher, like: Interaction, history: History) -> Reason:
    item_id: str = searcher.items.table["item_id"][like.leaf].as_py()
    title = searcher.items.title(like.leaf)
    how = "" if code == "similar" else f", {deed(like, item_id, history)}"
    return Reason(code, item_id, _text(code, query, f"{title}{how}"))


def _text(code: ReasonCode, query: Query, like: str | None) -> str:
    text = shortened(query.text or "")
    match code:
        case "query":
            return f"Found for “{text}”"
        case "query_and_history":
            return f"Found for “{text}”, and like {like}"
        case "history" if like is None:
            return "Goes with what you did here"
        case "history" | "similar":
            return f"Like {like}"
        case "general":
            return "Liked by many"


def shortened(text: str) -> str:
    """What somebody typed, as far as it is shown."""
    return text if len(text) <= MAX_QUERY_SHOWN else f"{text[:MAX_QUERY_SHOWN].rstrip()}…"
