"""The golden loss curve: python -m tests.trainer.gems.golden writes golden.json beside this file.

Write it anew only when the optimiser's arithmetic is meant to change, and say so in the commit.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.trainer.gems.small_models import one_step, one_thread, qwen2, random_null_spaces
from trainer.gems import GemsConfig, GemsOptimizer

FILE = Path(__file__).with_name("golden.json")
STEPS = 30


def curve() -> dict[str, list[float]]:
    """Losses, gates and update norms of a run with every part of the method in it."""
    model = qwen2(seed=11)
    config = GemsConfig(
        rank=0.5, refresh_every=8, lr=1e-2, adamw_lr=1e-2, weight_decay=0.1, vocabulary_rows=8, gate_lr=5e-3, seed=5
    )
    optimizer = GemsOptimizer(model, config, null_spaces=random_null_spaces(model, "output", 0.3))
    with one_thread():
        stats = [one_step(optimizer, model, step % 4) for step in range(STEPS)]
    return {
        "search": [step.losses.search for step in stats],
        "recommendation": [step.losses.recommendation for step in stats],
        "gate": [step.gates.search for step in stats],
        "update_norm": [step.update_norm for step in stats],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(curve(), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {FILE}")
