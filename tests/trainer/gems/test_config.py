"""Settings out of range are refused by name."""

import pytest

from trainer.core.errors import SettingsError
from trainer.gems import GemsConfig


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rank", 0),
        ("rank", 1.5),
        ("task_rank", 0.0),
        ("refresh_every", 0),
        ("oversampling", -1),
        ("moments_at_refresh", "keep"),
        ("modules", ()),
        ("lr", -1.0),
        ("scale", 0.0),
        ("betas", (0.9, 1.0)),
        ("eps", 0.0),
        ("max_grad_norm", 0.0),
        ("vocabulary_rows", "new"),
        ("vocabulary_rows", -1),
        ("gate", "learnt"),
        ("fixed_gates", (1.0,)),
        ("temperature_end", 0.0),
        ("temperature_decay", 1.1),
    ],
)
def test_refused(field, value):
    with pytest.raises(SettingsError, match=f"gems.{field} is"):
        GemsConfig(**{field: value})


def test_lists_from_a_recipe_become_tuples():
    config = GemsConfig(betas=[0.8, 0.9], modules=["q_proj"], vocabulary_rows=[3, 4])
    assert (config.betas, config.modules, config.vocabulary_rows) == ((0.8, 0.9), ("q_proj",), (3, 4))
