"""What our metrics tell of vLLM's prefix cache."""

import pytest
from prometheus_client import REGISTRY

from server.engine.protocol import RankRequest
from server.engine.vllm.frontend.client import VllmEngine

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


def tokens(found: str) -> float:
    value = REGISTRY.get_sample_value("gemserve_prefix_cache_tokens_total", {"found": found})
    assert value is not None
    return value


async def test_tokens_of_a_prompt_are_counted_as_computed_then_as_found(vllm_engine: VllmEngine) -> None:
    prompt = [*range(7, 7 + 96)]
    before, found_before = tokens("false"), tokens("true")
    await vllm_engine.rank(RankRequest(prompt, 5, 5, "statistics-1"))
    assert tokens("false") - before == 96
    assert tokens("true") == found_before
    await vllm_engine.rank(RankRequest(prompt, 5, 5, "statistics-2"))
    assert tokens("true") - found_before == 64, "all whole blocks of 32 but the last, whose last token is computed"
    assert tokens("false") - before == 96 + 32
