"""The training setup that analyses load from a bundle."""

import shutil
import time

from catalog.data.tombstones import digest_of, tombstones_beside, write_tombstones
from trainer.analysis.held_out_hits import held_out_hits
from trainer.analysis.training_setup import load_training_setup


def test_erased_users_are_neither_drawn_nor_asked_about(bundles, files, tmp_path):
    events = shutil.copy(files[1], tmp_path / "events.parquet")
    folder = bundles["gems"].path
    write_tombstones({digest_of("u1"): time.time_ns() // 1_000_000}, tombstones_beside(events))
    train = load_training_setup(folder, [events]).batches._sources["recommendation"]._histories
    assert "u2" in train.users
    assert "u1" not in train.users
    asked = {user for hits in held_out_hits(folder, [events]).values() for user, _, _ in hits}
    assert "u2" in asked
    assert "u1" not in asked
