"""Measures where the time of a request goes inside the engine:

    python -m loadtest.breakdown --json breakdown.json [--beam 50] [--prompt 300] [--concurrency 1,32] [--repeats 20]

The engine of `loadtest.engine` runs in a single process, without its client, and answers prompts that are in its prefix
cache. Figures are medians in milliseconds of a batch. `forward` is the floor, the model's own passes: one over the rest
of the prompt, and one of all beams for every code but the last.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import wraps
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from loadtest.measure.machine import Machine
from loadtest.measure.tables import print_table
from loadtest.synthetic.bundle import RandomBundle, Shape, draw_prompts, open_bundle, save_bundle
from server.core.settings import EngineSettings
from server.engine.vllm.frontend.environment import engine_environment, prepare_openmp

PARTS = ("forward", "copies", "heads", "constraint", "rest")
WARM_UP = 3

Figures = dict[str, float]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.breakdown", description="Where an answer's time goes.")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--beam", type=int, default=50)
    parser.add_argument("--prompt", type=int, default=300)
    parser.add_argument("--concurrency", default="1,8,32", help="requests at once, as in 1,8")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--items", type=int, default=20_000)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table and write the JSON."""
    options = parse(arguments)
    receive, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_measure, args=(options, send))
    with engine_environment():
        prepare_openmp(1)
        process.start()
    send.close()
    rows: list[Figures] = receive.recv()
    process.join()
    header = ["requests", "total", *PARTS, "floor_share"]
    print_table(
        f"milliseconds of a batch at beam {options.beam}", header, [[row[name] for name in header] for row in rows]
    )
    figures = {"beam": options.beam, "prompt": options.prompt, "rows": rows, "machine": asdict(Machine.here())}
    options.json.write_text(json.dumps(figures, indent=1) + "\n")


def _measure(options: argparse.Namespace, send: Connection) -> None:
    """Run the benchmark. It needs a process that was started with the environment of an engine."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    shape = Shape(items=options.items)
    with tempfile.TemporaryDirectory() as folder:
        save_bundle(Path(folder), shape, seed=0)
        engine = _Engine(open_bundle(Path(folder), shape), options)
        prompts = draw_prompts(shape, 64, options.prompt, np.random.default_rng(0))
        send.send([engine.breakdown(prompts[: int(count)]) for count in options.concurrency.split(",")])


class _Engine:
    """Our engine inside vLLM's `LLM`, every part of which is timed."""

    def __init__(self, bundle: RandomBundle, options: argparse.Namespace) -> None:
        from vllm import LLM

        from server.engine.vllm.frontend.config import Checkpoint, engine_arguments
        from server.engine.vllm.messages import pack_tokens

        settings = EngineSettings(max_prompt_tokens=options.prompt)
        checkpoint = Checkpoint.read(bundle.model_dir)
        self._llm = LLM(**engine_arguments(bundle, checkpoint, settings, cpu=True))
        self._llm.collective_rpc("install_codes", args=(pack_tokens(bundle.level_tokens), bundle.normalize))
        self._llm.collective_rpc("install_index", args=(0, str(bundle.index_dir)))
        self._options = options
        self._spent: defaultdict[str, float] = defaultdict(float)
        _time_parts(self._spent)

    def breakdown(self, prompts: Sequence[Sequence[int]]) -> Figures:
        """Medians of the parts' times, for these prompts in one batch."""
        samples = [self._sample(prompts) for _ in range(WARM_UP + self._options.repeats)][WARM_UP:]
        medians = {part: float(np.median([sample[part] for sample in samples])) for part in ("total", *PARTS)}
        return {"requests": len(prompts), **medians, "floor_share": medians["forward"] / medians["total"]}

    def _sample(self, prompts: Sequence[Sequence[int]]) -> Figures:
        from vllm import PoolingParams

        from server.engine.protocol import RankRequest
        from server.engine.vllm.messages import TASK, to_extra_kwargs

        extra_kwargs = to_extra_kwargs(RankRequest([0], min(10, self._options.beam), self._options.beam, "breakdown"))
        params = PoolingParams(task=TASK, extra_kwargs=extra_kwargs, skip_reading_prefix_cache=False)
        self._spent.clear()
        started = time.perf_counter()
        inputs = [{"prompt_token_ids": prompt} for prompt in prompts]
        self._llm.encode(inputs, params, pooling_task=TASK, use_tqdm=False)
        total = (time.perf_counter() - started) * 1000
        spent = {part: seconds * 1000 for part, seconds in self._spent.items()}
        return {"total": total, **spent, "rest": total - sum(spent.values())}


def _time_parts(spent: defaultdict[str, float]) -> None:
    """Add the time of every part to `spent`, in seconds. No part calls another."""
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    from catalog.search.beam import BeamSearch
    from catalog.search.level_heads import LevelHeads
    from server.engine.vllm.worker.runner import Runner

    parts: dict[str, list[tuple[type[Any], str]]] = {
        "forward": [(Runner, "decode"), (GPUModelRunner, "_model_forward")],
        "copies": [(Runner, "copy_prompts"), (Runner, "copy_scratch")],
        "heads": [(LevelHeads, "__call__")],
        "constraint": [(BeamSearch, "expand")],
    }
    for part, methods in parts.items():
        for owner, name in methods:
            setattr(owner, name, _timed(getattr(owner, name), part, spent))


def _timed(method: Callable[..., Any], part: str, spent: defaultdict[str, float]) -> Callable[..., Any]:
    @wraps(method)
    def timed(*arguments: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return method(*arguments, **named)
        finally:
            spent[part] += time.perf_counter() - started

    return timed


if __name__ == "__main__":
    main()
