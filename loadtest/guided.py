"""Measures what guidance costs a whole answer, with a bundle and real vLLM:

    python -m loadtest.guided --bundle BUNDLE --events events.parquet --json guided.json [--questions 200] [--rounds 3]

Searches and recommendations of the events, with the history that their users had, are asked of one service in three
ways in turns: by the model alone with 50 beams, as before there was guidance; guided with as many; and guided with as
many as the bundle needs. An answer is everything but HTTP, which is the same for all.

`fresh` answers are the first to their question, those that are `cached` follow with the same prompt; who comes first
rotates. `answers_a_second` are of some callers who each ask one question after another, all ways in turns in every
round; `busy` answers are theirs.
`agreement` is the share of the guided ten best of 50 beams that as many beams as the bundle needs find.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq

from catalog.bundle.bundle import open_bundle
from loadtest.measure.errors import LoadtestError
from loadtest.measure.machine import Machine
from loadtest.measure.tables import print_table
from server.core.settings import Settings
from server.query.admission import AdmissionQueue
from server.query.cursor import CursorCodec
from server.query.plan import BEAM_WIDTH
from server.query.service import Service
from server.query.types import Query
from server.serving.manager import DeploymentManager
from server.storage.protocol import Visit
from server.storage.redis_history import RedisHistory

WAYS = ("alone", "guided", "narrow")
WARM_UP = 12
MAX_PAST = 20
"""Items of a history."""

Mode = Literal["fresh", "cached", "busy"]
Figures = dict[str, Any]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.guided", description="What guidance costs an answer.")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--events", type=Path, required=True, help="Parquet file of events, to ask their questions")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3, help="of the callers")
    parser.add_argument("--callers", type=int, default=8, help="who ask at once")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table and write the JSON. Raises LoadtestError for a bundle that does not say its width."""
    options = parse(arguments)
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    bundle = options.bundle.resolve()
    width = open_bundle(bundle).manifest.guided_width
    if width is None:
        raise LoadtestError(f"{bundle} does not say how many beams guided searches need: train it with this code")
    queries = questions_of(options.events, options.questions, options.seed)
    report = asyncio.run(_measured(bundle, queries, options.rounds, options.callers)) | {
        "bundle": bundle.name,
        "questions": len(queries),
        "callers": options.callers,
        "widths": {"alone": BEAM_WIDTH, "guided": BEAM_WIDTH, "narrow": width},
    }
    header = ("way", "fresh p50", "fresh p99", "cached p50", "cached p99", "answers a second")
    rows = [[way, *_cells(report["ways"][way])] for way in WAYS]
    print_table("what guidance costs, ms an answer", header, rows)
    options.json.write_text(json.dumps(report | {"machine": asdict(Machine.here())}, indent=1) + "\n")


