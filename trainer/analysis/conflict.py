"""Measures how far the gradients of search and recommendation agree in each layer of a tuned model:

    python -m trainer.analysis.conflict --bundle bundles/current --events data/events.parquet \\
        [--batches 32] [--refresh-batches 4] [--corpus FILE] [--json conflict.json] [--picture conflict.png]

For every layer it reports the cosine between the two tasks' gradients: its mean over batches, and the share of batches
in which it is negative. `before` is the cosine of the raw gradients, and `after` that of their projections, each on its
task's subspace inside the null space, as GEMS decomposes them. A layer whose shared subspace leaves no room for the
tasks' own is left out.

Bundles of every method are treated alike. Null spaces are estimated on the bundle's own model, from `--corpus` or the
text that its recipe names; there are none if the recipe turns them off (`gems.null_space`). Bases are chosen on the
first `--refresh-batches` batches, which are not measured. Batches are drawn by the bundle's recipe, as for the steps
after its last one.

Two random subspaces of a large space are almost orthogonal, so projection alone brings cosines closer to zero. It does
not change the share of negative ones.

B batches, N layers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from catalog.text.prompts import TASKS
from trainer.analysis.plots import picture
from trainer.analysis.task_gradients import TaskSubspaces, cosine, mean_gradients, task_gradients, token_shares
from trainer.analysis.training_setup import TrainingSetup, load_training_setup
from trainer.core.command import exit_status
from trainer.core.errors import TrainerError
from trainer.core.progress import progress
from trainer.data.corpus import read_corpus
from trainer.evaluation.confidence import mean_estimate
from trainer.gems.nullspace.estimate import estimate_null_spaces
from trainer.gems.nullspace.space import NullSpace
from trainer.gems.parameters import projected_modules
from trainer.methods.gems import general_text_batches, threshold_of

STAGES = ("before", "after")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trainer.analysis.conflict", description="Conflict of the tasks.")
    parser.add_argument("--bundle", type=Path, required=True, help="a bundle's folder, or the link `current` to one")
    parser.add_argument(
        "--events",
        type=Path,
        required=True,
        action="append",
        metavar="FILE",
        help="events.parquet or events.jsonl of its training, once for each file",
    )
    parser.add_argument("--batches", type=int, default=32, help="to measure on (default: 32)")
    parser.add_argument("--refresh-batches", type=int, default=4, help="to choose the subspaces on (default: 4)")
    parser.add_argument("--corpus", type=Path, help="general text for null spaces, if any (default: as in training)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--picture", type=Path, help="write the picture to this file, a PNG")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the means. The exit status is 0, or 2 if nothing could be measured."""
    return exit_status("trainer.analysis.conflict", partial(_measure, parse(arguments)))


def conflict(setup: TrainingSetup, *, batches: int, refresh_batches: int, corpus: Path | None = None) -> dict[str, Any]:
    """The figures of every layer by its name, as `layers`, and those of the mean over the layers, as `all`.

    batches: how many batches to measure.
    refresh_batches: how many batches, before those, to choose the subspaces on.
    corpus: general text for the null spaces; None for what the recipe names.

    Raises TrainerError if the events are of one task only, or if no layer has room for the tasks' subspaces.
    """
    modules = projected_modules(setup.backbone.model, setup.recipe.gems.modules)
    spaces = _null_spaces(setup, corpus) if setup.recipe.gems.null_space else {}
    first = setup.recipe.training.steps
    config = replace(setup.recipe.gems, seed=setup.recipe.seed)
    with progress("conflict", refresh_batches + batches) as shown:
        chosen = []
        for step in range(first, first + refresh_batches):
            chosen.append(task_gradients(setup, modules, step))
            shown.advance(1)
        if any(set(found) != set(TASKS) for found in chosen):
            raise TrainerError("the events hold one task only: there is nothing that could conflict")
        shares = token_shares(setup, range(first, first + refresh_batches))
        subspaces = {
            name: TaskSubspaces(name, mean_gradients(chosen, name), spaces.get(name), config, shares)
            for name in modules
        }
        del chosen
        modules = {name: module for name, module in modules.items() if subspaces[name].rank}
        if not modules:
            raise TrainerError("the shared subspace leaves no room for the tasks' own: lower gems.rank")
        cosines: dict[str, dict[str, list[float]]] = {stage: {name: [] for name in modules} for stage in STAGES}
        for step in range(first + refresh_batches, first + refresh_batches + batches):
            found = task_gradients(setup, modules, step)
            for name in modules:
                raw = [found[task][name] for task in TASKS]
                projected = [subspaces[name].project(task, found[task][name]) for task in TASKS]
                cosines["before"][name].append(cosine(*raw))
                cosines["after"][name].append(cosine(*projected))
            shown.advance(1)
    return _summarize(cosines) | {"batches": batches, "refresh_batches": refresh_batches}


