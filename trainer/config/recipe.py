"""Every setting of a training run: a short YAML recipe, completed by defaults and `key=value` from the command line.

Unknown keys are errors, and the message names the nearest known one.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainer.config.gems import GemsConfig
from trainer.core.errors import TrainerError

RECIPES = Path(__file__).parent / "recipes"
INSTRUCTION_POSITIONS = 256  # of a built base, reserved for the instruction


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class BackboneRecipe(Section):
    """`path` (a folder or a hub name) loads a real checkpoint; without it a small Qwen2-shaped base is built."""

    path: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False
    hidden: int = Field(192, ge=16)
    layers: int = Field(3, ge=1)
    heads: int = Field(6, ge=1)
    vocabulary: int = Field(4096, ge=300)
    pretrain_steps: int = Field(0, ge=0)  # language modelling on the general corpus before the tuning starts
    pretrain_lr: float = Field(2e-3, gt=0)


class IdentifierRecipe(Section):
    scheme: Literal["semantic", "atomic"] = "semantic"
    code_sizes: tuple[int, ...] = (256, 256, 256)
    text: Literal["hashing", "backbone", "sentence-transformers"] = "hashing"
    sentence_transformer: str = "sentence-transformers/all-MiniLM-L6-v2"
    text_dimensions: int = Field(96, ge=2)
    history_dimensions: int = Field(64, ge=0)
    history_weight: float = Field(1.0, ge=0)  # of what people took together, against 1 for the text


class PromptRecipe(Section):
    instruction: str = ""
    max_history: int = Field(20, ge=1)
    history_block: int = Field(5, ge=1)
    max_query_tokens: int = Field(24, ge=1)

    def max_positions(self, levels: int) -> int:
        """How many positions a model needs for any prompt, with identifiers of so many levels and an instruction."""
        interaction = self.max_query_tokens + 1 + levels
        return (self.max_history + 1) * interaction + INSTRUCTION_POSITIONS


class TrainingRecipe(Section):
    steps: int = Field(1000, ge=1)
    search_sequences: int = Field(16, ge=0)  # sequences of each half of a batch
    recommendation_sequences: int = Field(32, ge=0)
    micro_batch: int = Field(1024, ge=1)  # sequences at most in one forward pass; smaller ones accumulate
    warmup: float = Field(0.03, ge=0, le=1)  # share of the steps
    final_lr: float = Field(0.05, ge=0, le=1)  # share of the peak that the cosine ends at
    dropout: float = Field(0.2, ge=0, lt=1)  # on embeddings and block outputs
    item_dropout: float = Field(0.3, ge=0, lt=1)  # share of a history's items that a sequence leaves out
    alignment_share: float = Field(0.5, ge=0, le=1)  # share of the search half made from item texts
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    loss: Literal["codes", "vocabulary"] = "codes"  # what a level's softmax runs over
    checkpoint_every: int = Field(200, ge=1)
    shard: bool = False  # divide all weights among the processes of torchrun, where one device has no room for them


class NullSpaceRecipe(Section):
    corpus: str | None = None  # a text file (.gz too), one document a paragraph; default: the items' own texts
    side: Literal["output", "input"] = "input"  # "output" as released, see docs/method.md
    energy: float = Field(0.95, gt=0, lt=1)  # share of the second moment that is protected …
    relative: float | None = Field(None, gt=0, le=1)  # … or every direction of at least this part of the strongest
    texts: int = Field(2000, ge=1)
    text_tokens: int = Field(128, ge=8)


class EvaluationRecipe(Section):
    split: Literal["leave_one_out", "time_cut"] = "leave_one_out"
    width: int = Field(50, ge=20)
    batch: int = Field(64, ge=1)
    exclude_seen: bool = True  # recommendations leave out what the user has, as the server does; for all methods alike
    bootstrap: int = Field(1000, ge=0)


class AdamWRecipe(Section):
    """What torch's AdamW is told, by every method that uses it."""

    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0)  # of the gradient's norm


