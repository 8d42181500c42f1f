"""A catalogue of 30 items with everything that a bundle has, small enough to be made for every test session."""

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer, models, pre_tokenizers

from catalog.bundle import Manifest
from catalog.codes import token_name
from catalog.items import Items
from catalog.prompts import MARKERS, PromptFormat, PromptSettings, level_token_ids
from server.deployment import Deployment
from server.engine.fake import FakeEngine
from server.engine.protocol import Ranking, RankRequest
from server.selection import Selection

SIZES = (4, 8)
NAMES = ["tent/2 person", "κανό", "rope:10m", "Lamp & Stove?", *(f"item-{i}" for i in range(4, 30))]
UNAVAILABLE = {5, 17}
CODES_NL = np.array([divmod(leaf, SIZES[1]) for leaf in range(len(NAMES))])


class RecordingEngine(FakeEngine):
    """The fake engine, which remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(len(NAMES))
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


def make_deployment(items: Items, prompts: PromptFormat, engine: RecordingEngine | None = None) -> Deployment:
    return Deployment(make_manifest(), items, prompts, Selection(items), engine or RecordingEngine())
