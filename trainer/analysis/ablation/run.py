"""One run of the ablation table: training, evaluation and retention, in a process of its own.

A run's folder is `<out>/<row>/<name>/`, such as `seed-0-rate-0.001`. Its `run.json` appears when everything is done,
so a table that was interrupted goes on with the runs that lack this file. A run whose training was interrupted goes on
from its checkpoint.
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

from catalog.bundle.manifest import sha256_of
from catalog.data.tombstones import tombstone_files
from trainer.analysis.retention import TextRetention
from trainer.config.recipe import Recipe
from trainer.core.errors import TrainerError
from trainer.pipeline import run as run_pipeline

__all__ = ["Run", "result_of"]


@dataclass(frozen=True, slots=True)
class Run:
    """The settings and files of one run.

    row: the row of the table that the run belongs to.
    name: what the run is called in its row, such as seed-0-rate-0.001.
    seed: the seed of the run, which is also in the recipe.
    recipe: all settings of the run.
    items, events: the files to train and evaluate on.
    out: the folder of all runs.
    held_out: a file of general text on which the tuned model is compared with its base; None to skip that.
    held_out_tokens: how many tokens of that text are read at most.
    """

    row: str
    name: str
    seed: int
    recipe: Recipe
    items: Path
    events: Path
    out: Path
    held_out: Path | None
    held_out_tokens: int

    @property
    def folder(self) -> Path:
        return self.out / self.row / self.name

    @property
    def result(self) -> Path:
        return self.folder / "run.json"

    def fingerprint(self) -> str:
        """A SHA-256 over the settings and every file that the run reads."""
        digest = hashlib.sha256(self.recipe.model_dump_json().encode())
        files = [self.items, self.events, *tombstone_files([self.events]), *([self.held_out] if self.held_out else [])]
        if self.recipe.backbone.path is not None:
            files += sorted(Path(self.recipe.backbone.path).glob("*.safetensors"))
        for file in files:
            digest.update(sha256_of(file).encode())
        digest.update(str(self.held_out_tokens).encode())
        return digest.hexdigest()


def result_of(run: Run) -> dict[str, Any]:
    """The run's result, read from its folder if it is there; otherwise the run is performed.

    Raises TrainerError if the folder holds a run of other settings or files, and whatever training raises.
    """
    if run.result.exists():
        found: dict[str, Any] = json.loads(run.result.read_text(encoding="utf-8"))
        if found["fingerprint"] != run.fingerprint():
            raise TrainerError(f"{run.result} is of other settings or files: delete it, or name another --out")
        return found
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:  # to measure its peak memory alone
        try:
            return process.submit(_perform, run).result()
        except (KeyboardInterrupt, SystemExit):  # else it would be waited for, or go on alone
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _perform(run: Run) -> dict[str, Any]:
    began = time.monotonic()
    published = run_pipeline(run.items, run.events, run.folder, run.recipe, resume=True)
    seconds, peak = time.monotonic() - began, _peak_bytes()
    report = json.loads((published / "report.json").read_text(encoding="utf-8"))
    result = {
        "row": run.row,
        "seed": run.seed,
        "fingerprint": run.fingerprint(),
        "folder": str(published),
        "seconds": seconds,
        "peak_bytes": peak,
        "tasks": report["tasks"],
        "validation": report.get("validation"),
        "retention": _retention(run, published),
    }
    draft = run.result.with_suffix(".draft")
    draft.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    draft.replace(run.result)
    return result


def _retention(run: Run, published: Path) -> dict[str, Any] | None:
    """The retention figures; None if there is no base to compare with, or the method leaves no model."""
    base = run.recipe.backbone.path
    if run.held_out is None or base is None or not (published / "model").exists():
        return None
    retention = TextRetention(Path(base), run.held_out, tokens=run.held_out_tokens)
    return {"before": retention.before, "after": retention.after(published)}


def _peak_bytes() -> int:
    """This process's peak of memory: what torch allocated on a GPU, or without one its resident memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
