"""What settings that save memory do to quality on a small problem: python -m tests.trainer.gems.savings FILE

Writes the figures of docs/method.md. One task reads a Markov chain, the other the same chain backwards; the null space
protects random directions of the inputs. Every row has the same seeds, steps and learning rate.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from catalog.text.prompts import TASKS
from tests.trainer.gems.complementary import TEST, batches, losses
from tests.trainer.gems.small_models import language_loss, one_thread, qwen2, random_null_spaces
from trainer.gems import GemsConfig, GemsOptimizer

STEPS = 200
SEEDS = (0, 1, 2)
PRECISE = {"moments": "full", "projected_gradients": "float32", "bases": "float32", "null_factors": "float32"}
ROWS: dict[str, dict[str, Any]] = {
    "everything in float32, all layers choose at once": PRECISE | {"refresh_turns": 1},
    "everything in float32, layers choose in turns": PRECISE,
    "compact moments": PRECISE | {"moments": "compact"},
    "projected gradients in bfloat16": PRECISE | {"projected_gradients": "bfloat16"},
    "bases in bfloat16": PRECISE | {"bases": "bfloat16"},
    "defaults": {},
}


def held_out_loss(seed: int, changes: dict[str, Any]) -> float:
    """The mean of both tasks' losses on text that was not trained on."""
    model = qwen2(seed=seed, hidden_size=64, intermediate_size=160)
    settings: dict[str, Any] = {"rank": 16, "refresh_every": 25, "lr": 1e-2, "adamw_lr": 3e-3, "vocabulary_rows": "all"}
    config = GemsConfig(**settings | changes, seed=seed)
    optimizer = GemsOptimizer(model, config, null_spaces=random_null_spaces(model, "input", 0.17))
    for step in range(STEPS):
        for task, batch in batches(8, step + 1000 * seed).items():
            loss = language_loss(model, batch)
            with optimizer.task(task, tokens=batch.numel(), loss=loss):
                loss.backward()
        optimizer.step()
    found = losses(model, TEST)
    return statistics.mean(found[task] for task in TASKS)


def main(file: Path) -> None:
    rows = []
    with one_thread():
        for name, changes in ROWS.items():
            found = [held_out_loss(seed, changes) for seed in SEEDS]
            rows.append({"row": name, "settings": changes, "losses": found, "mean": statistics.mean(found)})
            print(name, [round(loss, 4) for loss in found], round(statistics.mean(found), 4), flush=True)
    file.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
