"""Measures the engine beside other engines, its peers, on a random model and random items.

    python -m loadtest.engine --beam 10,50,128 --prompt 300 --concurrency 1,8,32 --peers vllm,transformers \\
        --json engine.json [--items 20000] [--repeats 20] [--budget-seconds 600] [--seed 0] [--threads 2]

The model is a Qwen2 of 4 layers × 256 in bfloat16, and identifiers are 4 codes of 256. Ours is `VllmEngine.rank`. The
peer `vllm` is vLLM's own `LLM.beam_search` for 4 tokens with prefix caching; it has no trie. The peer `transformers` is
`generate` with a `prefix_allowed_tokens_fn`; it has no cache between calls. Each engine has a process of its own and
the same number of threads. One works at a time, and all answer the same prompts in turns
(loadtest/engine/round_robin.py). `speedup` is that of new prompts, `speedup_cached` that of prompts answered before.
Every row says how many samples it has.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from loadtest.engine.peers.process import NAMES, OURS, PeerProcess
from loadtest.engine.peers.protocol import Limits
from loadtest.engine.report import print_rows, rows_of, speedups, throughput_gain
from loadtest.engine.round_robin import Deadline, RoundRobin
from loadtest.measure.errors import LoadtestError
from loadtest.measure.machine import Machine
from loadtest.synthetic.bundle import Shape, draw_prompts, open_bundle, save_bundle

CACHING = (OURS, "vllm")
PROMPTS_COMPARED = 20
SECONDS_TO_STOP = 10.0
NOTES = {
    "vllm": "has no trie constraint: it ranks token sequences, not items",
    "transformers": "keeps nothing from one call to the next, so it is measured on new prompts only",
}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.engine", description="Measure the engine and its peers.")
    parser.add_argument("--beam", type=_numbers, default=[10, 50, 128], help="beam widths, as in 10,50,128")
    parser.add_argument("--prompt", type=int, default=300, help="tokens of a prompt")
    parser.add_argument("--concurrency", type=_numbers, default=[1, 8, 32], help="requests at once, as in 1,8,32")
    parser.add_argument("--peers", type=_peers, default=list(NAMES[1:]), help="of vllm,transformers; may be empty")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=20, help="samples of a cell, if the budget allows")
    parser.add_argument("--budget-seconds", type=float, default=600.0, help="for everything, starting included")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="threads of every engine")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=256, help="hidden size, a multiple of 128")
    return parser.parse_args(arguments)


def _numbers(text: str) -> list[int]:
    numbers = sorted({int(part) for part in text.split(",")})
    if numbers[0] < 1:
        raise argparse.ArgumentTypeError(f"{numbers[0]} is not positive")
    return numbers


def _peers(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    unknown = sorted(set(names) - set(NAMES[1:]))
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no peer; there are {', '.join(NAMES[1:])}")
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the engines, measure, print the table and write the JSON."""
    options = parse(arguments)
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # two engines' warnings would bury the table
    torch.set_num_threads(options.threads)
    machine = Machine.here()
    deadline = Deadline(options.budget_seconds - SECONDS_TO_STOP)
    shape = Shape(layers=options.layers, hidden=options.hidden, items=options.items)
    limits = Limits(max(options.beam), max(options.concurrency), options.prompt, options.threads)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        save_bundle(directory, shape, options.seed)
        with running([OURS, *options.peers], directory, shape, limits) as engines:
            report = measure(engines, directory, shape, options, deadline)
    report["machine"] = asdict(machine)
    options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


@contextmanager
def running(names: Sequence[str], directory: Path, shape: Shape, limits: Limits) -> Iterator[dict[str, PeerProcess]]:
    """The engines by name, all started; they end with the context. Raises LoadtestError if one cannot start."""
    engines: dict[str, PeerProcess] = {}
    try:
        for name in names:
            engines[name] = PeerProcess(name, directory, shape, limits)
        for engine in engines.values():
            engine.wait_until_ready()
        yield engines
    finally:
        for engine in engines.values():
            engine.dismiss()  # all first, because each takes some seconds to end
        for engine in engines.values():
            engine.stop()


def measure(
    engines: dict[str, PeerProcess], directory: Path, shape: Shape, options: argparse.Namespace, deadline: Deadline
) -> dict[str, Any]:
    """The report without the machine's description."""
    # not above: vLLM's processes import this module too, and 0.32 does not start on a CPU once numba is imported
    from loadtest.engine.agreement import compare, reference_leaves

    generator = np.random.default_rng(options.seed)
    draw = partial(draw_prompts, shape, length=options.prompt, generator=generator)
    schedule = RoundRobin(engines, [name for name in CACHING if name in engines], draw, deadline)
    schedule.warm_up(options.beam)
    prompts, width = draw(PROMPTS_COMPARED), options.beam[len(options.beam) // 2]
    answers = schedule.ask(OURS, prompts, width, 1).leaves
    agreement = compare(answers, reference_leaves(open_bundle(directory, shape), prompts, width))
    schedule.loop(options.beam, options.concurrency)
    schedule.run(options.beam, options.concurrency, options.repeats)
    if not schedule.seconds:
        raise LoadtestError(f"nothing was measured in {options.budget_seconds} s: raise --budget-seconds")
    return summarize(schedule, agreement, options)


def summarize(schedule: RoundRobin, agreement: dict[str, float], options: argparse.Namespace) -> dict[str, Any]:
    """Print the tables; returns the report for the JSON."""
    rows = rows_of(schedule.seconds, schedule.rates, options.prompt)
    invalid = {name: tally.invalid / tally.returned for name, tally in schedule.tallies.items()}
    report = {
        "prompt": options.prompt,
        "items": options.items,
        "seed": options.seed,
        "rows": [asdict(row) for row in rows],
        "speedup": speedups(rows, "fresh"),
        "speedup_cached": speedups(rows, "cached"),
        "throughput_gain": throughput_gain(schedule.rates),
        "agreement": agreement,
        "invalid": invalid.pop(OURS),
        "duplicates": schedule.tallies[OURS].duplicates,
        "peer_invalid_share": invalid,
        "notes": {name: NOTES[name] for name in options.peers},
    }
    print_rows(rows, report)
    return report


if __name__ == "__main__":
    raise SystemExit(main())