def draw(figures: dict[str, Any], file: Path) -> None:
    """Draws for every layer, with intervals, the mean cosine on the left and the share of negative ones on the right.

    figures: what `conflict` returned.
    file: the PNG to write.
    """
    names = list(figures["layers"])
    place_N = np.arange(len(names))
    with picture(file, columns=2, height=1.5 + 0.22 * len(names)) as panels:
        for panel, key in zip(panels, ("cosine", "negative"), strict=True):
            for stage, colour, offset in (("before", "tab:red", -0.15), ("after", "tab:blue", 0.15)):
                own = [figures["layers"][name][stage][key] for name in names]
                value_N = np.array([estimate["value"] for estimate in own])
                low, high = ([estimate[end] for estimate in own] for end in ("low", "high"))
                panel.hlines(place_N + offset, low, high, color=colour)
                panel.plot(value_N, place_N + offset, "o", color=colour, markersize=3, label=stage)
            panel.axvline(0 if key == "cosine" else 0.5, color="grey", linewidth=0.8)
            panel.set_yticks(place_N, [name.removeprefix("model.") for name in names], fontsize=6)
            panel.invert_yaxis()
            panel.set_xlabel("cosine of search and recommendation" if key == "cosine" else "share of negative cosines")
        panels[0].legend()


def _summarize(cosines: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    layers: dict[str, dict[str, Any]] = {name: {} for name in cosines["before"]}
    for stage in STAGES:
        for name, values in cosines[stage].items():
            layers[name][stage] = _figures(np.array(values)[:, None])
    return {
        "layers": layers,
        "all": {stage: _figures(np.array(list(cosines[stage].values())).T) for stage in STAGES},
    }


def _figures(cosine_BN: np.ndarray) -> dict[str, Any]:
    """Estimates of the means over layers, with batches as samples, because layers of one batch are not independent."""
    negative_BN = np.where(np.isnan(cosine_BN), np.nan, cosine_BN < 0)
    kept_B = ~np.isnan(cosine_BN).all(1)
    if not kept_B.any():
        raise TrainerError("a layer received no gradient from one of the tasks in any batch")
    return {
        "cosine": mean_estimate(np.nanmean(cosine_BN[kept_B], 1)).as_json(),
        "negative": mean_estimate(np.nanmean(negative_BN[kept_B], 1)).as_json(),
    }


def _null_spaces(setup: TrainingSetup, corpus: Path | None) -> dict[str, NullSpace]:
    recipe, backbone = setup.recipe.null_space, setup.backbone
    named = corpus or (Path(recipe.corpus) if recipe.corpus else None)
    documents = setup.bundle.items.texts() if named is None else read_corpus(named)
    spaces = estimate_null_spaces(
        backbone.model,
        general_text_batches(backbone, recipe, documents),
        side=recipe.side,
        threshold=threshold_of(recipe),
        modules=setup.recipe.gems.modules,
    )
    return {name: space.to(backbone.model.device, space.factor_WK.dtype) for name, space in spaces.items()}


def _measure(options: argparse.Namespace) -> None:
    setup = load_training_setup(options.bundle, options.events)
    figures = conflict(setup, batches=options.batches, refresh_batches=options.refresh_batches, corpus=options.corpus)
    manifest = setup.bundle.manifest
    figures = {"bundle": setup.bundle.version, "method": manifest.method} | figures
    for stage in STAGES:
        cosine_, negative = figures["all"][stage]["cosine"], figures["all"][stage]["negative"]
        print(
            f"{stage} decomposition: cosine {cosine_['value']:.4f} ({cosine_['low']:.4f} to {cosine_['high']:.4f}), "
            f"negative {negative['value']:.1%} ({negative['low']:.1%} to {negative['high']:.1%})"
        )
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if options.picture is not None:
        draw(figures, options.picture)


if __name__ == "__main__":
    raise SystemExit(main())
