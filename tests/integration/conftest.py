"""A small random checkpoint with items, and one vLLM engine that serves it to all tests of the session.

The engine lives in the session's event loop: a test that uses it needs
`pytestmark = pytest.mark.asyncio(loop_scope="session")`.
"""

import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import torch

from catalog.ids.index import ItemIndex
from catalog.search.transformers import TransformersRanker
from server.core.settings import EngineSettings
from server.engine.vllm.frontend.client import VllmEngine
from tests.support.redis_store import connect, raw

__all__ = ["connect", "raw"]

WORDS = 400
LARGE = "test_schemathesis_model.py"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Of a file that is all large, and takes seconds to collect, unless large tests are asked for."""
    without = any(words in config.getoption("markexpr") for words in ("not slow", "not large"))
    return True if collection_path.name == LARGE and without else None


@pytest.fixture(scope="session")
def vllm_imported() -> None:
    """Of every test that starts an engine; the others need not wait for it."""
    with warnings.catch_warnings():
        # importing vLLM 0.32 touches deprecated corners of torch; what happens afterwards is held to our standard
        warnings.simplefilter("ignore")
        import vllm.v1.engine.async_llm  # noqa: F401


@dataclass(frozen=True, slots=True)
class SmallBundle:
    """What an engine needs of a bundle. Vocabulary ids below `words` are words; the level tokens follow."""

    model_dir: Path
    index_dir: Path
    index: ItemIndex
    level_tokens: Sequence[np.ndarray]
    words: int = WORDS
    normalize: str = "codes"


def save_bundle(directory: Path, model: Any, sizes: Sequence[int] = (24, 32, 16), items: int = 3000) -> SmallBundle:
    """Save `model` and up to `items` random items whose codes have these sizes."""
    model.save_pretrained(directory / "model")
    codes = np.unique(np.random.default_rng(0).integers(0, sizes, (items * 2, len(sizes))), axis=0)[:items]
    index, _ = ItemIndex.build(codes, sizes)
    index.save(directory / "index")
    first = WORDS + np.cumsum((0, *sizes[:-1]))
    level_tokens = [start + np.arange(size) for start, size in zip(first, sizes, strict=True)]
    return SmallBundle(directory / "model", directory / "index", ItemIndex.open(directory / "index"), level_tokens)


@pytest.fixture
def new_bundle(vllm_imported: None, tmp_path: Path) -> Callable[..., SmallBundle]:
    """`save_bundle` into a fresh directory."""
    return partial(save_bundle, tmp_path)


@pytest.fixture(scope="session")
def small_bundle(vllm_imported: None, tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A random float32 Qwen2 of two layers, and 3,000 items of three codes."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.3,
    )
    return save_bundle(tmp_path_factory.mktemp("bundle"), Qwen2ForCausalLM(config))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def vllm_engine(small_bundle: SmallBundle) -> AsyncIterator[VllmEngine]:
    """A started engine over `small_bundle`."""
    settings = EngineSettings(max_width=200, max_prompt_tokens=600, max_batch_tokens=256, kv_cache_bytes=1 << 27)
    engine = VllmEngine(small_bundle, settings)
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture(scope="session")
def small_model(small_bundle: SmallBundle) -> Any:
    """The transformers model of `small_bundle`, in float32."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(small_bundle.model_dir, dtype=torch.float32)


@pytest.fixture(scope="session")
def ranker(small_bundle: SmallBundle, small_model: Any) -> TransformersRanker:
    """The reference: what an engine over `small_bundle` should answer."""
    return TransformersRanker(small_model, small_bundle.index, small_bundle.level_tokens)
