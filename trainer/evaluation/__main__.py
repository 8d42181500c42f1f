"""Evaluates a published bundle on files of events, beside popularity, item-kNN and BM25:

    gemserve evaluate --bundle bundles/current --events data/events.parquet \\
        [--protocol full|candidates] [--split leave_one_out|time_cut] [--width 50] [--seed 0] [--json report.json]

The items are the bundle's; the held-out questions come from the events, by the same split as in training.
`python -m trainer.evaluation` is the same. Read on in docs/training.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from catalog.bundle.bundle import open_bundle
from trainer.config.recipe import EvaluationRecipe
from trainer.core.command import exit_status
from trainer.core.errors import TrainerError
from trainer.data.splits import SPLITS
from trainer.evaluation.candidates import NEGATIVES


def parse(arguments: Sequence[str] | None = None, program: str = "python -m trainer.evaluation") -> argparse.Namespace:
    parser = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True, help="a bundle's folder, or the link `current` to one")
    parser.add_argument(
        "--events",
        type=Path,
        required=True,
        action="append",
        metavar="FILE",
        help="events.parquet or events.jsonl, or a folder of `gemserve drain`, once for each",
    )
    parser.add_argument(
        "--protocol",
        choices=("full", "candidates"),
        default="full",
        help=f"rank the whole catalog, or the right item among {NEGATIVES} drawn ones (default: full)",
    )
    parser.add_argument("--split", choices=tuple(SPLITS), help="default: as the bundle was trained")
    parser.add_argument("--width", type=int, help="beams; default: as the bundle was trained, or all of the candidates")
    parser.add_argument("--seed", type=int, default=0, help="of the drawn candidates (default: 0)")
    parser.add_argument("--json", type=Path, help="write the report to this file, in the form of report.json")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None, program: str = "python -m trainer.evaluation") -> int:
    """Prints the table. The exit status is 0, or 2 where nothing could be evaluated.

    program: how it is called, for its help.
    """
    return exit_status("trainer.evaluation", partial(_evaluate, parse(arguments, program)))


def _evaluate(options: argparse.Namespace) -> None:
    bundle = open_bundle(options.bundle)

    # torch and transformers take seconds to import, for which neither help nor a misspelled bundle should wait
    from transformers.utils.logging import disable_progress_bar

    from trainer.evaluation.bundle import bundle_settings, evaluate_bundle
    from trainer.evaluation.report import with_protocol
    from trainer.evaluation.table import table

    disable_progress_bar()  # of transformers, which has one for every file
    recipe = _settings(with_protocol(bundle_settings(bundle), options.protocol), options)
    report = evaluate_bundle(bundle, options.events, recipe, options.protocol, seed=options.seed)
    print(table(report))
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _settings(recipe: EvaluationRecipe, options: argparse.Namespace) -> EvaluationRecipe:
    given = {name: value for name in ("split", "width") if (value := getattr(options, name)) is not None}
    try:
        return EvaluationRecipe.model_validate(recipe.model_dump() | given)
    except ValidationError as error:
        raise TrainerError(f"--width {options.width}: {error.errors()[0]['msg']}") from error


if __name__ == "__main__":
    raise SystemExit(main())
