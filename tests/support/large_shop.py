"""A catalog as large as those that are searched in earnest, with an engine that takes no time."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer

from catalog.bundle.bundle import Bundle
from catalog.bundle.golden import GoldenQueries
from catalog.data.event_weights import EQUAL_WEIGHTS
from catalog.data.items import Items
from catalog.ids.agreed_paths import Path as ItemPath
from catalog.ids.codes import token_name
from catalog.ids.index import ItemIndex
from catalog.search.calibration import UNCALIBRATED, TaskCalibration
from catalog.snapshot import Snapshot
from catalog.suggestions import TypedQueries
from catalog.text.prompts import PromptFormat, PromptSettings, Task, level_token_ids
from catalog.text.query_terms import TypedWords
from server.core.settings import Settings
from server.engine.protocol import Ranking, RankRequest
from server.serving.manager import DeploymentManager
from tests.support.fake_engine import FakeEngine
from tests.support.small_shop import make_manifest, make_tokenizer

ITEMS = 200_000
SIZES = (512, 512)
CODES_NL = np.stack(np.divmod(np.arange(ITEMS), SIZES[1]), 1)
DESCRIBED = 2_000  # items with a long description, the first ones, which the engine finds
DESCRIPTION = "A long description of a thing that somebody may want. " * 40
COLUMNS = 20  # of text, beside those that every catalog has


class QuickEngine(FakeEngine):
    """Finds the first leaves that are allowed."""

    async def rank(self, request: RankRequest) -> Ranking:
        installed = self._installed[request.index_id]
        leaf_N = np.arange(len(installed.index)) if request.allow is None else np.array(request.allow, np.int64)
        chosen = installed.filter(request.filter_id)
        if chosen is not None:
            leaf_N = leaf_N[chosen.members(leaf_N)]
        leaves = np.setdiff1d(leaf_N[: request.k + len(request.deny)], request.deny)[: request.k]
        scores = -1.0 - np.arange(len(leaves))
        level_scores = np.repeat(scores[:, None] / 2, 2, axis=1) if request.by_level else None
        return Ranking.of(leaves, scores, level_scores)


class LastCodes:
    """Codes new items with the last paths, which the catalog leaves free."""

    def assign(self, texts: list[str], index: ItemIndex, taken: Collection[ItemPath] = ()) -> NDArray[np.int64]:
        return np.stack(np.divmod(SIZES[0] * SIZES[1] - 1 - np.arange(len(texts)), SIZES[1]), 1)


def make_words(count: int) -> list[str]:
    """Words of eight letters, different ones nearly all."""
    letters = np.random.default_rng(0).integers(ord("a"), ord("z") + 1, (count, 8), np.uint32)
    return cast(list[str], letters.view("U8").ravel().tolist())


@cache
def make_items() -> Items:
    described = pa.array([DESCRIPTION] * DESCRIBED + [None] * (ITEMS - DESCRIBED), pa.string())
    constant = {f"column_{i}": pa.repeat(f"value {i}", ITEMS) for i in range(COLUMNS)}
    return Items(
        pa.table(
            {
                "item_id": [f"item-{i}" for i in range(ITEMS)],
                "title": make_words(ITEMS),
                "description": described,
                "brand": pa.repeat("Alpina", ITEMS),
                "categories": pa.repeat(pa.scalar(["outdoor", "camping"]), ITEMS),
                "price": np.arange(ITEMS, dtype=np.float64),
                "available": pa.repeat(True, ITEMS),
                **constant,
            }
        )
    )


@cache
def make_prompts() -> PromptFormat:
    tokenizer: Tokenizer = make_tokenizer()
    tokenizer.add_special_tokens([token_name(level, code) for level, size in enumerate(SIZES) for code in range(size)])
    return PromptFormat(tokenizer, CODES_NL, level_token_ids(tokenizer, SIZES), PromptSettings())


@dataclass
class LargeBundle:
    """What a server needs of a bundle."""

    version: str
    items: Items
    index: ItemIndex
    prompts: PromptFormat
    golden: GoldenQueries | None = None
    has_priors: bool = False
    calibrations: Mapping[Task, TaskCalibration] = field(default_factory=lambda: UNCALIBRATED)

    def __post_init__(self) -> None:
        self.manifest = make_manifest().model_copy(update={"version": self.version})
        self.typed_words, self.code_assigner = TypedWords(), LastCodes()
        self.typed_queries, self.event_weights = TypedQueries(), EQUAL_WEIGHTS
        self.snapshot = Snapshot.published(self.items, CODES_NL, self.index)


def make_large_deployments(settings: Settings) -> DeploymentManager:
    """A manager of large shops under the names that `publish_names` made; each model has an engine of its own."""
    items, index, prompts = make_items(), ItemIndex.build(CODES_NL, SIZES)[0], make_prompts()

    def open_bundle(_: Settings, version: str) -> Bundle:
        return cast(Bundle, LargeBundle(version, items, index, prompts))

    return DeploymentManager(settings, open_bundle, lambda *_: QuickEngine(index))
