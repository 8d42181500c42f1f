"""Measures catalog changes in a running engine, from the change until the next request can see it:

    python -m loadtest.live --items 100000,1000000 --json live.json [--turns 9] [--seed 0]

A real `VllmEngine` with the random model of `loadtest.engine` and the server's own `LiveCatalog` of random items serve
a few callers. Inserts, replacements and deletions of five items take turns. `p99_quiet_ms` and `p99_changing_ms` are
the 99th percentiles of the callers' requests, without changes and during them.
"""

import argparse
import asyncio
import itertools
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from tokenizers import Tokenizer, models

from catalog.bundle.bundle import Bundle
from catalog.data.changes import Change, Delete, Upsert
from catalog.data.event_weights import EQUAL_WEIGHTS, EventWeights
from catalog.ids.code_assigner import CodeAssigner
from catalog.ids.codes import token_name
from catalog.search.calibration import UNCALIBRATED, TaskCalibration
from catalog.snapshot import Snapshot
from catalog.suggestions import TypedQueries
from catalog.text.prompts import MARKERS, PromptFormat, PromptSettings, Task, level_token_ids
from catalog.text.query_terms import TypedWords
from loadtest.measure.machine import Machine
from loadtest.measure.tables import print_table
from loadtest.synthetic.bundle import RandomBundle, Shape, draw_prompts, open_bundle, save_bundle
from loadtest.synthetic.catalog import random_code_assigner, random_snapshot
from server.core.settings import EngineSettings
from server.engine.protocol import Engine, RankRequest
from server.retrieval.live_catalog import LiveCatalog

CALLERS = 4
PROMPT = 300
BEAM = 50
CHANGED = 5
QUIET_SECONDS = 4.0

Figures = dict[str, Any]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.live", description="Measure changes while serving.")
    parser.add_argument("--items", default="100000,1000000", help="sizes of the catalog, as in 1000,10000")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--turns", type=int, default=9, help="changes of every kind")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table and write the JSON."""
    options = parse(arguments)
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    rows = [measure(int(items), options.turns, options.seed) for items in options.items.split(",")]
    header = list(rows[0])
    print_table("changes while serving", header, [[row[name] for name in header] for row in rows])
    options.json.write_text(json.dumps({"rows": rows, "machine": asdict(Machine.here())}, indent=1) + "\n")


def measure(items: int, turns: int, seed: int) -> Figures:
    """The figures of one catalog."""
    shape = Shape(items=items)
    with tempfile.TemporaryDirectory() as folder:
        save_bundle(Path(folder), shape, seed)
        bundle = open_bundle(Path(folder), shape)
        return {"items": items, **asyncio.run(_measure(bundle, shape, turns, seed))}


async def _measure(bundle: RandomBundle, shape: Shape, turns: int, seed: int) -> Figures:
    from server.engine.vllm.frontend.client import VllmEngine

    engine = VllmEngine(bundle, EngineSettings(max_width=BEAM, max_prompt_tokens=PROMPT))
    await engine.start()
    try:
        return await measure_changes(engine, bundle, shape, turns, seed)
    finally:
        await engine.stop()


@dataclass(frozen=True, slots=True)
class ServedCatalog:
    """The part of a bundle that LiveCatalog uses."""

    snapshot: Snapshot
    prompts: PromptFormat
    code_assigner: CodeAssigner
    version: str = "random"
    has_priors: bool = False
    calibrations: Mapping[Task, TaskCalibration] = field(default_factory=lambda: UNCALIBRATED)
    typed_words: TypedWords = field(default_factory=TypedWords)
    typed_queries: TypedQueries = field(default_factory=TypedQueries)
    event_weights: EventWeights = EQUAL_WEIGHTS


async def measure_changes(engine: Engine, bundle: RandomBundle, shape: Shape, turns: int, seed: int) -> Figures:
    """The figures of an engine that has started with this bundle."""
    snapshot = random_snapshot(bundle.index)
    code_assigner = random_code_assigner(bundle.index, np.random.default_rng(seed))
    served = ServedCatalog(snapshot, _prompts(snapshot), code_assigner)
    catalog = LiveCatalog(cast(Bundle, served), engine)
    callers = Callers(engine, catalog, draw_prompts(shape, 64, PROMPT, np.random.default_rng(seed)))
    with callers.asking() as quiet:
        await asyncio.sleep(QUIET_SECONDS)
    with callers.asking() as changing:
        seconds = await _changes(catalog, callers, turns)
    await catalog.close()
    medians = {f"{kind}_s": float(np.median(taken)) for kind, taken in seconds.items()}
    slowest = {f"{kind}_slowest_s": max(taken) for kind, taken in seconds.items()}
    p99 = {"p99_quiet_ms": _p99(quiet), "p99_changing_ms": _p99(changing), "requests": len(quiet) + len(changing)}
    return medians | slowest | p99


def _prompts(snapshot: Snapshot) -> PromptFormat:
    sizes = snapshot.index.sizes
    tokenizer = Tokenizer(models.WordLevel({"word": 0}, unk_token="word"))
    codes = [token_name(level, code) for level, size in enumerate(sizes) for code in range(size)]
    tokenizer.add_special_tokens([*MARKERS, *codes])
    return PromptFormat(tokenizer, snapshot.codes_NL, level_token_ids(tokenizer, sizes), PromptSettings())


async def _changes(catalog: LiveCatalog, callers: "Callers", turns: int) -> dict[str, list[float]]:
    """Seconds of every change, after which a request uses the changed catalog."""
    taken: dict[str, list[float]] = {"insert": [], "replace": [], "delete": []}
    for turn in range(turns):
        ids = [f"new-{turn}-{i}" for i in range(CHANGED)]
        steps: dict[str, list[Change]] = {
            "insert": [Upsert({"item_id": item_id, "title": item_id}) for item_id in ids],
            "replace": [Upsert({"item_id": item_id, "title": "another title"}) for item_id in ids],
            "delete": [Delete(item_id) for item_id in ids],
        }
        for kind, changes in steps.items():
            taken[kind].append(await _timed(lambda changes=changes: catalog.apply(changes)))  # type: ignore[misc]
            await callers.ask()
    return taken


async def _timed(action: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await action()
    return time.perf_counter() - started


class Callers:
    """Concurrent callers, each of whom sends one request after another."""

    def __init__(self, engine: Engine, catalog: LiveCatalog, prompts: Sequence[Sequence[int]]) -> None:
        self._engine = engine
        self._catalog = catalog
        self._prompts = itertools.cycle(prompts)
        self._numbers = itertools.count()

    @contextmanager
    def asking(self) -> Any:
        """Send requests within the context; the list of their times in milliseconds, which grows meanwhile."""
        times: list[float] = []

        async def call() -> None:
            while True:
                times.append(await _timed(self.ask) * 1000)

        tasks = [asyncio.create_task(call()) for _ in range(CALLERS)]
        try:
            yield times
        finally:
            for task in tasks:
                task.cancel()

    async def ask(self) -> None:
        """Send one request, on the present catalog."""
        with self._catalog.use() as searcher:
            async with searcher.eligible.limit(None) as filter_id:
                number = f"live-{next(self._numbers)}"
                await self._engine.rank(
                    RankRequest(
                        next(self._prompts), BEAM, BEAM, number, filter_id=filter_id, index_id=searcher.installed
                    )
                )


def _p99(times: Sequence[float]) -> float:
    return float(np.percentile(times, 99))


if __name__ == "__main__":
    main()
