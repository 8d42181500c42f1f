"""What a checkpoint's config.json says that vLLM must be told or that requests must respect."""

import json
from dataclasses import dataclass
from pathlib import Path

from server.engine.errors import EngineError

__all__ = ["Checkpoint"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """architecture: name of the model class. vocabulary: number of token ids. positions: longest sequence.
    dtype: precision of the weights, or "auto"."""

    architecture: str
    vocabulary: int
    positions: int
    dtype: str

    @classmethod
    def read(cls, model_dir: Path) -> "Checkpoint":
        """From a Hugging Face directory. Raises EngineError."""
        try:
            config = json.loads((model_dir / "config.json").read_text())
            return cls(
                architecture=str(config["architectures"][0]),
                vocabulary=int(config["vocab_size"]),
                positions=int(config["max_position_embeddings"]),
                dtype=str(config.get("dtype") or config.get("torch_dtype") or "auto"),
            )
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise EngineError(f"{model_dir}/config.json does not describe a decoder: {error!r}") from error
