"""Constrained searches with the transformers driver and the tensor expansion, beside their roofline.

Every search is timed as its caller sees it: prompt in, ranked leaves and scores out, one after another, no prefix
cache. `prefill_ms` is the model's pass over the prompt alone. `kernel_ms` is the time in which the card worked, as
torch's profiler counts it: where it is far below the whole, the host was too slow to keep the card busy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
import torch

from catalog.ids.index import ItemIndex
from catalog.search.transformers import TransformersRanker
from loadtest.gpu.card import elapsed, measure_speed, synchronize
from loadtest.gpu.journal import Journal, fault_of
from loadtest.gpu.roofline import Roofline, published_for
from loadtest.measure.tables import print_table
from loadtest.measure.timing import Spread, time_once
from loadtest.synthetic.codes import uniform_codes
from loadtest.synthetic.qwen import QWEN_SHAPES, random_qwen

__all__ = ["SMALL", "WHOLE", "SearchSizes", "is_right", "run", "setup_of", "show"]


@dataclass(frozen=True, slots=True)
class SearchSizes:
    """What is searched.

    batch: requests of the batches that are searched at once, beside single ones.
    repeats: timed searches of each kind.
    """

    shape: str
    code_size: int
    depth: int
    items: int
    prompts: tuple[int, ...]
    beams: tuple[int, ...]
    batch: int
    repeats: int


WHOLE = SearchSizes("qwen3-1.7b", 8192, 3, 1_500_000, (300, 1000, 2465), (50, 128, 256, 512), 8, 20)
SMALL = SearchSizes("qwen3-tiny", 32, 3, 2000, (20, 40), (5, 10), 2, 2)
WARM_UP = 3
LAST_SECONDS = 5.0  # of a part, in which no further case begins


def setup_of(sizes: SearchSizes) -> dict[str, Any]:
    """The sizes, for the report."""
    return asdict(sizes)


def is_right(report: dict[str, Any]) -> bool:
    """Whether every search found as many items as its beam is wide; one without memory or time does not count."""
    return all(row["found"] == row["beam"] for row in report["rows"] if "error" not in row)


def run(sizes: SearchSizes, device: str, journal: Journal) -> None:
    """Measure every prompt and beam width, the widest last, and add a row for each."""
    speed = measure_speed(device)
    journal.note(speed=asdict(speed))
    words = int(QWEN_SHAPES[sizes.shape]["vocab_size"])
    model = random_qwen(sizes.shape, device=device, vocab_size=words + sizes.depth * sizes.code_size).eval()
    codes = uniform_codes(sizes.items, sizes.depth, sizes.code_size, seed=0)
    index = ItemIndex.build(codes, [sizes.code_size] * sizes.depth)[0]
    tokens = [words + level * sizes.code_size + np.arange(sizes.code_size) for level in range(sizes.depth)]
    ranker = TransformersRanker(model, index, tokens)
    roofline = Roofline(model, sizes.code_size, sizes.depth, speed)
    journal.note(parameters=sum(weight.numel() for weight in model.parameters()))
    draw = np.random.default_rng(1)
    for requests, beam, length in product((1, sizes.batch), sizes.beams, sizes.prompts):
        row: dict[str, Any] = {"requests": requests, "prompt": length, "beam": beam}
        if journal.seconds_left < LAST_SECONDS:
            journal.add(**row, error="no time was left")
            continue
        prompts: list[list[int]] = draw.integers(0, words, (requests, length)).tolist()
        try:
            row |= _figures(ranker, model, prompts, beam, device, sizes.repeats)
        except Exception as error:
            row["error"] = fault_of(error)
        else:
            row |= _beside(row, roofline)
        journal.add(**row)
        if device != "cpu":
            torch.cuda.empty_cache()


def _figures(
    ranker: TransformersRanker, model: Any, prompts: list[list[int]], beam: int, device: str, repeats: int
) -> dict[str, Any]:
    def search() -> None:
        ranker.rank(prompts, beam)

    token_RP = torch.tensor(prompts, device=device)

    def prefill() -> None:
        with torch.inference_mode():
            model.base_model(input_ids=token_RP, use_cache=True)

    for _ in range(WARM_UP):
        search()
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    spread = Spread.of([time_once(search) for _ in range(repeats)])
    figures: dict[str, Any] = {
        "ms": spread.median,
        "p10_ms": spread.p10,
        "p90_ms": spread.p90,
        "prefill_ms": 1000 * elapsed(prefill, device, min(repeats, 5)),
        "queries_per_second": 1000 * len(prompts) / spread.median,
        "found": len(ranker.rank(prompts[:1], beam)[0].leaves),
    }
    if device != "cpu":
        figures["peak_bytes"] = torch.cuda.max_memory_allocated()
        figures["kernel_ms"] = _kernel_ms(search, device)
    return figures


def _beside(row: dict[str, Any], roofline: Roofline) -> dict[str, Any]:
    """The roofline of one request and what others have published; a batch has neither."""
    if row["requests"] > 1:
        return {}
    floor = 1000 * roofline.search(row["prompt"], row["beam"])
    return {
        "roofline_ms": floor,
        "roofline_prefill_ms": 1000 * roofline.prefill(row["prompt"]),
        "times_roofline": row["ms"] / floor,
        "published": published_for(row["prompt"], row["beam"]),
    }


def _kernel_ms(call: Callable[[], object], device: str) -> float | None:
    """The time in which the card worked during a call; None where the profiler cannot say."""
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            call()
            synchronize(device)
        return float(sum(event.self_device_time_total for event in profile.key_averages())) / 1000
    except Exception:  # a figure less is no reason to lose the row
        return None


def show(report: dict[str, Any]) -> None:
    """Print the table."""
    header = ("requests", "prompt", "beam", "ms", "prefill", "card busy", "roofline", "×", "queries/s", "published")
    rows = []
    for row in report["rows"]:
        size = (row["requests"], row["prompt"], row["beam"])
        if "error" in row:
            rows.append((*size, row["error"], *[None] * 6))
            continue
        figures = (row["ms"], row["prefill_ms"], row.get("kernel_ms"), row.get("roofline_ms"))
        others = ", ".join(_published_text(figure) for figure in row.get("published", ())) or None
        rows.append((*size, *figures, row.get("times_roofline"), row["queries_per_second"], others))
    setup = report["setup"]
    print_table(f"Searches: {setup['shape']}, {setup['items']:,} items, on {report['card']['name']}", header, rows)


def _published_text(figure: dict[str, Any]) -> str:
    measured = figure["milliseconds"]
    return f"{figure['name']} " + (f"{measured} ms" if measured else f"{figure['queries_per_second']}/s")
