"""GEMS beside AdamW on a task with something to learn, at the rank and learning rates that small recipes use."""

import torch

from tests.trainer.gems.small_models import chain, language_loss, qwen2
from trainer.gems import GemsConfig, GemsOptimizer

STEPS = 60


def _losses(step):
    return [step(number) for number in range(STEPS)]


def test_from_scratch_at_half_rank_the_loss_falls_like_adamws():
    by_gems, by_adamw = (qwen2(hidden_size=32, intermediate_size=64) for _ in range(2))
    config = GemsConfig(rank=0.5, lr=3e-3, adamw_lr=3e-3, null_space=False, vocabulary_rows="all", refresh_every=20)
    gems, adamw = GemsOptimizer(by_gems, config), torch.optim.AdamW(by_adamw.parameters(), lr=3e-3, weight_decay=0)

    def gems_step(number):
        for task, seed in (("search", number), ("recommendation", 1000 + number)):
            loss = language_loss(by_gems, chain(8, seed))
            with gems.task(task, tokens=8 * 23, loss=loss):
                loss.backward()
        stats = gems.step()
        return (stats.losses.search + stats.losses.recommendation) / 2

    def adamw_step(number):
        loss = (language_loss(by_adamw, chain(8, number)) + language_loss(by_adamw, chain(8, 1000 + number))) / 2
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        return loss.item()

    with_gems, with_adamw = _losses(gems_step), _losses(adamw_step)
    assert with_adamw[-1] < 0.8 * with_adamw[0]
    for start in range(0, STEPS, 10):
        assert sum(with_gems[start : start + 10]) <= 1.06 * sum(with_adamw[start : start + 10])
