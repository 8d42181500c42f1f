"""The settings of the GEMS optimiser, all checked in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args

from trainer.core.errors import SettingsError

__all__ = ["PROJECTED_MODULES", "FactorType", "GateMode", "GemsConfig", "MomentForm", "MomentsAtRefresh", "Rows"]

GateMode = Literal["learned", "heuristic", "fixed"]
FactorType = Literal["bfloat16", "float32"]
MomentForm = Literal["compact", "full"]
MomentsAtRefresh = Literal["rotate", "reset"]
Rows = int | tuple[int, ...] | Literal["none", "all"]

PROJECTED_MODULES = (
    *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),  # Qwen2, Qwen3, Llama
    *("q", "k", "v", "o", "wi", "wi_0", "wi_1", "wo"),  # T5
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GemsConfig:
    """Settings of GemsOptimizer. Raises SettingsError, naming the field, for a value out of range.

    `rank` and `task_rank` are numbers of directions if they are whole, and shares of a layer's directions if they are
    floats in (0, 1]. A layer has as many directions as its shorter side is long, less those that a null space protects
    on that side. Shares suit small models, whose layers differ in size.

    Complementary subspaces of the tasks have at most the directions that the shared one leaves. Where that is none, a
    layer has the shared subspace alone.
    """

    rank: int | float = 128  # of the shared subspace
    task_rank: int | float | None = None  # of each task's own subspace; half of the layer's shared rank by default
    refresh_every: int = 200  # steps from one choice of the subspaces to the next
    refresh_turns: int = 8  # the layers choose in so many steps, one after another, so that few sketches exist at once
    oversampling: int = 32  # columns of a gradient's sketch beyond the shared rank
    moments: MomentForm = "compact"  # an eighth of the size of "full" ones, see trainer/gems/adam/compact.py
    moments_at_refresh: MomentsAtRefresh = "rotate"
    decomposition: bool = True  # False: the shared subspace only (for ablations)
    complementary: bool = True  # the tasks' subspaces are orthogonal to the shared one; False: they may overlap it
    projected_gradients: FactorType = "bfloat16"  # in which sums over micro-batches wait for the step
    bases: FactorType = "bfloat16"  # which are then orthonormal and complementary to a few thousandths
    null_factors: FactorType = "bfloat16"  # of null spaces; the span of the rounded factor is what is protected
    null_space: bool = True  # False: updates may take any direction (for ablations)
    modules: tuple[str, ...] = PROJECTED_MODULES  # the last part of the projected linear layers' names

    lr: float = 1e-3  # of the projected weights
    scale: float = 1.0  # factor of their update, beside lr
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0  # decoupled; of every trained matrix, not of norms and biases
    max_grad_norm: float | None = None  # None: no clipping; what the norm is of, GemsOptimizer says

    adamw_lr: float = 1e-3  # of everything that is not projected: embeddings, norms, biases, an untied head
    vocabulary_rows: Rows = "none"  # trained rows of embeddings and head; an int names the first of them

    gate: GateMode = "learned"
    fixed_gates: tuple[float, float] = (0.5, 0.5)  # search, recommendation, when gate is "fixed"
    gate_lr: float = 5e-5
    temperature_start: float = 1.5  # of the learned gate's softmax
    temperature_decay: float = 0.99  # its factor at every step
    temperature_end: float = 0.1

    seed: int = 0  # of first bases, sketches and the gate's weights

    def __post_init__(self) -> None:
        for field in fields(self):  # recipes come from YAML, which knows lists only
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))
        _check_rank("rank", self.rank)
        if self.task_rank is not None:
            _check_rank("task_rank", self.task_rank)
        for name in ("lr", "adamw_lr", "gate_lr", "weight_decay"):
            _require(name, getattr(self, name), "at least 0", getattr(self, name) >= 0)
        for name in ("scale", "eps", "temperature_start", "temperature_end"):
            _require(name, getattr(self, name), "above 0", getattr(self, name) > 0)
        _require("refresh_every", self.refresh_every, "at least 1", self.refresh_every >= 1)
        _require("refresh_turns", self.refresh_turns, "at least 1", self.refresh_turns >= 1)
        _require("oversampling", self.oversampling, "at least 0", self.oversampling >= 0)
        _require("betas", self.betas, "two numbers in [0, 1)", _pair_below_one(self.betas))
        decay = self.temperature_decay
        _require("temperature_decay", decay, "in (0, 1]", 0 < decay <= 1)
        clip = self.max_grad_norm
        _require("max_grad_norm", clip, "above 0, or None", clip is None or clip > 0)
        gates = self.fixed_gates
        _require("fixed_gates", gates, "two numbers, at least 0", len(gates) == 2 and min(gates) >= 0)
        _require("gate", self.gate, f"one of {get_args(GateMode)}", self.gate in get_args(GateMode))
        _require("moments", self.moments, f"one of {get_args(MomentForm)}", self.moments in get_args(MomentForm))
        types = get_args(FactorType)
        for name in ("projected_gradients", "bases", "null_factors"):
            _require(name, getattr(self, name), f"one of {types}", getattr(self, name) in types)
        modes = get_args(MomentsAtRefresh)
        _require("moments_at_refresh", self.moments_at_refresh, f"one of {modes}", self.moments_at_refresh in modes)
        _require("modules", self.modules, "at least one name", len(self.modules) > 0)
        _require("vocabulary_rows", self.vocabulary_rows, _ROWS, _are_rows(self.vocabulary_rows))


_ROWS = '"none", "all", the first trained row, or a list of rows'


def _require(name: str, value: object, expected: str, holds: bool) -> None:
    if not holds:
        raise SettingsError(f"gems.{name} is {value!r}: it must be {expected}")


def _check_rank(name: str, rank: int | float) -> None:
    if isinstance(rank, float):
        _require(name, rank, "a whole number from 1, or a share in (0, 1]", 0 < rank <= 1)
    else:
        _require(name, rank, "a whole number from 1, or a share in (0, 1]", rank >= 1)


def _pair_below_one(betas: tuple[float, ...]) -> bool:
    return len(betas) == 2 and all(0 <= beta < 1 and math.isfinite(beta) for beta in betas)


def _are_rows(rows: Rows) -> bool:
    if isinstance(rows, str):
        return rows in ("none", "all")
    return rows >= 0 if isinstance(rows, int) else all(row >= 0 for row in rows)
