"""Every setting of an engine, validated in one place."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["EngineSettings"]


class EngineSettings(BaseModel):
    """What an operator may tune. Unknown keys are errors; the text below each field is its help."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    max_width: int = Field(default=200, ge=1, le=4096)
    """Widest beam a request may ask for."""
    max_prompt_tokens: int = Field(default=2048, ge=1)
    """Longest prompt, in tokens; a model with fewer positions takes less."""
    max_batch_requests: int = Field(default=32, ge=1)
    """Requests that share one step of the model."""
    max_batch_tokens: int = Field(default=4096, ge=64)
    """Prompt tokens computed in one step; a longer prompt is computed in pieces."""
    block_size: int = Field(default=32, ge=16, multiple_of=16)
    """Tokens in one block of the key-value cache."""
    kv_cache_bytes: int = Field(default=1 << 30, ge=1 << 20)
    """Memory of the key-value cache, the beams' scratch blocks included."""
    normalize: Literal["codes", "vocabulary"] = "codes"
    """What a level's probabilities sum to one over: what the bundle was trained for, or the whole vocabulary."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of the model; "auto" is the checkpoint's."""
    tensor_parallel: int = Field(default=1, ge=1)
    """Devices that share the weights (on a CPU: processes)."""
    hang_seconds: float = Field(default=60.0, gt=0)
    """An engine that gives no sign of life for so long is killed and started again."""
    seed: int = 0
    """Of vLLM's random numbers; answers do not depend on it."""

    @property
    def scratch_blocks(self) -> int:
        """Blocks of the key-value cache that belong to the beams: two a beam for two levels of the widest request."""
        return 4 * self.max_width

    def within(self, positions: int) -> "EngineSettings":
        """These settings for a model that takes prompts of at most `positions` tokens."""
        return self.model_copy(update={"max_prompt_tokens": min(self.max_prompt_tokens, positions)})
