"""Every setting of a training run: a short YAML recipe, overrides from the command line, and defaults for the rest.

Unknown keys are errors whose message names the nearest known key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog.data.event_weights import EventWeights
from catalog.nearest import nearest_name
from trainer.config.gems import GemsConfig
from trainer.core.errors import TrainerError

RECIPES = Path(__file__).parent / "recipes"
UserSampling = Literal["events", "root", "uniform"]
INSTRUCTION_POSITIONS = 256  # of a built base, reserved for the instruction


class Section(BaseModel):
    """A part of a recipe. It is immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class BackboneRecipe(Section):
    """The language model: the checkpoint at `path`, or, without a path, a small Qwen2-shaped base that is built."""

    path: str | None = None  # a folder or the name of a hub's model
    dtype: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False
    hidden: int = Field(192, ge=16)
    layers: int = Field(3, ge=1)
    heads: int = Field(6, ge=1)
    vocabulary: int = Field(4096, ge=300)  # tokens of a built base, before item tokens are added
    pretrain_steps: int = Field(0, ge=0)  # language modelling on the general corpus before the tuning starts
    pretrain_lr: float = Field(2e-3, gt=0)


class IdentifierRecipe(Section):
    """How items get their identifiers."""

    scheme: Literal["semantic", "atomic"] = "semantic"
    code_sizes: tuple[int, ...] = (256, 256, 256)  # how many codes each level has
    text: Literal["hashing", "backbone", "sentence-transformers"] = "hashing"
    sentence_transformer: str = "sentence-transformers/all-MiniLM-L6-v2"
    text_dimensions: int = Field(96, ge=2)  # of the text's part of an item's vector
    history_dimensions: int = Field(64, ge=0)  # of the part that tells which items occur together in histories
    history_weight: float = Field(1.0, ge=0)  # of that part, against 1 for the text
    detail_dimensions: int = Field(
        0, ge=0
    )  # of the searched words that the codes after the first are of; 0: as the first


class PromptRecipe(Section):
    """What a prompt holds (`catalog/text/prompts.py`)."""

    instruction: str = ""
    max_history: int = Field(20, ge=1)
    history_block: int = Field(5, ge=1)
    max_query_tokens: int = Field(24, ge=1)
    history_queries: int | None = Field(None, ge=0)  # of the latest items so many with their queries; null: of all

    def max_positions(self, levels: int) -> int:
        """How many positions a model needs for the longest sequence, be it a prompt or synthetic searches.

        levels: how many codes an identifier has.
        """
        interaction = self.max_query_tokens + 1 + levels
        return (self.max_history + 1) * interaction + INSTRUCTION_POSITIONS


class TrainingRecipe(Section):
    """The training loop, for every method alike."""

    steps: int = Field(1000, ge=1)
    minutes: float | None = Field(None, gt=0)  # for all steps and checkpoints: if too short for `steps`, fewer are made
    search_sequences: int = Field(16, ge=0)  # of each batch
    recommendation_sequences: int = Field(32, ge=0)  # of each batch
    max_tokens: int | None = Field(None, ge=1)  # of a batch, without padding; sequences beyond are left out
    micro_batch: int = Field(1024, ge=1)  # sequences at most in one forward pass; gradients of several are accumulated
    micro_tokens: int | None = Field(None, ge=1)  # at most in one forward pass, padding counted, unless one is longer
    pass_tokens: int = Field(512, ge=0)  # what a pass costs beside its tokens, so that few are made of few sequences
    warmup: float = Field(0.03, ge=0, le=1)  # share of the steps in which the learning rate rises
    final_lr: float = Field(0.05, ge=0, le=1)  # share of the peak learning rate that the cosine ends at
    average: float = Field(0.0, ge=0, le=1)  # share of the steps, the last ones, whose weights are averaged at the end
    dropout: float = Field(0.2, ge=0, lt=1)  # on embeddings and block outputs
    item_dropout: float = Field(0.3, ge=0, lt=1)  # share of a history's items that is left out of a sequence
    user_sampling: UserSampling = "events"  # what a user's share of the sequences grows with
    alignment_share: float = Field(0.5, ge=0, le=1)  # share of the search sequences that is made of items' texts
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    loss: Literal["codes", "children", "vocabulary"] = "codes"  # what the softmax of a level runs over
    checkpoint_every: int = Field(200, ge=1)
    shard: bool = False  # split all weights among the ranks of torchrun, where one device has no room for them

    @property
    def normalize(self) -> Literal["codes", "children"]:
        """What the probabilities of a level sum to one over when the model is evaluated and served."""
        return "children" if self.loss == "children" else "codes"


class NullSpaceRecipe(Section):
    """What GEMS protects: the null spaces of general text."""

    corpus: str | None = None  # a text file (.gz too), one document a paragraph; default: the items' own texts
    side: Literal["output", "input"] = "input"  # the released code has "output", see docs/method.md
    energy: float = Field(0.95, gt=0, lt=1)  # share of the second moment that is protected
    relative: float | None = Field(None, gt=0, le=1)  # instead: directions of at least this part of the strongest
    texts: int = Field(2000, ge=1)  # how many pieces of the corpus are read
    text_tokens: int = Field(128, ge=8)  # of each piece


