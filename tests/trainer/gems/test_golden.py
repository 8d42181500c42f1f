"""A whole short run against a recorded one, so that no change of the arithmetic goes unnoticed."""

import json

import pytest

from tests.trainer.gems.golden import FILE, curve


def test_loss_curve_is_the_recorded_one():
    recorded, now = json.loads(FILE.read_text(encoding="utf-8")), curve()
    assert recorded.keys() == now.keys()
    for name, values in recorded.items():
        assert now[name] == pytest.approx(values, rel=5e-3), name  # processors round differently
    assert now["search"][-1] < 0.9 * now["search"][0]
