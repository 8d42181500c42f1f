"""What misspelled queries cost, and what correcting them (`catalog/text/spelling.py`) brings back:

    python -m trainer.analysis.misspellings --bundle var/bundles/shop/current --events var/shop/events.parquet \
        [--seed 0] [--json misspellings.json]

The held-out searches of the bundle's evaluation are asked four times: as they were typed, and with one slip of the
fingers in one word of four letters or more, each without and with correction. All four get the same questions. What
people typed has slips of its own, so the report lists every word of it that is changed, for somebody to look at.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers.utils.logging import disable_progress_bar

from catalog.bundle.bundle import Bundle, open_bundle
from catalog.errors import CatalogError
from catalog.search.transformers import TransformersRanker
from catalog.text.spelling import Lexicon, words_of
from trainer.core.errors import TrainerError
from trainer.data.histories import Question
from trainer.evaluation.bundle import bundle_settings, held_out, load_model
from trainer.evaluation.candidates import whole_catalog
from trainer.evaluation.metrics import ranks_of, summarize
from trainer.evaluation.report import rank_questions

__all__ = ["measure", "misspell"]

KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
WORD = re.compile("[a-z]{4,}", re.IGNORECASE)
SLIPS = ("swap", "drop", "double", "neighbour")


def misspell(query: str, generator: np.random.Generator) -> str | None:
    """With one slip in one word: two letters swapped, one dropped, doubled, or a key beside it hit instead.

    None where there is no word of four letters or more. The first letter is hit as it should be, as people mostly do.
    """
    words = list(WORD.finditer(query))
    if not words:
        return None
    word = words[generator.integers(len(words))]
    typed = _slip(word[0], str(generator.choice(SLIPS)), generator)
    return query[: word.start()] + typed + query[word.end() :]


def _slip(word: str, kind: str, generator: np.random.Generator) -> str:
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


def measure(bundle: Bundle, events: Path, seed: int) -> dict[str, Any]:
    """Figures of the clean and the misspelled queries, both also corrected.

    With them how many queries came back as they were, and which words of the clean ones are changed how many times.

    Raises TrainerError where no search is held out.
    """
    recipe = bundle_settings(bundle)
    split, _ = held_out(bundle, events, recipe)
    generator = np.random.default_rng(seed)
    pairs = [(q, misspell(q.query, generator)) for q in split.test if q.query is not None]
    asked = [(question, typed) for question, typed in pairs if typed is not None]
    if not asked:
        raise TrainerError(f"{events}: no search with a word of four letters is held out")
    lexicon = Lexicon.of(bundle.items, bundle.typed_words.people)
    clean = [question for question, _ in asked]
    misspelled = [replace(question, query=typed) for question, typed in asked]
    clean_corrected, corrected = (
        [replace(question, query=lexicon.correct(question.query or "")) for question in questions]
        for questions in (clean, misspelled)
    )
    ranker = TransformersRanker(load_model(bundle), bundle.index, bundle.level_tokens)
    answers = np.array([question.item for question in clean])

    def figures(questions: Sequence[Question]) -> dict[str, object]:
        candidates = whole_catalog(split.full, questions, exclude_seen=recipe.exclude_seen)
        found = rank_questions(ranker, bundle.prompts, split.full, questions, candidates, recipe)
        return summarize(ranks_of(found, answers), bootstrap=recipe.bootstrap)

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
    }


def _changes(typed: Sequence[Question], read: Sequence[Question]) -> list[tuple[str, str, int]]:
    """Each word that was changed, what it became, and how many times, the most frequent first."""
    texts = ((before.query or "", after.query or "") for before, after in zip(typed, read, strict=True))
    words = (pair for before, after in texts for pair in zip(words_of(before), words_of(after), strict=True))
    times = Counter((before, after) for before, after in words if before != after)
    return [(*pair, count) for pair, count in times.most_common()]


def _share(told: Any) -> float:
    return round(float(np.mean(list(told))), 6)


def _table(report: dict[str, Any]) -> str:
    lines = [f"{report['questions']} searches of {report['bundle']}", f"{'':16}{'Recall@10':>10}  95% interval"]
    for name in ("clean", "clean_corrected", "misspelled", "corrected"):
        figures = report[name]
        low, high = figures["intervals"]["recall@10"]
        lines.append(f"{name:16}{figures['recall@10']:10.3f}  {low:.3f}–{high:.3f}")
    lines.append(f"{report['restored']:.0%} of the queries came back as they were before the slip")
    lines.append(f"{report['clean_queries_changed']:.1%} of the clean queries are changed")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status is 0, or 2 where nothing could be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.analysis.misspellings", description="What misspelled queries cost a published bundle."
    )
    parser.add_argument("--bundle", type=Path, required=True, help="a bundle's folder, or the link `current` to one")
    parser.add_argument("--events", type=Path, required=True, help="events.parquet or events.jsonl")
    parser.add_argument("--seed", type=int, default=0, help="of the slips (default: 0)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    disable_progress_bar()
    try:
        report = measure(open_bundle(options.bundle), options.events, options.seed)
    except (CatalogError, TrainerError, OSError) as error:
        print(f"trainer.analysis.misspellings: {error}", file=sys.stderr)
        return 2
    print(_table(report))
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
