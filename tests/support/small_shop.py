"""A catalog of 30 items with everything that a bundle has, small enough to be made for every test session."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers

from catalog.bundle.bundle import Bundle
from catalog.bundle.folder import activate
from catalog.bundle.golden import GoldenQueries, GoldenQuery
from catalog.bundle.manifest import Manifest
from catalog.data.event_weights import EventWeights
from catalog.data.items import Items
from catalog.errors import CatalogError
from catalog.ids.agreed_paths import Path as ItemPath
from catalog.ids.codes import token_name
from catalog.ids.index import ItemIndex
from catalog.priors.learned import Learned
from catalog.priors.priors import Priors
from catalog.priors.weights import USUAL_WEIGHTS
from catalog.search.calibration import Calibration, TaskCalibration
from catalog.snapshot import Snapshot
from catalog.suggestions import TypedQueries
from catalog.text.prompts import MARKERS, PromptFormat, PromptSettings, Task, level_token_ids
from catalog.text.query_terms import TypedWords
from server.core.settings import Settings
from server.engine.protocol import Ranking, RankRequest
from server.serving.manager import DeploymentManager
from tests.support.fake_engine import FakeEngine

SIZES = (4, 8)
NAMES = ["tent/2 person", "κανό", "rope:10m", "Lamp & Stove?", *(f"item-{i}" for i in range(4, 30))]
UNAVAILABLE = {5, 17}
CODES_NL = np.array([divmod(leaf, SIZES[1]) for leaf in range(len(NAMES))])


class RecordingEngine(FakeEngine):
    """The fake engine, which remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(make_index())
        self.requests: list[RankRequest] = []

    async def rank(self, request: RankRequest) -> Ranking:
        self.requests.append(request)
        return await super().rank(request)


def make_items() -> Items:
    return Items(
        pa.table(
            {
                "item_id": NAMES,
                "title": [None if i == 6 else f"Title {i}" for i in range(len(NAMES))],
                "brand": ["Alpina"] * len(NAMES),
                "categories": [["outdoor", "camping"]] * len(NAMES),
                "price": [float(i) for i in range(len(NAMES))],
                "available": [i not in UNAVAILABLE for i in range(len(NAMES))],
                "season": ["summer"] * len(NAMES),
            }
        )
    )


def make_tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={character: i for i, character in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    codes = [token_name(level, code) for level, size in enumerate(SIZES) for code in range(size)]
    tokenizer.add_special_tokens([*MARKERS, *codes])
    return tokenizer


def make_prompts() -> PromptFormat:
    tokenizer = make_tokenizer()
    settings = PromptSettings(max_history=6, history_block=3)
    return PromptFormat(tokenizer, CODES_NL, level_token_ids(tokenizer, SIZES), settings)


def make_manifest() -> Manifest:
    return Manifest(
        version="2025-11-20-a",
        created="2025-11-20T00:00:00Z",
        engine="vllm",
        method="gems",
        base_model="test",
        identifiers="semantic",
        code_sizes=SIZES,
        prompt_version=1,
        items=len(NAMES),
    )


def make_index() -> ItemIndex:
    return ItemIndex.build(CODES_NL, SIZES)[0]


class FirstFree:
    """Codes new items with the first free paths, whatever their texts."""

    def assign(self, texts: Sequence[str], index: ItemIndex, taken: Collection[ItemPath] = ()) -> NDArray[np.int64]:
        paths = (divmod(number, SIZES[1]) for number in range(SIZES[0] * SIZES[1]))
        free = [path for path in paths if index.leaf(path) is None and path not in taken]
        if len(texts) > len(free):
            raise CatalogError(f"{len(texts)} new items do not fit")
        return np.array(free[: len(texts)])


@cache
def learned_of_nothing(items: int) -> Learned:
    """What no events teach of the shop's first items, which every server of these tests begins with; nothing writes
    into it."""
    return Priors.of_items(Items(make_items().table.slice(0, items))).learned


CALIBRATIONS: Mapping[Task, TaskCalibration] = {
    "search": TaskCalibration(Calibration(0.9, -1.0, 1.0, 0.07), Calibration(0.9, 0.0, 0.2, 0.04)),
    "recommendation": TaskCalibration(Calibration(0.7, -1.4, 3.0, 0.03), Calibration(0.8, 0.0, 0.1, 0.03)),
}
"""As those of the bundled store are."""


@dataclass
class ShopBundle:
    """What a server needs of a bundle."""

    version: str = "2025-11-20-a"
    golden: GoldenQueries | None = None
    typed_words: TypedWords = field(default_factory=TypedWords)
    typed_queries: TypedQueries = field(default_factory=TypedQueries)
    has_priors: bool = True
    calibrations: Mapping[Task, TaskCalibration] = field(default_factory=lambda: CALIBRATIONS)

    def __post_init__(self) -> None:
        self.manifest = make_manifest().model_copy(update={"version": self.version})
        self.items, self.prompts, self.index, self.code_assigner = (
            make_items(),
            make_prompts(),
            make_index(),
            FirstFree(),
        )
        self.codes_NL, self.prior_weights = CODES_NL, USUAL_WEIGHTS
        self.snapshot = Snapshot.published(self.items, CODES_NL, self.index)

    @property
    def event_weights(self) -> EventWeights:
        return EventWeights.of_settings(self.manifest.settings)

    @cached_property
    def priors(self) -> Priors:
        return Priors(self.items, learned_of_nothing(len(self.items)))


def make_deployments(settings: Settings, engine: RecordingEngine | None = None) -> DeploymentManager:
    """A manager of small shops under the names that `publish_names` made; one engine for all."""
    shared = engine or RecordingEngine()
    return DeploymentManager(settings, lambda _, version: cast(Bundle, ShopBundle(version)), lambda *_: shared)


def publish_names(bundles: Path, *versions: str) -> None:
    """Folders that look like published bundles, of which there are the manifests; the first one is current."""
    for version in versions:
        (bundles / version).mkdir()
        manifest = make_manifest().model_copy(update={"version": version}).sealed()
        (bundles / version / "manifest.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    activate(bundles, versions[0])


def publish_report(bundle: Path) -> None:
    """An evaluation and golden queries, beside a manifest."""
    measures = {"ndcg@10": 0.5, "recall@10": 0.75, "questions": 40, "few": True}
    intervals = {"intervals": {"ndcg@10": [0.4, 0.6]}}
    rankers = {"model": measures, "guided": measures | {"ndcg@10": 0.8} | intervals, "popularity": measures}
    report = {
        **{"protocol": "leave_one_out/full", "questions": "test", "catalog_size": len(NAMES), "beam_width": 20},
        **{"exclude_seen": True, "tasks": {"search": rankers, "recommendation": {"model": measures}}},
    }
    (bundle / "report.json").write_text(json.dumps(report), encoding="utf-8")
    (bundle / "catalog").mkdir()
    asked = GoldenQuery(query="tent", history=(), tokens=(1,), ids=(NAMES[0],), leaves=(0,), scores=(-1.0,))
    golden = GoldenQueries(width=50, normalize="codes", tolerance=0.02, questions=(asked,))
    golden.save(bundle / "catalog" / "golden.json")


def patient_settings(bundles: Path) -> Settings:
    """Of a shop with one bundle, with time for everything, however busy the machine is."""
    publish_names(bundles, "2025-11-20-a")
    return Settings(bundles=bundles, max_body_bytes=1 << 20, guidance_timeout_ms=60_000)
