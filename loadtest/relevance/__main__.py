"""Asks a bundle what any shopper would expect of it, in questions made from its own catalog:

    python -m loadtest.relevance --bundle bundles/current --json relevance.json [--count 400] [--seed 0] [--width 50]

Of questions for one item, `first` and `ten` are the shares where it is the first answer, or among ten. Of questions for
any item of a kind they are the shares of right items among the first answers, and among ten, or as many as there are.
Every question is asked without a history: of the model alone (`model`), and guided by what the catalog knows
(`guided`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from catalog.bundle.bundle import Bundle, open_bundle
from catalog.errors import CatalogError
from catalog.priors.weights import prior_of
from catalog.search.guidance import Prior, StaticPrior
from catalog.search.transformers import TransformersRanker
from loadtest.measure.machine import Machine
from loadtest.measure.tables import print_table
from loadtest.relevance.questions import Question, question_sets

TEN = 10
BATCH = 32

Figures = dict[str, Any]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.relevance", description="Ask for titles, ids and brands.")
    parser.add_argument("--bundle", type=Path, required=True, help="a bundle's folder, or the link `current` to one")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--count", type=int, default=400, help="questions of each kind, at most (400)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (0)")
    parser.add_argument("--width", type=int, default=50, help="beams (50)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table and writes the figures. The exit status is 0, or 2 for a bundle that cannot be read."""
    options = parse(arguments)
    try:
        bundle = open_bundle(options.bundle)
    except CatalogError as error:
        print(f"loadtest.relevance: {error}")
        return 2
    sets = question_sets(bundle.items, options.count, options.seed)
    kinds = measure(bundle, sets, options.width)
    print_table(
        f"{bundle.version}, {len(bundle.items)} items",
        ("questions", "asked", "model first", "in ten", "guided first", "in ten"),
        [(kind, own["questions"], *own["model"].values(), *own["guided"].values()) for kind, own in kinds.items()],
    )
    report = {
        "machine": asdict(Machine.here()),
        "bundle": bundle.version,
        "items": len(bundle.items),
        "width": options.width,
        "seed": options.seed,
        "kinds": kinds,
    }
    options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(bundle: Bundle, sets: Mapping[str, Sequence[Question]], width: int) -> dict[str, Figures]:
    """The figures of each kind of questions."""
    from trainer.evaluation.bundle import load_model  # imports torch, which takes seconds

    ranker = TransformersRanker(load_model(bundle), bundle.index, bundle.level_tokens)
    return {
        kind: {
            "questions": len(questions),
            "model": shares(questions, _ranked(bundle, ranker, questions, width, guided=False)),
            "guided": shares(questions, _ranked(bundle, ranker, questions, width, guided=True)),
        }
        for kind, questions in sets.items()
    }


def shares(questions: Sequence[Question], ranked: Sequence[np.ndarray]) -> dict[str, float]:
    """The share of right answers, `first` and `ten`.

    ranked: the best items for each question, best first.
    """
    first, ten = [], []
    for question, item_K in zip(questions, ranked, strict=True):
        right_K = question.right_N[item_K[:TEN]]
        first.append(bool(right_K[:1].any()))
        ten.append(float(right_K.any()) if question.one else float(right_K.sum() / min(TEN, question.right_N.sum())))
    return {"first": round(float(np.mean(first)), 4), "ten": round(float(np.mean(ten)), 4)}


def _ranked(
    bundle: Bundle, ranker: TransformersRanker, questions: Sequence[Question], width: int, *, guided: bool
) -> list[np.ndarray]:
    """The best items for each question, best first."""
    static = StaticPrior(bundle.index, bundle.priors.popularity_N) if guided else None
    found: list[np.ndarray] = []
    for begin in range(0, len(questions), BATCH):
        texts = [question.text for question in questions[begin : begin + BATCH]]
        prompts = [bundle.prompts.render([], text) for text in texts]
        priors = [_prior(bundle, text) for text in texts] if guided else None
        found += [leaves for leaves, _ in ranker.rank(prompts, width, priors=priors, static=static)]
    return found


def _prior(bundle: Bundle, text: str) -> Prior:
    return prior_of(bundle.priors.candidates(text, np.empty(0, np.int64)), bundle.prior_weights["search"])


if __name__ == "__main__":
    raise SystemExit(main())
