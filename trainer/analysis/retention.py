"""Measures what tuning has kept of the general knowledge of a base:

    python -m trainer.analysis.retention --before BASE --after BUNDLE [BUNDLE …] \\
        --corpus ../shared/data/general-corpus/wikitext2_test.txt.gz [--events events.parquet] [--tokens 100000] \\
        [--json retention.json] [--picture retention.png]

It compares the perplexity of held-out general text before and after, over the base's text tokens alone (perplexity.py),
and the predictions of the next token. `forgotten` is the share of the tokens rightly predicted before that are wrongly
predicted afterwards; `gained` is the share of those wrongly predicted before that are right afterwards.

If `--before` is a bundle too, and `--events` is given, the same two shares are measured for held-out questions, which
are right if the item is among the first ten. Intervals are bootstrapped over blocks of text, or over questions.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trainer.analysis.held_out_hits import Hits, held_out_hits
from trainer.analysis.perplexity import Predictions, TextModel, predict_text, read_text
from trainer.analysis.plots import picture
from trainer.core.command import exit_status
from trainer.core.errors import TrainerError
from trainer.data.corpus import read_corpus
from trainer.evaluation.confidence import mean_estimate, ratio_estimate
from trainer.evaluation.metrics import MIN_QUESTIONS

BLOCK = 128  # tokens that the bootstrap draws together, because neighbours are not independent


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trainer.analysis.retention", description="What tuning has kept.")
    parser.add_argument("--before", type=Path, required=True, help="the base's folder, or a bundle")
    parser.add_argument("--after", type=Path, required=True, nargs="+", help="bundles, or checkpoints, tuned from it")
    parser.add_argument("--corpus", type=Path, required=True, help="held-out general text (.gz too)")
    parser.add_argument(
        "--events",
        type=Path,
        action="append",
        metavar="FILE",
        help="events of the bundles' training, to compare rankings, once for each file",
    )
    parser.add_argument("--tokens", type=int, help="read only so many of the text (default: all)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--picture", type=Path, help="write the picture to this file, a PNG")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints one line for each model. The exit status is 0, or 2 if nothing could be compared."""
    return exit_status("trainer.analysis.retention", partial(_measure, parse(arguments)))


class TextRetention:
    """Compares any number of tuned models with one base, on one text.

    before: the base's folder, or a bundle.
    corpus: a text file of documents (`read_corpus`).
    tokens: how many tokens of the text are read; None for all.
    """

    def __init__(self, before: Path, corpus: Path, *, tokens: int | None = None) -> None:
        self._folder = _checkpoint(before)
        self._base = TextModel.load(self._folder)
        self._ids_T = read_text(read_corpus(corpus), self._folder, limit=tokens)
        self._before = predict_text(self._base, self._ids_T)

    @property
    def before(self) -> dict[str, Any]:
        """The figures of the base itself."""
        return {"tokens": len(self._ids_T) - 1, **_own_figures(self._before)}

    def after(self, folder: Path) -> dict[str, Any]:
        """The figures of the tuned model in `folder`. Raises TrainerError if its text tokens are not the base's."""
        tuned = TextModel.load(_checkpoint(folder))
        if tuned.tokens != self._base.tokens:
            raise TrainerError(f"{folder} has other text tokens than {self._folder}: it was not tuned from this base")
        after = predict_text(tuned, self._ids_T)
        before = self._before
        growth = ratio_estimate(*_block_sums(after.loss_T - before.loss_T), then=np.exp)
        forgotten = ratio_estimate(*_block_sums(before.right_T & ~after.right_T, before.right_T))
        gained = ratio_estimate(*_block_sums(~before.right_T & after.right_T, ~before.right_T))
        return {
            **_own_figures(after),
            "perplexity_ratio": growth.as_json(),
            "forgotten": forgotten.as_json(),
            "gained": gained.as_json(),
        }


