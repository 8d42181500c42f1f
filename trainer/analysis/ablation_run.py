"""One run of the ablation table: trains, evaluates and measures what is kept, in a process of its own.

A run's folder is `<out>/<row>/seed-<seed>/`. Its `run.json` appears when everything is done, so a table that was
interrupted goes on with the runs that lack one; a run that was cut off in its training goes on from its checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from catalog.bundle.bundle import sha256_of
from trainer.analysis.retention import TextRetention
from trainer.config.recipe import Recipe
from trainer.core.errors import TrainerError
from trainer.pipeline import run

__all__ = ["Run", "complete"]


@dataclass(frozen=True, slots=True)
class Run:
    """held_out: text that the base, if the recipe names one, and the tuned model are asked to predict."""

    row: str
    seed: int
    recipe: Recipe
    items: Path
    events: Path
    out: Path
    held_out: Path | None
    held_out_tokens: int

    @property
    def folder(self) -> Path:
        return self.out / self.row / f"seed-{self.seed}"

    @property
    def result(self) -> Path:
        return self.folder / "run.json"

    def fingerprint(self) -> str:
        """Of the settings and of every file that the run reads."""
        digest = hashlib.sha256(self.recipe.model_dump_json().encode())
        files = [self.items, self.events, *([self.held_out] if self.held_out else [])]
        if self.recipe.backbone.path is not None:
            files += sorted(Path(self.recipe.backbone.path).glob("*.safetensors"))
        for file in files:
            digest.update(sha256_of(file).encode())
        digest.update(str(self.held_out_tokens).encode())
        return digest.hexdigest()


def complete(wanted: Run) -> dict[str, Any]:
    """The run's result, from its folder if it is there.

    Raises TrainerError where the folder holds a run of other settings or files, and whatever the training raises.
    """
    if wanted.result.exists():
        found: dict[str, Any] = json.loads(wanted.result.read_text(encoding="utf-8"))
        if found["fingerprint"] != wanted.fingerprint():
            raise TrainerError(f"{wanted.result} is of other settings or files: delete it, or name another --out")
        return found
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:  # so that its memory is its own
        return alone.submit(_perform, wanted).result()


def _perform(wanted: Run) -> dict[str, Any]:
    began = time.monotonic()
    published = run(wanted.items, wanted.events, wanted.folder, wanted.recipe, resume=True)
    seconds, peak = time.monotonic() - began, _peak_bytes()
    report = json.loads((published / "report.json").read_text(encoding="utf-8"))
    result = {
        "row": wanted.row,
        "seed": wanted.seed,
        "fingerprint": wanted.fingerprint(),
        "folder": str(published),
        "seconds": seconds,
        "peak_bytes": peak,
        "tasks": report["tasks"],
        "retention": _retention(wanted, published),
    }
    draft = wanted.result.with_suffix(".draft")
    draft.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    draft.replace(wanted.result)
    return result


def _retention(wanted: Run, published: Path) -> dict[str, Any] | None:
    """None where there is no base to compare with, or the method leaves no model."""
    base = wanted.recipe.backbone.path
    if wanted.held_out is None or base is None or not (published / "model").exists():
        return None
    retention = TextRetention(Path(base), wanted.held_out, tokens=wanted.held_out_tokens)
    return {"before": retention.before, "after": retention.after(published)}


def _peak_bytes() -> int:
    """Of this process: what torch allocated on a GPU, else resident memory with all libraries."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
