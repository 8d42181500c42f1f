"""The popularity of items that no source lists steers the real search, and follows events while it serves."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from catalog.bundle.bundle import Bundle
from catalog.data.changes import Upsert
from catalog.search.guidance import Prior
from server.engine.protocol import RankRequest
from server.engine.transformers import TransformersEngine
from server.retrieval.live_catalog import LiveCatalog
from server.storage.protocol import LoggedEvent
from tests.support.small_shop import NAMES, SIZES, ShopBundle

STATIC = Prior(np.empty(0, np.int64), np.empty(0, np.float32), static_weight=100.0)
"""Lists nothing, so that popularity outweighs what the model says."""


@dataclass
class T5Shop(ShopBundle):
    """A shop with a small random model."""

    folder: Path = Path()
    normalize: Literal["codes", "children"] = "codes"

    def __post_init__(self) -> None:
        super().__post_init__()
        torch.manual_seed(0)
        config = T5Config(
            vocab_size=64, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=0
        )
        T5ForConditionalGeneration(config).save_pretrained(self.folder)
        self.model_dir = self.index_dir = self.folder
        self.level_tokens = [np.arange(40, 40 + SIZES[0]), np.arange(50, 50 + SIZES[1])]


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[LiveCatalog]:
    bundle = T5Shop(folder=tmp_path)
    engine = TransformersEngine(bundle)
    await engine.start()
    catalog = LiveCatalog(cast(Bundle, bundle), engine)
    await catalog.install_prior()
    yield catalog
    await catalog.close()
    await engine.stop()


async def best(catalog: LiveCatalog, count: int) -> list[str]:
    installed = catalog.searcher.installed
    ranking = await catalog._engine.rank(RankRequest([1, 2], count, count, "a", index_id=installed, prior=STATIC))
    ids = catalog.searcher.items.table["item_id"]
    return [str(ids[leaf]) for leaf in ranking.leaves]


async def take(catalog: LiveCatalog, *taken: str, erased: tuple[str, ...] = ()) -> None:
    """Each item by a user of its own."""
    events = [LoggedEvent(f"{number} {item_id}", item_id, None) for number, item_id in enumerate(taken)]
    await catalog.count_events(events, erased)
    await catalog.renew_static_prior()


@pytest.mark.parametrize("rows", [(9, 8), (0, 29), (28, 4)])
async def test_a_narrow_search_finds_what_became_popular(catalog: LiveCatalog, rows: tuple[int, int]) -> None:
    most, less = NAMES[rows[0]], NAMES[rows[1]]
    unpopular = await best(catalog, len(NAMES))
    await take(catalog, most, most, most, less)
    assert await best(catalog, 2) == [most, less]
    assert await best(catalog, len(NAMES)) == [most, less, *(i for i in unpopular if i not in (most, less))]
    await take(catalog, erased=tuple(f"{number} {most}" for number in range(3)))
    assert (await best(catalog, 1)) == [less]


async def test_popularity_outlives_a_change_of_the_index(catalog: LiveCatalog) -> None:
    await take(catalog, NAMES[9], NAMES[9])
    await catalog.apply([Upsert({"item_id": "aaa", "title": "new"})])
    assert (await best(catalog, 1)) == [NAMES[9]]
    await take(catalog, *["aaa"] * 5)
    assert await best(catalog, 2) == ["aaa", NAMES[9]]
