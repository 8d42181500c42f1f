"""What a checkpoint's config.json says that vLLM must be told or that requests must respect."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.engine.errors import EngineError

__all__ = ["Checkpoint"]

IRRELEVANT = {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache"}
"""Entries that may differ between weights which one loaded model can hold."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """architecture: name of the model class. vocabulary: number of token ids. positions: longest sequence.
    dtype: precision of the weights, or "auto". config: everything."""

    architecture: str
    vocabulary: int
    positions: int
    dtype: str
    config: Mapping[str, Any]

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
                config=config,
            )
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise EngineError(f"{model_dir}/config.json does not describe a decoder: {error!r}") from error

    def differences(self, other: "Checkpoint") -> list[str]:
        """The entries of config.json that keep a model loaded for one from holding the weights of the other."""
        names = (self.config.keys() | other.config.keys()) - IRRELEVANT
        return sorted(name for name in names if self.config.get(name) != other.config.get(name))
