"""A split of stored histories, in files beside them.

train/                      the training histories, without the users' ids, which those of the full ones are
validation.i64, test.i64    the numbers of the events that are asked for
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from catalog.data.event_weights import EventWeights
from catalog.data.items import Items
from catalog.data.validation_report import ValidationReport
from trainer.data.histories import NO_QUERY, Histories
from trainer.data.prepared.arrays import prepare_histories
from trainer.data.prepared.stored import NUMBERS, PIECE, StoredHistories, mapped, open_histories, write_renumbered
from trainer.data.prepared.texts import StoredTexts, store_texts
from trainer.data.questions import Questions, Split
from trainer.data.splits import HOLDING_OUT

__all__ = ["open_split", "split_of_files", "store_split"]

PARTS = ("validation", "test")


def store_split(histories: StoredHistories, name: str, folder: Path) -> None:
    """Write the split of a name in `SPLITS` to an empty folder, a block of users after the other."""
    (train := folder / "train").mkdir()
    arrays = {f"{array}.i64": getattr(histories, f"{array}_E") for array in NUMBERS}
    if histories.weights_E is not None:
        arrays["weights.f64"] = histories.weights_E
    count_U = np.zeros(len(histories.users), np.int64)
    used_Q = np.zeros(len(histories.texts), bool)
    with ExitStack() as stack:
        files = {file: stack.enter_context((train / file).open("wb")) for file in arrays}
        asked = {part: stack.enter_context((folder / f"{part}.i64").open("wb")) for part in PARTS}
        for users, held in zip(histories.blocks(), HOLDING_OUT[name](histories), strict=True):
            span, events_U = histories.span_of(users)
            for file, values_E in arrays.items():
                values_E[span][held.train_B].tofile(files[file])
            query_B = histories.queries_E[span][held.train_B]
            used_Q[query_B[query_B != NO_QUERY]] = True
            before_B1 = np.r_[0, np.cumsum(held.train_B)]
            count_U[users.start : users.stop] = np.diff(before_B1[np.r_[0, np.cumsum(events_U)]])
            for part in PARTS:
                getattr(held, part).tofile(asked[part])
    np.r_[0, np.cumsum(count_U)].tofile(train / "starts.i64")
    _keep_texts(histories, used_Q, train)


def open_split(histories: StoredHistories, folder: Path, train_items_E: np.ndarray | None = None) -> Split:
    """The split of a folder that `store_split` filled.

    train_items_E: other numbers for the items of the training histories, as `histories` have them; None for those that
        are stored.
    """
    train = open_histories(folder / "train", histories.users)
    if train_items_E is not None:
        train = replace(train, items_E=train_items_E)
    return Split(histories, train, *(Questions(histories, mapped(folder / f"{part}.i64")) for part in PARTS))


def split_of_files(
    files: Sequence[Path], tombstones: Sequence[Path], items: Items, name: str, *, weights: EventWeights
) -> tuple[Split, ValidationReport]:
    """The split of files of events, and what was left out of them: as `prepare_histories` has it, without a folder.

    The files are in a temporary folder, and the disk has them until nothing maps them any more.
    """
    with TemporaryDirectory(prefix="gemserve-events-") as folder:
        (full := Path(folder) / "full").mkdir()
        (held := Path(folder) / name).mkdir()
        histories, report = prepare_histories(files, tombstones, items, full, weights=weights)
        store_split(histories, name, held)
        split = open_split(histories, held)
        return replace(split, full=_without_folder(histories), train=_without_folder(split.train)), report


def _without_folder(histories: Histories) -> Histories:
    return Histories(**{own.name: getattr(histories, own.name) for own in fields(Histories)})


def _keep_texts(histories: StoredHistories, used_Q: np.ndarray, train: Path) -> None:
    """Write the texts of the queries that are used, and number the queries by these."""
    assert isinstance(histories.texts, StoredTexts)
    texts, kept = histories.texts, np.flatnonzero(used_Q)
    pieces = np.array_split(kept, -(-len(kept) // PIECE) or 1)
    store_texts((texts.taken(piece) for piece in pieces), train / "texts.arrow")
    new_number = np.r_[np.cumsum(used_Q) - 1, NO_QUERY]  # whose last is that of NO_QUERY, which is -1
    whole = train / "queries.i64"
    old = whole.replace(train / ".queries.i64")
    write_renumbered(mapped(old), new_number, whole)
    old.unlink()
