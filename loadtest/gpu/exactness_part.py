"""Whether searches on the device give what they give on the processor: the same items, and scores within a tolerance.

The models are small and in float32, with weights that spread the scores, so that a difference is a fault and not a
rounding. The processor's answers come from the tensor expansion too, and, where numba is installed, from the compiled
one, which is the one that it serves with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from catalog.ids.index import ItemIndex
from catalog.search import transformers as driver
from catalog.search.beam import BeamSearch
from catalog.search.restriction import FilterBitmap
from catalog.search.transformers import TransformersRanker
from loadtest.gpu.journal import Journal, fault_of
from loadtest.measure.tables import print_table
from loadtest.synthetic.codes import uniform_codes
from loadtest.synthetic.qwen import random_qwen

__all__ = ["SMALL", "WHOLE", "ExactnessSizes", "is_right", "run", "setup_of", "show"]

TOLERANCE = 1e-4
"""Of a score, a sum of log-probabilities."""
SPREAD = 0.3
"""Standard deviation of the weights, which makes some codes much likelier than others, as training does."""
WORDS = 200
LENGTHS = (3, 17, 30, 41)


@dataclass(frozen=True, slots=True)
class ExactnessSizes:
    """How much is compared. depth and size: of the identifiers; widths: of the beams."""

    items: int
    depth: int
    size: int
    widths: tuple[int, ...]


WHOLE = ExactnessSizes(200_000, 3, 256, (1, 10, 50, 256))
SMALL = ExactnessSizes(2000, 3, 32, (1, 20))


@dataclass(frozen=True, slots=True)
class Answers:
    """The leaves and scores of every prompt."""

    leaves: list[NDArray[np.int64]]
    scores: list[NDArray[np.float32]]


def setup_of(sizes: ExactnessSizes) -> dict[str, Any]:
    """The sizes, for the report."""
    return asdict(sizes) | {"tolerance": TOLERANCE}


def run(sizes: ExactnessSizes, device: str, journal: Journal) -> None:
    """Compare every model, restriction and width, and add a row for each."""
    index = ItemIndex.build(uniform_codes(sizes.items, sizes.depth, sizes.size, seed=0), [sizes.size] * sizes.depth)[0]
    tokens = [WORDS + level * sizes.size + np.arange(sizes.size) for level in range(sizes.depth)]
    draw = np.random.default_rng(2)
    prompts: list[list[int]] = [draw.integers(1, WORDS, length).tolist() for length in LENGTHS]
    for name, make in _models(WORDS + sizes.depth * sizes.size).items():
        try:
            model = make()
            reference = TransformersRanker(model, index, tokens)
            expected = {
                (kind, width): _answers(reference, prompts, width, limits, compiled=False)
                for kind, limits in _restrictions(index, len(prompts)).items()
                for width in sizes.widths
            }
            if find_spec("numba") is not None:
                _compare(f"{name}, compiled", reference, prompts, expected, index, journal, compiled=True)
            ranker = TransformersRanker(model.to(device), index, tokens)
            _compare(name, ranker, prompts, expected, index, journal, compiled=False)
        except Exception as error:
            journal.add(model=name, error=fault_of(error))


def _compare(
    name: str,
    ranker: TransformersRanker,
    prompts: list[list[int]],
    expected: dict[tuple[str, int], Answers],
    index: ItemIndex,
    journal: Journal,
    *,
    compiled: bool,
) -> None:
    restrictions = _restrictions(index, len(prompts))
    for (kind, width), wanted in expected.items():
        found = _answers(ranker, prompts, width, restrictions[kind], compiled=compiled)
        pairs = list(zip(wanted.scores, found.scores, strict=True))
        sizes_differ = any(len(one) != len(other) for one, other in pairs)
        difference = float("inf") if sizes_differ else max(_largest(one - other) for one, other in pairs)
        journal.add(
            model=name,
            restriction=kind,
            width=width,
            prompts=len(prompts),
            same_items=all(
                set(one.tolist()) == set(other.tolist()) for one, other in zip(wanted.leaves, found.leaves, strict=True)
            ),
            same_order=all(
                one.tolist() == other.tolist() for one, other in zip(wanted.leaves, found.leaves, strict=True)
            ),
            same_but_ties=_same_but_ties(wanted, found),
            score_difference=difference,
            within_tolerance=difference <= TOLERANCE,
        )


def _answers(
    ranker: TransformersRanker, prompts: list[list[int]], width: int, limits: dict[str, Any], *, compiled: bool
) -> Answers:
    with _expansion(compiled=compiled):
        ranked = ranker.rank(prompts, width, **limits)
    return Answers([row.leaves for row in ranked], [row.scores for row in ranked])


@contextmanager
def _expansion(*, compiled: bool) -> Iterator[None]:
    """The driver with this expansion; on a processor it would choose the compiled one, which needs numba."""
    with patch.object(driver, "BeamSearch", partial(BeamSearch, compiled=compiled)):
        yield


def _restrictions(index: ItemIndex, rows: int) -> dict[str, dict[str, Any]]:
    """What searches are limited by, drawn from a seed: arguments of `TransformersRanker.rank`."""
    draw = np.random.default_rng(3)

    def some(count: int) -> NDArray[np.int64]:
        return np.sort(draw.choice(len(index), count, replace=False))

    deny = [some(len(index) // 4) for _ in range(rows)]
    allow = [some(30) for _ in range(rows)]
    shared, rare = FilterBitmap(index, some(len(index) // 10)), FilterBitmap(index, some(5))
    filters = [None, *(shared if row % 2 else rare for row in range(rows - 1))]
    return {
        "none": {},
        "deny": {"deny": deny},
        "allow": {"allow": [None, *allow[1:]]},
        "filter": {"filters": filters},
        "all": {"deny": deny, "allow": [*allow[:-1], None], "filters": filters},
    }


def _models(vocabulary: int) -> dict[str, Callable[[], PreTrainedModel]]:
    shared: dict[str, Any] = {"vocab_size": vocabulary, "initializer_range": SPREAD, "dtype": torch.float32}
    return {
        "qwen3": partial(random_qwen, "qwen3-tiny", **shared),
        "qwen2": partial(random_qwen, "qwen2.5-tiny", **shared),
        "t5": partial(_random_t5, vocabulary),
    }


def _random_t5(vocabulary: int) -> PreTrainedModel:
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=vocabulary,
        d_model=64,
        d_kv=32,
        d_ff=96,
        num_layers=2,
        num_heads=2,
        decoder_start_token_id=0,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    model = T5ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                module.weight.mul_(2)
    return model


def _same_but_ties(wanted: Answers, found: Answers) -> bool:
    """Whether the items that only one of both has are as likely as its last one, so that rounding may choose."""
    for one, other in ((wanted, found), (found, wanted)):
        for leaves, scores, others in zip(one.leaves, one.scores, other.leaves, strict=True):
            alone = ~np.isin(leaves, others)
            if alone.any() and (scores[alone] > scores[-1] + TOLERANCE).any():
                return False
    return True


def _largest(difference: NDArray[np.float32]) -> float:
    return float(np.abs(difference).max(initial=0.0))


def is_right(report: dict[str, Any]) -> bool:
    """Whether every row has the same items, but for ties at the end, and scores within the tolerance."""
    rows = report["rows"]
    return bool(rows) and all(row.get("same_but_ties") and row.get("within_tolerance") for row in rows)


def show(report: dict[str, Any]) -> None:
    """Print the table, and the verdict above it."""
    header = ("model", "restriction", "width", "same items", "same order", "largest difference of a score")
    rows = [
        (row["model"], row["error"], *[None] * 4)
        if "error" in row
        else tuple(
            row[key] for key in ("model", "restriction", "width", "same_items", "same_order", "score_difference")
        )
        for row in report["rows"]
    ]
    verdict = "exact" if is_right(report) else "NOT EXACT"
    print_table(f"{report['card']['name']} beside the processor, float32: {verdict}", header, rows)
