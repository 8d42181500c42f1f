"""Golden questions: proof that weights, tokenizer, codes, index and items belong together where they run.

A few prompts are ranked when the bundle is published, by transformers in float32, and kept in `golden.json` with their
answers. Whoever loads the bundle asks them again. An engine rounds (bfloat16) and adds in another order, so neither the
order of near ties nor the last digits of scores say anything. What rounding leaves nearly alone are the scores of the
items that were best: the median of their differences was at most 0.012 on models of 2 × 128 that were trained, while a
model of another seed was 0.3 to 2.2 off, and weights with 5% noise up to 0.24. Models differ in how much they round, so
the tolerance is not a constant: it is measured, on the model itself, when the questions are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from catalog.data.items import Items, item_text
from catalog.errors import BundleError
from catalog.text.prompts import Interaction, PromptFormat

__all__ = ["GoldenQueries", "GoldenQuery"]

WIDTH = 50  # of the beam; all that it finds is compared, so that near ties may change places
KEPT = 10  # best items of every question
FEWEST_FOUND = 0.5  # of them; a flat model may lose some at the edge of the beam
ROUNDING = 5.0  # times what bfloat16 does to this model in transformers: room for how other kernels round
LEAST_TOLERANCE = 0.02  # nats, where a model hardly rounds at all
QUERY_CHARACTERS = 60

Answer = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Leaves, best first, and their log-probabilities."""


class Ranker(Protocol):
    def rank(self, prompts: Sequence[Sequence[int]], width: int) -> Sequence[Answer]:
        """What a beam of this width finds after every prompt."""
        ...


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GoldenQuery(_Kept):
    """history: item ids, oldest first, each with the query that led to it. ids, leaves, scores: the best items."""

    query: str | None
    history: tuple[tuple[str, str | None], ...]
    tokens: tuple[int, ...]
    ids: tuple[str, ...]
    leaves: tuple[int, ...]
    scores: tuple[float, ...]


class GoldenQueries(_Kept):
    """golden.json. `tolerance`: how far off, in nats, the median score of a question's best items may be."""

    width: int
    normalize: Literal["codes"]
    tolerance: float
    questions: tuple[GoldenQuery, ...]

    @classmethod
    def open(cls, path: Path) -> GoldenQueries:
        """Raises BundleError for a file that is none."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise BundleError(f"{path} holds no golden questions, publish the bundle again: {error}") from error

    def save(self, path: Path) -> None:
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def ask(cls, exact: Ranker, rounded: Ranker, prompts: PromptFormat, items: Items) -> GoldenQueries:
        """Makes questions about the items as published and has them answered.

        exact: ranks in float32, normalised over the codes of a level; rounded: the same model in bfloat16.
        """
        asked = _questions(items, prompts)
        tokens = [_render(query, history, prompts, items) for query, history in asked]
        answers = exact.rank(tokens, WIDTH)
        questions = tuple(
            GoldenQuery(
                query=query,
                history=history,
                tokens=tuple(prompt),
                ids=tuple(items.record(leaf)["item_id"] for leaf in leaves[:KEPT].tolist()),
                leaves=tuple(leaves[:KEPT].tolist()),
                scores=tuple(scores[:KEPT].tolist()),
            )
            for (query, history), prompt, (leaves, scores) in zip(asked, tokens, answers, strict=True)
        )
        again = rounded.rank(tokens, WIDTH)
        rounding = [_difference(question, *answer) for question, answer in zip(questions, again, strict=True)]
        tolerance = max(LEAST_TOLERANCE, ROUNDING * max(rounding))
        return cls(width=WIDTH, normalize="codes", tolerance=tolerance, questions=questions)

    def check_prompt(self, question: GoldenQuery, prompts: PromptFormat, items: Items) -> str | None:
        """What is wrong with tokenizer, codes or items, or None. `items`: as published, before any change."""
        unknown = [item_id for item_id, _ in question.history if items.row_of(item_id) is None]
        if unknown:
            return f"the history's item {unknown[0]!r} is not in the catalog: items of another bundle"
        if tuple(_render(question.query, question.history, prompts, items)) != question.tokens:
            return "the prompt has other tokens than when it was published: another tokenizer, codes or prompt settings"
        found = [items.row_of(item_id) for item_id in question.ids]
        return None if found == list(question.leaves) else "items have other leaves than when they were published"

    def check(self, question: GoldenQuery, leaves: Sequence[int], scores: Sequence[float]) -> str | None:
        """What is wrong with an engine's answer, or None.

        leaves, scores: all that a beam of `width` finds after the question's tokens with nothing excluded, scores
        normalised as `normalize` says.
        """
        found = len(set(question.leaves) & set(leaves))
        if found < FEWEST_FOUND * len(question.leaves):
            return f"only {found} of the {len(question.leaves)} best items came back: {_CAUSES}"
        difference = _difference(question, leaves, scores)
        if difference <= self.tolerance:
            return None
        return f"scores are {difference:.3g} off, {self.tolerance:.3g} is rounding: {_CAUSES}"


_CAUSES = "weights, tokenizer, codes and index do not belong together, or a cache holds another model's prompts"


def _difference(
    question: GoldenQuery, leaves: Sequence[int] | NDArray[np.int64], scores: Sequence[float] | NDArray[np.float32]
) -> float:
    """The median difference of the scores of the best items that were found."""
    score_of = dict(zip(leaves, scores, strict=True))
    kept = zip(question.leaves, question.scores, strict=True)
    return float(np.median([abs(score - score_of[leaf]) for leaf, score in kept if leaf in score_of]))


_Asked = tuple[str | None, tuple[tuple[str, str | None], ...]]


def _questions(items: Items, prompts: PromptFormat) -> list[_Asked]:
    """Searches and recommendations, with no history, a short one and one longer than prompts show.

    Long histories have queries: the more tokens a prompt has, the more of it an engine's prefix cache may hold.
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
    """Identifier and text of a few items from all over the catalog."""
    rows = np.unique(np.linspace(0, len(items) - 1, num=12).astype(int)).tolist()
    records = [items.record(row) for row in rows]
    return [(record["item_id"], item_text(record)[:QUERY_CHARACTERS].strip() or "item") for record in records]


def _render(
    query: str | None, history: Sequence[tuple[str, str | None]], prompts: PromptFormat, items: Items
) -> list[int]:
    found = ((items.row_of(item_id), by) for item_id, by in history)
    return prompts.render([Interaction(row, by) for row, by in found if row is not None], query)
