"""Golden queries: a check that weights, tokenizer, codes, index and items belong together where they run.

A few prompts are ranked by transformers in float32 when the bundle is published, and kept with their results in
`golden.json`. Whoever loads the bundle ranks them again. An engine rounds to bfloat16 and adds in another order, so
neither the order of near ties nor the last digits of a score are compared. The scores of the best items hardly depend
on rounding: on trained models of 2 × 128 the median of their differences was at most 0.012, while a model of another
seed was 0.3 to 2.2 off, and one whose weights have 5% noise up to 0.24. How much rounding matters depends on the model,
so the tolerance is no constant: it is measured on the model itself when the queries are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog.data.items import Items, item_text
from catalog.errors import BundleError
from catalog.text.prompts import Interaction, PromptFormat

__all__ = ["GoldenQueries", "GoldenQuery"]

WIDTH = 50
"""Beam width. Everything that the beam finds is compared, so that near ties may change places."""
BEST = 10
"""Number of best items that are kept of every query."""
MIN_FOUND = 0.5
"""Share of them that must be found. A flat model may lose some at the edge of the beam."""
ROUNDING_FACTOR = 5.0
"""Tolerance over the effect of bfloat16 on this model in transformers, because other kernels round differently."""
MIN_TOLERANCE = 0.02
"""Nats; for models on which rounding has hardly any effect."""
MAX_QUERY_CHARACTERS = 60

Result = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Leaves, best first, and their log-probabilities."""


class Ranker(Protocol):
    """A model that ranks items, such as `catalog.search.transformers.TransformersRanker`."""

    def rank(self, prompts: Sequence[Sequence[int]], width: int) -> Sequence[Result]:
        """The results of a beam of this width for every prompt."""
        ...


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GoldenQuery(_Stored):
    """A query with its prompt and its best items.

    query: the words of a search; None for a recommendation.
    history: item ids, oldest first, each with the words of the search that led to it.
    tokens: the prompt.
    ids, leaves, scores: the best items, best first.
    """

    query: str | None
    history: tuple[tuple[str, str | None], ...]
    tokens: tuple[int, ...]
    ids: tuple[str, ...]
    leaves: tuple[int, ...]
    scores: tuple[float, ...]


