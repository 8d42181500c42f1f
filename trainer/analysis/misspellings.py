"""Measures what misspelled queries cost, and what correcting them (`catalog/text/spelling.py`) brings back:

    python -m trainer.analysis.misspellings --bundle var/bundles/shop/current --events var/shop/events.parquet \\
        [--seed 0] [--json misspellings.json]

The held-out searches of the bundle's evaluation are asked four times: as they were typed, and with one typo in one word
of four letters or more, each without and with correction. All four are the same questions, asked of the model alone and
guided, by sources that have the training events and weights that were learned on the validation's questions. What
people typed has typos of its own, so the report lists every word of it that correction changes, to be looked at.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from transformers.utils.logging import disable_progress_bar

from catalog.bundle.bundle import Bundle, open_bundle
from catalog.priors.priors import Priors
from catalog.priors.weights import prior_of
from catalog.search.guidance import StaticPrior
from catalog.search.transformers import TransformersRanker
from catalog.text.compounds import words_of
from catalog.text.spelling import Lexicon
from trainer.core.command import exit_status
from trainer.core.errors import TrainerError
from trainer.data.questions import Question
from trainer.evaluation.baselines import training_events
from trainer.evaluation.bundle import bundle_settings, held_out, in_words, load_model
from trainer.evaluation.candidates import whole_catalog
from trainer.evaluation.guidance.choices import said_of
from trainer.evaluation.metrics import ranks_of, summarize
from trainer.evaluation.ranking import rank_questions

__all__ = ["measure", "misspell"]

KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
WORD = re.compile("[a-z]{4,}", re.IGNORECASE)
TYPOS = ("swap", "drop", "double", "neighbour")


def misspell(query: str, generator: np.random.Generator) -> str | None:
    """The query with one typo in one word: two letters swapped, one dropped or doubled, or a neighbouring key hit.

    The first letter of the word is kept, as it mostly is when people type. Returns None for a query without a word of
    four letters or more.
    """
    words = list(WORD.finditer(query))
    if not words:
        return None
    word = words[generator.integers(len(words))]
    typed = _typo(word[0], str(generator.choice(TYPOS)), generator)
    return query[: word.start()] + typed + query[word.end() :]


def _typo(word: str, kind: str, generator: np.random.Generator) -> str:
    at = int(generator.integers(1, len(word)))
    if kind == "swap":
        unequal = [i for i in range(1, len(word) - 1) if word[i] != word[i + 1]]
        if unequal:
            at = int(generator.choice(unequal))
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        kind = "drop"
    if kind == "drop":
        return word[:at] + word[at + 1 :]
    if kind == "double":
        return word[:at] + word[at] + word[at:]
    return word[:at] + str(generator.choice(list(_beside(word[at])))) + word[at + 1 :]


def _beside(letter: str) -> str:
    row = next(keys for keys in KEYS if letter.lower() in keys)
    place = row.index(letter.lower())
    return row[max(0, place - 1) : place] + row[place + 1 : place + 2]


def measure(bundle: Bundle, events: Sequence[Path], seed: int) -> dict[str, Any]:
    """The figures of clean and misspelled queries, each without and with correction; under `guided` the same guided.

    Beside them: the share of misspelled queries that correction restores, the share of clean queries that it changes,
    and the changed words of clean queries with their counts.

    seed: what the typos are drawn from.

    Raises TrainerError where no search is held out.
    """
    recipe = bundle_settings(bundle)
    split, _ = held_out(bundle, events, recipe)
    generator = np.random.default_rng(seed)
    pairs = [(q, misspell(q.query, generator)) for q in split.test if q.query is not None]
    asked = [(question, typed) for question, typed in pairs if typed is not None]
    if not asked:
        raise TrainerError(f"{in_words(events)}: no search with a word of four letters is held out")
    lexicon = Lexicon.of(bundle.items, bundle.typed_words.people)
    clean = [question for question, _ in asked]
    misspelled = [replace(question, query=typed) for question, typed in asked]
    clean_corrected, corrected = (_corrected(lexicon, questions) for questions in (clean, misspelled))
    ranker = TransformersRanker(load_model(bundle), bundle.index, bundle.level_tokens, normalize=bundle.normalize)
    answers = np.array([question.item for question in clean])

    sources = Priors.fit(bundle.items, training_events(split.train, len(bundle.items)))
    static = StaticPrior(bundle.index, sources.popularity_N)

    def figures(questions: Sequence[Question], *, guided: bool = False) -> dict[str, object]:
        candidates = whole_catalog(split.full, questions, exclude_seen=recipe.exclude_seen)
        weights = bundle.prior_weights["search"]
        priors = [prior_of(said_of(sources, split.full, one), weights) for one in questions] if guided else None
        ranked = rank_questions(
            *(ranker, bundle.prompts, split.full, questions, candidates, recipe),
            priors=priors,
            static=static if guided else None,
        )
        return summarize(ranks_of([one.leaves for one in ranked], answers), bootstrap=recipe.bootstrap)

    return {
        "bundle": bundle.version,
        "questions": len(asked),
        "seed": seed,
        "restored": _share(one.query == other.query for one, other in zip(clean, corrected, strict=True)),
        "clean_queries_changed": _share(one != other for one, other in zip(clean, clean_corrected, strict=True)),
        "clean_words_changed": _changes(clean, clean_corrected),
        "clean": figures(clean),
        "clean_corrected": figures(clean_corrected),
        "misspelled": figures(misspelled),
        "corrected": figures(corrected),
        "guided": {
            "clean": figures(clean, guided=True),
            "clean_corrected": figures(_corrected(lexicon, clean, prefix=True), guided=True),
            "misspelled": figures(misspelled, guided=True),
            "corrected": figures(_corrected(lexicon, misspelled, prefix=True), guided=True),
        },
    }


def _corrected(lexicon: Lexicon, questions: Sequence[Question], *, prefix: bool = False) -> list[Question]:
    """The questions as they are read. prefix: as guided queries are, whose last word may be the beginning of one."""
    return [replace(one, query=lexicon.correct(one.query or "", prefix=prefix)) for one in questions]


def _changes(typed: Sequence[Question], read: Sequence[Question]) -> list[tuple[str, str, int]]:
    """Each word that was changed, what it became, and how many times, in descending order of the count."""
    texts = ((before.query or "", after.query or "") for before, after in zip(typed, read, strict=True))
    words = (pair for before, after in texts for pair in zip(words_of(before), words_of(after), strict=True))
    times = Counter((before, after) for before, after in words if before != after)
    return [(*pair, count) for pair, count in times.most_common()]


def _share(flags: Iterable[bool]) -> float:
    return round(float(np.mean(list(flags))), 6)


def _table(report: dict[str, Any]) -> str:
    lines = [f"{report['questions']} searches of {report['bundle']}", f"{'':24}{'Recall@10':>10}  95% interval"]
    for way, asked in (("", report), ("guided, ", report["guided"])):
        for name in ("clean", "clean_corrected", "misspelled", "corrected"):
            figures = asked[name]
            low, high = figures["intervals"]["recall@10"]
            lines.append(f"{way + name:24}{figures['recall@10']:10.3f}  {low:.3f}–{high:.3f}")
    lines.append(f"{report['restored']:.0%} of the queries came back as they were before the typo")
    lines.append(f"{report['clean_queries_changed']:.1%} of the clean queries are changed")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table. The exit status is 0, or 2 if nothing could be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.analysis.misspellings", description="What misspelled queries cost a published bundle."
    )
    parser.add_argument("--bundle", type=Path, required=True, help="a bundle's folder, or the link `current` to one")
    parser.add_argument(
        "--events",
        type=Path,
        required=True,
        action="append",
        metavar="FILE",
        help="events.parquet or events.jsonl, once for each file",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the typos (default: 0)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    disable_progress_bar()
    return exit_status("trainer.analysis.misspellings", partial(_report, options))


def _report(options: argparse.Namespace) -> None:
    report = measure(open_bundle(options.bundle), options.events, options.seed)
    print(_table(report))
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