class FullRecipe(AdamWRecipe):
    """AdamW on every weight, when method is full."""


class LoraRecipe(AdamWRecipe):
    """Low-rank adapters on the layers of `gems.modules`, when method is lora; lr and decay are the adapters'.

    Everything else moves as with GEMS: `gems.adamw_lr`, `gems.betas`, `gems.weight_decay`, `gems.vocabulary_rows`.
    """

    rank: int = Field(16, ge=1)
    alpha: float = Field(32.0, gt=0)  # an adapter counts alpha / rank
    dropout: float = Field(0.0, ge=0, lt=1)  # of an adapter's input


class LoraMoeRecipe(AdamWRecipe):
    """A mixture of low-rank experts on the layers of `gems.modules`, when method is lora_moe; the rest as for lora."""

    experts: int = Field(4, ge=2)
    rank: int = Field(4, ge=1)  # of each expert
    alpha: float = Field(8.0, gt=0)  # an expert counts alpha / rank
    dropout: float = Field(0.0, ge=0, lt=1)  # of the experts' input


class Recipe(Section):
    method: Literal["gems", "single_subspace", "full", "lora", "lora_moe"] = "gems"
    seed: int = 0
    backbone: BackboneRecipe = BackboneRecipe()
    identifiers: IdentifierRecipe = IdentifierRecipe()
    prompt: PromptRecipe = PromptRecipe()
    training: TrainingRecipe = TrainingRecipe()
    gems: GemsConfig = GemsConfig()  # and single_subspace; its `seed` and, unless set, `vocabulary_rows` follow the run
    full: FullRecipe = FullRecipe()
    lora: LoraRecipe = LoraRecipe()
    lora_moe: LoraMoeRecipe = LoraMoeRecipe()
    null_space: NullSpaceRecipe = NullSpaceRecipe()
    evaluation: EvaluationRecipe = EvaluationRecipe()


def load_recipe(name_or_file: str, overrides: Sequence[str] = ()) -> Recipe:
    """A bundled recipe by name or any YAML file, with `section.key=value` overrides applied.

    Raises TrainerError naming the file or the override and what would be right.
    """
    file = Path(name_or_file)
    if file.suffix not in (".yaml", ".yml"):
        file = RECIPES / f"{name_or_file}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(f.stem for f in RECIPES.glob("*.yaml")))
        raise TrainerError(f"there is no recipe {name_or_file}: give a YAML file or one of {known}")
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise TrainerError(f"{file} is not valid YAML: {error}") from error
    return complete_recipe(values, overrides, f"recipe {name_or_file}")


def complete_recipe(values: dict[str, Any], overrides: Sequence[str], source: str) -> Recipe:
    """These settings with `section.key=value` overrides applied and defaults for the rest. Raises TrainerError."""
    for override in overrides:
        _apply(values, override)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise TrainerError(f"{source}: {_explain(error)}") from error


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise TrainerError(f"{override!r} is no setting: write section.key=value, as in training.steps=500")
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise TrainerError(f"{override!r}: {'.'.join(sections)} is a single value, nothing can be set below it")
    values[last] = yaml.safe_load(text)


def _explain(error: ValidationError) -> str:
    lines = []
    for fault in error.errors():
        place = ".".join(map(str, fault["loc"]))
        if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            near = difflib.get_close_matches(place, _known_keys(Recipe), n=1, cutoff=0.5)
            lines.append(f"{place} is no setting" + (f", did you mean {near[0]}?" if near else ""))
        else:
            lines.append(f"{place}: {fault['msg']} (it is {fault['input']!r})")
    return "; ".join(lines)


def _known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            keys += _known_keys(section, f"{prefix}{name}.")
        elif is_dataclass(section):
            keys += [f"{prefix}{name}.{own.name}" for own in fields(section)]
    return keys
