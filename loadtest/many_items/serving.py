"""Serving many items: what a server opens of a bundle, part by part, and the answers to questions.

The engine is that of transformers with a tiny random model, in this process, so its memory and its time are those of
the index, the search and a prior, as the model's are next to nothing. Everything else is the server's own.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from loadtest.many_items.bundle import MAX_KNOWN, ManyItems, write_bundle
from loadtest.many_items.memory import Parts, now_mb
from loadtest.many_items.questions import Asking, percentiles
from loadtest.measure.process import in_process
from loadtest.synthetic.shop import UntaughtShop, words_of_shop
from server.core.process import gc_deferred, gc_freeze
from server.core.settings import EngineSettings
from server.engine.transformers import TransformersEngine
from server.retrieval.live_catalog import LiveCatalog

__all__ = ["LIMIT_MB", "measure"]

SERVED = "served.json"
WARM_UP = 12
LIMIT_MB = 24_000
"""Of memory, within which ten million items shall be served."""


def measure(folder: Path, items: int, questions: int, changes: int, seed: int, guided: bool) -> dict[str, Any]:
    """The figures of serving the index in a folder, around which a bundle is made where there is none.

    guided: whether a bundle that is made has priors. `within_24_gb`: whether no step has had more memory, without
    mapped files. `bytes_an_item`: what each part holds, the largest first, which says what stands in the way of more
    items.
    """
    steps = {}
    if not (folder / "catalog").is_dir():
        steps["bundle"] = in_process(write_bundle, folder, items, seed, guided)
    steps["serve"] = in_process(serve, folder, items, questions, changes, seed)
    served = json.loads((folder / SERVED).read_text(encoding="utf-8"))
    peak = max(step["anonymous_mb"] for step in steps.values())
    known = min(items, MAX_KNOWN) if served["guided"] else 0
    return {**served, "items_with_events": known, "within_24_gb": peak < LIMIT_MB, "steps": steps}


def serve(folder: Path, items: int, questions: int, changes: int, seed: int) -> None:
    """Open the bundle in a folder, ask and change it, and write the figures into the folder."""
    import torch

    torch.set_num_threads(1)  # of so small a model they would only wait for each other
    gc_freeze()
    figures = asyncio.run(_served(ManyItems(folder, items), questions, changes, seed))
    (folder / SERVED).write_text(json.dumps(figures), encoding="utf-8")


async def _served(bundle: ManyItems, questions: int, changes: int, seed: int) -> dict[str, Any]:
    parts, engine = Parts(), TransformersEngine(bundle, EngineSettings())
    with gc_deferred():
        catalog = await _loaded(parts, bundle, engine)
        loaded = now_mb()
        with parts.part("the rest"):
            await catalog.load()  # what codes new items, as all else is loaded
    ready = now_mb()
    asked = [query.text for query in bundle.typed_queries.queries]
    shop = UntaughtShop(bundle.items, asked, words_of_shop(len(bundle.items)))
    warm_up = Asking(catalog, engine, shop)
    await warm_up.questions(WARM_UP, seed + 1)
    asking = Asking(catalog, engine, shop)
    with parts.part("questions"):
        await asking.questions(questions, seed)
    with parts.part("changes"):
        await asking.changes(changes, seed)
    await catalog.close()
    await engine.stop()
    opened = {name: row for name, row in parts.rows.items() if name not in ("questions", "changes")}
    held = {name: round(1e6 * row["anonymous_mb"] / len(bundle.items), 1) for name, row in opened.items()}
    return {
        "guided": bundle.has_priors,
        "seconds_to_ready": round(sum(row["seconds"] for row in opened.values()), 1),
        "bytes_an_item": dict(sorted(held.items(), key=lambda one: -one[1])),
        "loaded_mb": loaded,
        "ready_mb": ready,
        "parts": parts.rows,
        "questions": {part: percentiles(own) for part, own in asking.seconds.items()},
    }


async def _loaded(parts: Parts, bundle: ManyItems, engine: TransformersEngine) -> LiveCatalog:
    """The catalog, opened in the steps of `LiveCatalog` and of its `load`."""
    for part in ("items", "index", "codes_NL", "snapshot", "prompts"):
        with parts.part(part):
            getattr(bundle, part)
    with parts.part("engine"):
        await engine.start()
    with parts.part("catalog"):
        catalog = LiveCatalog(bundle, engine)
    for name, load in (
        ("spelling", catalog.spelling.load),
        ("prices", catalog.prices.load),
        ("priors", catalog.priors.load),
        ("suggestions", lambda: catalog.suggester.load(catalog.searcher.facets)),
        ("static prior", catalog.install_prior),
    ):
        with parts.part(name):
            await load()
    return catalog
