"""The measurements of one catalog's index and search, and of the two baselines.

Every function that ends in `_figures` returns a part of the JSON of `python -m loadtest.index`. Shapes: N items.
"""

import gc
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.ids.index import ItemIndex
from loadtest.index.baselines.dict_trie import DictTrie
from loadtest.index.baselines.padded_csr import PaddedCsr
from loadtest.index.beam_steps import Step, draw_logp, draw_step
from loadtest.index.constraint import IndexConstraint
from loadtest.measure.timing import Spread, mean_spread, take_turns, time_once

__all__ = ["DEPTH", "SIZE", "Competitors", "filter_figures", "load_figures", "size_figures", "step_figures"]

Figures = dict[str, Any]

DEPTH, SIZE = 4, 256
BEAM = 50
SELECTIVITIES = (1.0, 0.1, 0.01, 0.0001)
STEPS = {"step_ms": (1, BEAM), "step_ms_1600": (32, BEAM), "step_ms_512": (1, 512)}
"""Number of requests and beam width, by key of the JSON."""
BASELINES = {"step_ms": ("dict_trie", "padded_csr"), "step_ms_1600": ("padded_csr",), "step_ms_512": ("padded_csr",)}
DIFFERENT_STEPS = 8
"""They take turns, so that none finds its data in the processor's cache from the turn before."""


@dataclass(frozen=True, slots=True)
class Competitors:
    """The three implementations, of the same items."""

    ours: IndexConstraint
    dict_trie: DictTrie
    padded_csr: PaddedCsr

    @classmethod
    def build(cls, codes_NL: NDArray[np.int64]) -> "Competitors":
        """From paths in any order."""
        built = cls(
            IndexConstraint(_build_index(codes_NL)),
            DictTrie(codes_NL, SIZE),
            PaddedCsr(codes_NL, SIZE),
        )
        gc.collect()
        gc.freeze()  # or the millions of dictionaries would slow down every garbage collection
        return built


def _build_index(codes_NL: NDArray[np.int64]) -> ItemIndex:
    return ItemIndex.build(codes_NL, [SIZE] * DEPTH)[0]


def size_figures(codes_NL: NDArray[np.int64], competitors: Competitors, turns: int) -> tuple[Figures, Figures]:
    """Seconds to build from paths in any order, and bytes per item: ours, and the baselines'."""
    seconds = {
        name: float(np.median([time_once(build) for _ in range(turns)]))
        for name, build in {
            "ours": lambda: _build_index(codes_NL),
            "padded_csr": lambda: PaddedCsr(codes_NL, SIZE),
        }.items()
    }
    seconds["dict_trie"] = time_once(lambda: DictTrie(codes_NL, SIZE))
    nbytes = {
        "ours": competitors.ours.index.nbytes,
        "dict_trie": competitors.dict_trie.nbytes,
        "padded_csr": competitors.padded_csr.nbytes,
    }
    figures = {
        name: {"build_s": taken, "bytes_per_item": nbytes[name] / len(codes_NL)} for name, taken in seconds.items()
    }
    return figures.pop("ours"), figures


def load_figures(index: ItemIndex, turns: int) -> Figures:
    """Milliseconds to open and check a saved index; the file is in the page cache."""
    with tempfile.TemporaryDirectory() as directory:
        index.save(Path(directory))
        opened = take_turns({"load_ms": lambda turn: ItemIndex.open(Path(directory))}, turns)
    return {"load_ms": opened["load_ms"].median, "spread": {"load_ms": asdict(opened["load_ms"])}}


def step_figures(key: str, competitors: Competitors, turns: int, seed: int) -> tuple[Figures, dict[str, Figures]]:
    """Milliseconds of one step, ours and each baseline's: the mean of levels 1 to 3, each level, and the slowest."""
    names = ("ours", *BASELINES[key])
    generator = np.random.default_rng(seed)
    by_level: dict[str, dict[str, Spread]] = {name: {} for name in names}
    for level in range(1, DEPTH):
        steps = [draw_step(competitors.ours.index, level, *STEPS[key], generator) for _ in range(DIFFERENT_STEPS)]
        timed_steps = {name: _timed_step(name, competitors, steps) for name in names}
        for name, spread in take_turns(timed_steps, turns).items():
            by_level[name][str(level)] = spread
    figures = {name: _summarize(key, levels) for name, levels in by_level.items()}
    return figures.pop("ours"), figures


def _timed_step(name: str, competitors: Competitors, steps: list[Step]) -> Callable[[int], object]:
    """A function that makes one step a turn with the competitor of this name, from beams that it has located before."""
    if name == "ours":
        ours = competitors.ours
        states = [ours.locate(step) for step in steps]
        return lambda turn: ours.step(states[turn % len(steps)], steps[turn % len(steps)].logp_BC)
    opponent: Any = getattr(competitors, name)
    places = [opponent.locate(step.prefix_Bl) for step in steps]

    def take(turn: int) -> object:
        step = steps[turn % len(steps)]
        return opponent.step(places[turn % len(steps)], step.cost_RW, step.logp_BC, step.keep)

    return take


def _summarize(key: str, levels: dict[str, Spread]) -> Figures:
    mean = mean_spread(list(levels.values()))
    hardest = max(levels, key=lambda level: levels[level].median)
    return {
        key: mean.median,
        f"{key}_by_level": {level: asdict(spread) for level, spread in levels.items()},
        f"{key}_hardest": {"level": int(hardest), "ms": levels[hardest].median},
        "spread": {key: asdict(mean)},
    }


def filter_figures(ours: IndexConstraint, turns: int, seed: int) -> Figures:
    """Milliseconds of the constraint in a whole search of one request, without a filter and with ever stricter ones.

    `filter_compile_ms` is the time to compile a mask of the items into a filter, for the mask where that is slowest.
    """
    generator = np.random.default_rng(seed)
    items = len(ours.index)
    masks = {str(share): _mask(items, max(1, round(share * items)), generator) for share in SELECTIVITIES}
    filters = {"unfiltered": None, **{share: ours.compile_filter(mask) for share, mask in masks.items()}}
    logp = [[draw_logp(BEAM, SIZE, generator) for _ in range(DEPTH)] for _ in range(DIFFERENT_STEPS)]
    searched = take_turns(
        {
            name: lambda turn, chosen=chosen: ours.search(BEAM, chosen, logp[turn % DIFFERENT_STEPS])  # type: ignore[misc]
            for name, chosen in filters.items()
        },
        turns,
    )
    compiled = take_turns(
        {share: lambda turn, mask=mask: ours.compile_filter(mask) for share, mask in masks.items()},  # type: ignore[misc]
        turns,
    )
    slowest = max(compiled.values(), key=lambda spread: spread.median)
    return {
        "filter_ms": {name: spread.median for name, spread in searched.items()},
        "filter_compile_ms": slowest.median,
        "spread": {
            "filter_ms": {name: asdict(spread) for name, spread in searched.items()},
            "filter_compile_ms": asdict(slowest),
        },
    }


def _mask(items: int, chosen: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    mask = np.zeros(items, bool)
    mask[generator.choice(items, chosen, replace=False)] = True
    return mask