def compare_hits(before: Hits, after: Hits) -> dict[str, Any]:
    """For each task, the shares of questions that are hits before and after, and that were forgotten and gained.

    Raises TrainerError if the two bundles were not asked the same questions.
    """
    if before.keys() != after.keys() or any(before[task].keys() != after[task].keys() for task in before):
        raise TrainerError("the two bundles were asked different questions: they need the same items and split")
    figures: dict[str, Any] = {}
    for task, own in before.items():
        right_Q = np.array(list(own.values()))
        then_Q = np.array([after[task][question] for question in own])
        kept = {"before": right_Q, "after": then_Q}
        figures[task] = {
            "questions": len(right_Q),
            **({"few": True} if len(right_Q) < MIN_QUESTIONS else {}),
            **{name: mean_estimate(values_Q.astype(float)).as_json() for name, values_Q in kept.items()},
            "forgotten": mean_estimate((~then_Q[right_Q]).astype(float)).as_json() if right_Q.any() else None,
            "gained": mean_estimate(then_Q[~right_Q].astype(float)).as_json() if not right_Q.all() else None,
        }
    return figures


def draw(figures: dict[str, Any], file: Path) -> None:
    """Draws perplexities on the left, and the shares of forgotten tokens on the right."""
    names = list(figures["after"])
    text = [figures["after"][name]["text"] for name in names]
    place_N = np.arange(len(names))
    with picture(file, columns=2, height=1.5 + 0.35 * len(names)) as (left, right):
        left.barh(place_N, [own["perplexity"]["value"] for own in text], color="tab:blue")
        left.axvline(figures["before"]["text"]["perplexity"]["value"], color="tab:red", label="before")
        left.set_xlabel("perplexity of held-out text")
        left.legend()
        forgotten = [own["forgotten"] for own in text]
        value_N = np.array([own["value"] for own in forgotten])
        right.barh(place_N, value_N, color="tab:orange")
        right.hlines(place_N, [own["low"] for own in forgotten], [own["high"] for own in forgotten], color="black")
        right.set_xlabel("share of rightly predicted tokens that were forgotten")
        for panel in (left, right):
            panel.set_yticks(place_N, names)
            panel.invert_yaxis()


def _own_figures(predictions: Predictions) -> dict[str, Any]:
    return {
        "perplexity": ratio_estimate(*_block_sums(predictions.loss_T), then=np.exp).as_json(),
        "right": ratio_estimate(*_block_sums(predictions.right_T)).as_json(),
    }


def _block_sums(value_T: np.ndarray, counted_T: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """For each block of the text, the sum of the values and the number of tokens that they are taken over."""
    starts = np.arange(0, len(value_T), BLOCK)
    counted_T = np.ones(len(value_T)) if counted_T is None else counted_T
    sums, counts = (np.add.reduceat(array_T.astype(np.float64), starts) for array_T in (value_T, counted_T))
    return sums, counts


def _checkpoint(folder: Path) -> Path:
    return folder / "model" if (folder / "manifest.json").exists() else folder


def _measure(options: argparse.Namespace) -> None:
    retention = TextRetention(options.before, options.corpus, tokens=options.tokens)
    figures: dict[str, Any] = {"before": {"folder": str(options.before), "text": retention.before}, "after": {}}
    ranked = options.events is not None and (options.before / "manifest.json").exists()
    hits = held_out_hits(options.before, options.events) if ranked else None
    for folder in options.after:
        own: dict[str, Any] = {"folder": str(folder), "text": retention.after(folder)}
        own["ranking"] = None if hits is None else compare_hits(hits, held_out_hits(folder, options.events))
        name = folder.resolve().name
        figures["after"][str(folder) if name in figures["after"] else name] = own
    _print(figures)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if options.picture is not None:
        draw(figures, options.picture)


def _print(figures: dict[str, Any]) -> None:
    before = figures["before"]["text"]
    print(f"before: perplexity {before['perplexity']['value']:.2f}, {before['right']['value']:.1%} of tokens right")
    for name, own in figures["after"].items():
        text = own["text"]
        print(
            f"{name}: perplexity {text['perplexity']['value']:.2f}, {text['right']['value']:.1%} of tokens right, "
            f"{text['forgotten']['value']:.1%} of those right before forgotten"
        )
        for task, ranking in (own["ranking"] or {}).items():
            forgotten = ranking["forgotten"]
            lost = "nothing was right before" if forgotten is None else f"{forgotten['value']:.1%} of them forgotten"
            print(f"  {task}: {ranking['before']['value']:.1%} right before, {lost}")


if __name__ == "__main__":
    raise SystemExit(main())
