"""Trains every method, and GEMS without each of its parts, with several seeds, and prints one table of results:

    python -m trainer.analysis.ablation --items items.parquet --events events.parquet --out runs/movielens \\
        --base bases/small --held-out ../shared/data/general-corpus/wikitext2_test.txt.gz --seeds 0,1,2 \\
        [--recipe comparison] [--rows gems,full …] [--rates 0.001,0.002,0.004] [--json ablation.json] \\
        [--picture ablation.png] \\
        [null_space.corpus=../shared/data/general-corpus/wikipedia_en_sample.txt.gz …]

Before rows are compared, the learning rate of each is chosen on the validation questions (learning_rate.py), with the
first seed; the other seeds are then trained at that rate, and the table says what all of them answered to the test
questions.

All runs ask the model alone; the baselines, which depend on no run, are measured once in the end.

`--base` is the checkpoint that every run starts from (`python -m trainer.analysis.pretrain_base` makes one). Runs that
`--out` already holds are not repeated, so the same command continues a table that was interrupted. The table is printed
as Markdown. A mixture of LoRA experts leaves no checkpoint, so its row does not tell what it has kept of the base.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gemserve.child import exits_on_sigterm
from trainer.analysis.ablation.learning_rate import DEFAULT_RATES, Tuning, rate_settings, tune_rate
from trainer.analysis.ablation.run import Run, result_of
from trainer.analysis.ablation.table import baselines_of, draw_table, markdown, summarize_row
from trainer.config.recipe import load_recipe
from trainer.core.command import exit_status
from trainer.core.errors import TrainerError
from trainer.core.progress import print_line
from trainer.evaluation.baselines.measured import measure_files

ROWS: dict[str, tuple[str, ...]] = {
    "gems": (),
    "no_decomposition": ("gems.decomposition=false",),
    "no_null_space": ("gems.null_space=false",),
    "input_side": ("null_space.side=input",),
    "overlapping": ("gems.complementary=false",),
    "fixed_gate": ("gems.gate=fixed",),
    "heuristic_gate": ("gems.gate=heuristic",),
    "single_subspace": ("method=single_subspace",),
    "full": ("method=full",),
    "lora": ("method=lora",),
    "lora_moe": ("method=lora_moe",),
}
"""The rows of the table, and the settings that each changes in the recipe."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trainer.analysis.ablation", description="Compare all methods.")
    parser.add_argument("--items", type=Path, required=True, help="items.parquet or items.jsonl")
    parser.add_argument("--events", type=Path, required=True, help="events.parquet or events.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs; those it holds are not repeated")
    parser.add_argument("--recipe", default="comparison", help="a recipe's name or a YAML file (default: comparison)")
    parser.add_argument("--seeds", type=_numbers, default=(0, 1, 2), help="numbers with commas (default: 0,1,2)")
    parser.add_argument(
        "--rows", type=_rows, default=tuple(ROWS), help=f"names with commas (default: {','.join(ROWS)})"
    )
    parser.add_argument(
        "--rates",
        type=_rates,
        default=DEFAULT_RATES,
        help="learning rates, with commas, of which each row gets the one that is best on the validation questions, "
        "in place of the recipe's; one rate alone is taken as it is "
        f"(default: {','.join(f'{rate:g}' for rate in DEFAULT_RATES)})",
    )
    parser.add_argument("--base", type=Path, help="a checkpoint's folder that every run starts from")
    parser.add_argument("--held-out", type=Path, help="general text on which is measured what is kept of the base")
    parser.add_argument("--tokens", type=int, default=100_000, help="of that text, at most (default: 100000)")
    parser.add_argument("--json", type=Path, help="write the table to this file")
    parser.add_argument("--picture", type=Path, help="write the picture to this file, a PNG")
    parser.add_argument("settings", nargs="*", metavar="section.key=value", help="settings that replace the recipe's")
    return parser.parse_intermixed_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table. The exit status is 0, 2 if a run is impossible, or 130 after an interruption."""
    try:
        with exits_on_sigterm():
            return exit_status("trainer.analysis.ablation", partial(_compare, parse(arguments)))
    except KeyboardInterrupt:
        print("trainer.analysis.ablation: interrupted; the same command continues the table", flush=True)
        return 130


def _compare(options: argparse.Namespace) -> None:
    _check(options)
    tunings = {row: _tuned(options, row) for row in options.rows}
    results: dict[str, list[dict[str, Any]]] = {row: [] for row in options.rows}
    # seed by seed, so that an unfinished table has all rows, with fewer seeds
    runs = [_run(options, row, seed, tunings[row].rate) for seed in options.seeds for row in options.rows]
    for number, run in enumerate(runs, 1):
        print_line(f"run {number} of {len(runs)}: {run.row}, seed {run.seed}")
        results[run.row].append(result_of(run))
    all_results = [result for of_row in results.values() for result in of_row]
    retentions = [result["retention"] for result in all_results if result["retention"] is not None]
    table: dict[str, Any] = {
        "recipe": options.recipe,
        "settings": options.settings,
        "rows": {
            row: summarize_row(of_row) | {"learning_rate": tunings[row].as_json()} for row, of_row in results.items()
        },
        "baselines": _baselines(options),
        "base": retentions[0]["before"] if retentions else None,
    }
    table["markdown"] = markdown(table)
    print(table["markdown"])
    if options.json is not None:
        options.json.write_text(json.dumps(table | {"runs": all_results}, indent=2) + "\n", encoding="utf-8")
    if options.picture is not None:
        draw_table(table, options.picture)


def _check(options: argparse.Namespace) -> None:
    if options.held_out is not None and options.base is None:
        raise TrainerError("--held-out needs --base: without one there is nothing that could be kept")
    for file in (options.items, options.events, *([options.held_out] if options.held_out else [])):
        if not file.is_file():
            raise TrainerError(f"{file} does not exist")
    _check_different(options)  # and all settings are read before the first run begins


def _baselines(options: argparse.Namespace) -> dict[str, Any]:
    evaluation = load_recipe(options.recipe, options.settings).evaluation
    print_line("baselines")
    return baselines_of(
        measure_files(options.items, [options.events], split=evaluation.split, exclude_seen=evaluation.exclude_seen)
    )


def _tuned(options: argparse.Namespace, row: str) -> Tuning:
    def tasks_at(rate: float) -> dict[str, Any]:
        print_line(f"{row}: learning rate {rate:g}")
        tasks: dict[str, Any] = result_of(_run(options, row, options.seeds[0], rate))["validation"]
        return tasks

    return tune_rate(row, options.rates, tasks_at)


def _run(options: argparse.Namespace, row: str, seed: int, rate: float) -> Run:
    """A run of a row at a learning rate. Those of the first seed, by which rates are chosen, are asked all."""
    settings = _settings_of(options, row)
    method = load_recipe(options.recipe, settings).method
    questions = "both" if seed == options.seeds[0] and len(options.rates) > 1 else "test"
    asked = (f"evaluation.questions={questions}", "evaluation.alone=true")
    return Run(
        row,
        f"seed-{seed}-rate-{rate:g}",
        seed,
        load_recipe(options.recipe, [*settings, *rate_settings(method, rate), f"seed={seed}", *asked]),
        options.items,
        options.events,
        options.out,
        options.held_out,
        options.tokens,
    )


def _settings_of(options: argparse.Namespace, row: str) -> list[str]:
    base = [] if options.base is None else [f"backbone.path={options.base}"]
    return [*options.settings, *base, *ROWS[row]]


def _check_different(options: argparse.Namespace) -> None:
    """Raises TrainerError where two rows are the same runs, such as one without a null space that the recipe lacks."""
    seen: dict[str, str] = {}
    for row in options.rows:
        settings = load_recipe(options.recipe, _settings_of(options, row)).model_dump_json()
        if settings in seen:
            raise TrainerError(
                f"with recipe {options.recipe} the rows {seen[settings]} and {row} are the same: leave one out"
            )
        seen[settings] = row


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _rates(text: str) -> tuple[float, ...]:
    rates = tuple(sorted({float(rate) for rate in text.split(",")}))
    if rates[0] <= 0:
        raise argparse.ArgumentTypeError(f"{text}: a learning rate is above 0")
    return rates


def _rows(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in ROWS:
            raise argparse.ArgumentTypeError(f"there is no row {name}: name some of {', '.join(ROWS)}")
    return names


if __name__ == "__main__":
    raise SystemExit(main())