EventWeight = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class EventsRecipe(Section):
    """What events count, in training, priors and while serving; 0 is no signal (`catalog/data/event_weights.py`)."""

    weights: dict[Literal["view", "click", "cart", "purchase", "rating"], EventWeight] = {}  # of others 1
    positive_rating: float | None = Field(None, allow_inf_nan=False)  # ratings of a lower value count nothing
    on_disk: bool | None = None  # prepare histories on disk, not in memory; null: beyond ten million events
    memory_gb: float = Field(1.0, ge=0.1)  # of DuckDB while it prepares them

    @property
    def event_weights(self) -> EventWeights:
        return EventWeights({str(kind): weight for kind, weight in self.weights.items()}, self.positive_rating)


class EvaluationRecipe(Section):
    """How a model and its baselines are evaluated."""

    split: Literal["leave_one_out", "time_cut"] = "leave_one_out"
    questions: Literal["validation", "test", "both"] = "test"  # "validation" where settings are chosen by the report
    alone: bool = False  # ask the model alone: no baselines, and no guidance is learned for the bundle
    max_questions: int = Field(100_000, ge=1)  # of each task that are asked; of more so many are drawn
    width: int = Field(50, ge=20)  # of the beam
    batch: int = Field(64, ge=1)  # questions of one forward pass
    exclude_seen: bool = True  # recommendations leave out what the user has, as the server does
    bootstrap: int = Field(1000, ge=0)  # samples for the confidence intervals

    @property
    def part(self) -> Literal["validation", "test"]:
        """The questions that a report is of; of "both" those of the test, as the others stand beside it."""
        return "validation" if self.questions == "validation" else "test"

    @property
    def of_model_alone(self) -> bool:
        """Whether nothing but the model is asked: on validation questions the others are tuned."""
        return self.alone or self.questions == "validation"


class AdamWRecipe(Section):
    """The settings of torch's AdamW in the methods that use it."""

    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0)  # largest norm of the gradient


class FullRecipe(AdamWRecipe):
    """The method `full`: AdamW on every weight."""


class LoraRecipe(AdamWRecipe):
    """The method `lora`: low-rank adapters on the layers of `gems.modules`, whose rate and decay these are.

    All other weights are trained as by GEMS, with `gems.adamw_lr`, `gems.betas`, `gems.weight_decay` and
    `gems.vocabulary_rows`.
    """

    rank: int = Field(16, ge=1)
    alpha: float = Field(32.0, gt=0)  # an adapter's output is multiplied by alpha / rank
    dropout: float = Field(0.0, ge=0, lt=1)  # of an adapter's input


class LoraMoeRecipe(AdamWRecipe):
    """The method `lora_moe`: a mixture of low-rank experts on the layers of `gems.modules`.

    All other weights are trained as with `lora`.
    """

    experts: int = Field(4, ge=2)
    rank: int = Field(4, ge=1)  # of each expert
    alpha: float = Field(8.0, gt=0)  # an expert's output is multiplied by alpha / rank
    dropout: float = Field(0.0, ge=0, lt=1)  # of the experts' input


class Recipe(Section):
    """All settings of a training run."""

    method: Literal["gems", "single_subspace", "full", "lora", "lora_moe"] = "gems"
    seed: int = 0
    backbone: BackboneRecipe = BackboneRecipe()
    identifiers: IdentifierRecipe = IdentifierRecipe()
    prompt: PromptRecipe = PromptRecipe()
    training: TrainingRecipe = TrainingRecipe()
    gems: GemsConfig = GemsConfig()  # its `seed`, and unless set its `vocabulary_rows`, are replaced by the run's
    full: FullRecipe = FullRecipe()
    lora: LoraRecipe = LoraRecipe()
    lora_moe: LoraMoeRecipe = LoraMoeRecipe()
    null_space: NullSpaceRecipe = NullSpaceRecipe()
    events: EventsRecipe = EventsRecipe()
    evaluation: EvaluationRecipe = EvaluationRecipe()


def load_recipe(name_or_file: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a YAML file, with `section.key=value` overrides applied and defaults for the rest.

    name_or_file: the name of a file in `trainer/config/recipes`, without ".yaml", or the path of any other.

    Raises TrainerError, which names the file or the override and what would be right.
    """
    file = Path(name_or_file)
    if file.suffix not in (".yaml", ".yml"):
        file = RECIPES / f"{name_or_file}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(f.stem for f in RECIPES.glob("*.yaml")))
        raise TrainerError(f"there is no recipe {name_or_file}: give a YAML file or one of {known}")
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainerError(f"{file} cannot be read: {error}") from error
    values = _parse_yaml(text, str(file)) or {}
    if not isinstance(values, dict):
        raise TrainerError(
            f"{file} holds a {type(values).__name__}: a recipe has sections, such as training: {{steps: 500}}"
        )
    return complete_recipe(values, overrides, f"recipe {name_or_file}")


def complete_recipe(values: dict[str, Any], overrides: Sequence[str], source: str) -> Recipe:
    """The recipe of these values, with `section.key=value` overrides applied and defaults for the rest.

    values: settings by section; the overrides are written into it.
    source: where the values come from, for the message of the TrainerError that wrong ones raise.
    """
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
    values[last] = _parse_yaml(text, override)


def _parse_yaml(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise TrainerError(f"{source} is not valid YAML: {error}") from error


def _explain(error: ValidationError) -> str:
    lines = []
    for fault in error.errors():
        place = ".".join(map(str, fault["loc"]))
        if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            near = nearest_name(place, _known_keys(Recipe))
            lines.append(f"{place} is no setting" + (f", did you mean {near}?" if near else ""))
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
