"""Names of the models we register."""

import pytest

from server.engine.vllm.worker.plugin import architecture_for_items


@pytest.mark.parametrize("decoder", ["Qwen2", "Qwen3", "Llama"])
def test_every_decoder_has_a_name_for_items(decoder):
    assert architecture_for_items(f"{decoder}ForCausalLM") == f"{decoder}ForItems"