def questions_of(events: Path, count: int, seed: int) -> list[Query]:
    """Searches and recommendations in turns: what people searched or took, with what they took before."""
    table = pq.read_table(events, columns=["user_id", "item_id", "timestamp", "query"]).sort_by("timestamp")
    past: dict[str, list[Visit]] = {}
    found: dict[str, list[Query]] = {"search": [], "recommend": []}
    for row in table.to_pylist():
        own = past.setdefault(row["user_id"], [])
        kind: Literal["search", "recommend"] = "search" if row["query"] else "recommend"
        if kind == "search" or own:
            history = tuple(own[-MAX_PAST:])
            found[kind].append(Query(request_id="", kind=kind, text=row["query"] or None, history=history))
        own.append((row["item_id"], row["query"] or None))
    draw = np.random.default_rng(seed)
    halves = [[own[i] for i in draw.permutation(len(own))[: count // 2].tolist()] for own in found.values()]
    return [query for pair in zip(*halves, strict=False) for query in pair]


class Taken:
    """What one way took.

    seconds: of every answer, by mode.
    rates: answers a second of every round.
    """

    def __init__(self) -> None:
        self.seconds: dict[Mode, list[float]] = {"fresh": [], "cached": [], "busy": []}
        self.rates: list[float] = []

    def figures(self) -> Figures:
        """Percentiles in milliseconds, and the median of the rates."""
        modes: Figures = {mode: _percentiles(own) for mode, own in self.seconds.items()}
        rates = np.round(self.rates, 2).tolist()
        return modes | {"answers_a_second": round(float(np.median(self.rates)), 2), "rates": rates}


async def _measured(bundle: Path, queries: Sequence[Query], rounds: int, callers: int) -> Figures:
    settings = Settings(bundles=bundle.parent, answer_timeout_seconds=60, guidance_timeout_ms=5_000)
    deployments = DeploymentManager(settings)
    await deployments.start()
    try:
        return await Answers(deployments, settings).measure(queries, rounds, callers)
    finally:
        await deployments.stop()


class Answers:
    """Asks one deployment in all WAYS."""

    def __init__(self, deployments: DeploymentManager, settings: Settings) -> None:
        history = RedisHistory(settings.storage)  # never asked: every query names its history
        self._services = {
            way: Service(
                deployments.router,
                history,
                AdmissionQueue(settings.max_concurrency, settings.max_queue),
                CursorCodec(settings.cursor_secrets),
                beam_width=None if way == "narrow" else BEAM_WIDTH,
                max_width=settings.engine.max_width,
                timeout_seconds=settings.answer_timeout_seconds,
                guidance=way != "alone",
                guidance_seconds=settings.guidance_timeout_ms / 1000,
            )
            for way in WAYS
        }
        self._asked = 0
        self._taken = {way: Taken() for way in WAYS}

    async def measure(self, queries: Sequence[Query], rounds: int, callers: int) -> Figures:
        for query in queries[:WARM_UP]:
            for way in WAYS:
                await self._ask(way, replace(query, text=None if query.text is None else f"{query.text} please"))
        agreed = []
        for place, query in enumerate(queries[WARM_UP:]):
            answers: dict[str, set[str]] = {}
            for turn in range(len(WAYS)):
                way = WAYS[(place + turn) % len(WAYS)]
                seconds, answers[way] = await self._ask(way, query)
                self._taken[way].seconds["cached" if turn else "fresh"].append(seconds)
            agreed.append(len(answers["narrow"] & answers["guided"]) / max(1, len(answers["guided"])))
        for turn in range(rounds):
            for place in range(len(WAYS)):
                await self._loop(WAYS[(place + turn) % len(WAYS)], queries, callers)
        ways = {way: own.figures() for way, own in self._taken.items()}
        return {"ways": ways, "ratios": _ratios(ways), "agreement": round(float(np.mean(agreed)), 4)}

    async def _loop(self, way: str, queries: Sequence[Query], callers: int) -> None:
        waiting = iter(queries)

        async def caller() -> None:
            for query in waiting:
                seconds, _ = await self._ask(way, query)
                self._taken[way].seconds["busy"].append(seconds)

        began = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        self._taken[way].rates.append(len(queries) / (time.perf_counter() - began))

    async def _ask(self, way: str, query: Query) -> tuple[float, set[str]]:
        self._asked += 1
        began = time.perf_counter()
        result = await self._services[way].execute(
            replace(query, request_id=f"q{self._asked}"), time.monotonic(), within=None
        )
        seconds = time.perf_counter() - began
        if result.degraded:
            raise LoadtestError("an answer came without its prior: the machine is too busy to measure")
        return seconds, {item.item_id for item in result.items}


def _ratios(ways: Mapping[str, Figures]) -> Figures:
    """Of each guided way to the model alone: medians by mode, and the time between answers."""
    alone = ways["alone"]
    return {
        way: {
            "fresh": round(ways[way]["fresh"]["p50"] / alone["fresh"]["p50"], 3),
            "cached": round(ways[way]["cached"]["p50"] / alone["cached"]["p50"], 3),
            "busy": round(ways[way]["busy"]["p50"] / alone["busy"]["p50"], 3),
            "between_answers": round(alone["answers_a_second"] / ways[way]["answers_a_second"], 3),
        }
        for way in WAYS[1:]
    }


def _percentiles(seconds: Sequence[float]) -> Figures:
    p50, p99 = np.percentile(np.array(seconds) * 1000, (50, 99)).tolist()
    return {"p50": round(p50, 2), "p99": round(p99, 2), "answers": len(seconds)}


def _cells(figures: Figures) -> list[float]:
    return [*(figures[mode][p] for mode in ("fresh", "cached") for p in ("p50", "p99")), figures["answers_a_second"]]


if __name__ == "__main__":
    main()