class GoldenQueries(_Stored):
    """The content of golden.json.

    width: beam width.
    normalize: how scores are normalised.
    tolerance: the median difference of a query's scores that is allowed, in nats.
    """

    width: int
    normalize: Literal["codes", "children"]
    tolerance: float
    queries: tuple[GoldenQuery, ...] = Field(alias="questions")

    @classmethod
    def open(cls, path: Path) -> GoldenQueries:
        """Read golden.json. Raises BundleError for a file that is not valid."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise BundleError(f"{path} holds no golden queries, publish the bundle again: {error}") from error

    def save(self, path: Path) -> None:
        """Write golden.json."""
        path.write_text(self.model_dump_json(indent=1, by_alias=True) + "\n", encoding="utf-8")

    @classmethod
    def make(
        cls,
        exact: Ranker,
        rounded: Ranker,
        prompts: PromptFormat,
        items: Items,
        *,
        normalize: Literal["codes", "children"] = "codes",
    ) -> GoldenQueries:
        """Make queries about the items as published and rank them.

        exact: the model in float32.
        rounded: the same model in bfloat16.
        normalize: what both normalise over.
        """
        drawn = _draw_queries(items, prompts)
        tokens = [_render(query, history, prompts, items) for query, history in drawn]
        results = exact.rank(tokens, WIDTH)
        queries = tuple(
            GoldenQuery(
                query=query,
                history=history,
                tokens=tuple(prompt),
                ids=tuple(items.record(leaf)["item_id"] for leaf in leaves[:BEST].tolist()),
                leaves=tuple(leaves[:BEST].tolist()),
                scores=tuple(scores[:BEST].tolist()),
            )
            for (query, history), prompt, (leaves, scores) in zip(drawn, tokens, results, strict=True)
        )
        rounded_results = rounded.rank(tokens, WIDTH)
        rounding = [_difference(query, *result) for query, result in zip(queries, rounded_results, strict=True)]
        tolerance = max(MIN_TOLERANCE, ROUNDING_FACTOR * max(rounding))
        return cls(width=WIDTH, normalize=normalize, tolerance=tolerance, questions=queries)

    def check_prompt(self, golden: GoldenQuery, prompts: PromptFormat, items: Items) -> str | None:
        """What is wrong with tokenizer, codes or items, or None.

        items: as published, before any change.
        """
        unknown = [item_id for item_id, _ in golden.history if items.row_of(item_id) is None]
        if unknown:
            return f"the history's item {unknown[0]!r} is not in the catalog: items of another bundle"
        if tuple(_render(golden.query, golden.history, prompts, items)) != golden.tokens:
            return "the prompt has other tokens than when it was published: another tokenizer, codes or prompt settings"
        found = [items.row_of(item_id) for item_id in golden.ids]
        return None if found == list(golden.leaves) else "items have other leaves than when they were published"

    def check(self, golden: GoldenQuery, leaves: Sequence[int], scores: Sequence[float]) -> str | None:
        """What is wrong with an engine's result, or None.

        leaves, scores: everything that a beam of `width` finds for the query's tokens without any restriction, with
        scores normalised as `normalize` says.
        """
        found = len(set(golden.leaves) & set(leaves))
        if found < MIN_FOUND * len(golden.leaves):
            return f"only {found} of the {len(golden.leaves)} best items came back: {_CAUSES}"
        difference = _difference(golden, leaves, scores)
        if difference <= self.tolerance:
            return None
        return f"scores are {difference:.3g} off, {self.tolerance:.3g} is rounding: {_CAUSES}"


_CAUSES = "weights, tokenizer, codes and index do not belong together, or a cache holds another model's prompts"


def _difference(
    golden: GoldenQuery, leaves: Sequence[int] | NDArray[np.int64], scores: Sequence[float] | NDArray[np.float32]
) -> float:
    """The median difference of the scores of the best items that were found."""
    score_of = dict(zip(leaves, scores, strict=True))
    expected = zip(golden.leaves, golden.scores, strict=True)
    return float(np.median([abs(score - score_of[leaf]) for leaf, score in expected if leaf in score_of]))


_Drawn = tuple[str | None, tuple[tuple[str, str | None], ...]]
"""A query's words, or None, and its history."""


def _draw_queries(items: Items, prompts: PromptFormat) -> list[_Drawn]:
    """Searches and recommendations, with no history, a short one, and one longer than prompts show.

    Long histories have searches in them: the longer a prompt is, the more of it an engine's prefix cache may hold.
    """
    ids, texts = zip(*_spread(items), strict=True)
    longest = prompts.max_history + 1
    short = tuple((item_id, None) for item_id in ids[:3])
    long = tuple(islice(cycle(zip(ids, texts, strict=True)), longest))
    back = tuple(islice(cycle(zip(reversed(ids), cycle((None, texts[0])), strict=False)), longest))
    return [
        (None, ()),
        (texts[0], ()),
        (texts[len(texts) // 2], ()),
        (texts[-1], ()),
        (None, short),
        (texts[-1], short),
        (None, long),
        (texts[0], back),
    ]


def _spread(items: Items) -> list[tuple[str, str]]:
    """The id and the text of a few items, evenly spread over the catalog."""
    rows = np.unique(np.linspace(0, len(items) - 1, num=12).astype(int)).tolist()
    records = [items.record(row) for row in rows]
    return [(record["item_id"], item_text(record)[:MAX_QUERY_CHARACTERS].strip() or "item") for record in records]


def _render(
    query: str | None, history: Sequence[tuple[str, str | None]], prompts: PromptFormat, items: Items
) -> list[int]:
    found = ((items.row_of(item_id), by) for item_id, by in history)
    return prompts.render([Interaction(row, by) for row, by in found if row is not None], query)
