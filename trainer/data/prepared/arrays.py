"""Makes stored histories of Parquet files of events: DuckDB sorts the events, and NumPy orders whole users at a time.

Shapes: U users, Q queries, B events of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from catalog.data.event_weights import EQUAL_WEIGHTS, EventWeights
from catalog.data.items import Items
from catalog.data.tombstones import latest_tombstones, read_tombstones
from catalog.data.validation_report import ValidationReport
from trainer.core.errors import TrainerError
from trainer.data.event_order import digests, order_of_numbers
from trainer.data.histories import NO_QUERY, without_repetitions
from trainer.data.prepared.sorted_events import KINDS, SortedEvents, sorted_events
from trainer.data.prepared.stored import NUMBERS, StoredHistories, open_histories
from trainer.data.prepared.texts import StoredTexts, store_texts

__all__ = ["prepare_histories"]


def prepare_histories(
    files: Sequence[Path],
    tombstones: Sequence[Path],
    items: Items,
    folder: Path,
    *,
    weights: EventWeights = EQUAL_WEIGHTS,
    tie_seed: int = 0,
    memory: str = "1GB",
    threads: int = 2,
) -> tuple[StoredHistories, ValidationReport]:
    """Write the histories of events to an empty folder, and open them; the report counts what was left out.

    They are those of `Histories.from_events` of the events that `read_kept_events` reads of the same files, without
    those of unknown items.
    memory: what DuckDB may use; arrays of a million events at once, and eight bytes a user and query, come on top.
    Raises TrainerError for files that it cannot read, and if no event is left, and OSError where the disk is full.
    """
    erased = latest_tombstones(*map(read_tombstones, tombstones))
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(dir=folder, prefix=".scratch-")))
        found = stack.enter_context(sorted_events(files, erased, items, scratch, memory=memory, threads=threads))
        _write(found, items, folder, weights, tie_seed)
        report = found.report()
    return open_histories(folder), report


def _write(found: SortedEvents, items: Items, folder: Path, weights: EventWeights, tie_seed: int) -> None:
    digest_U = store_texts(found.user_ids(), folder / "users.arrow", tie_seed=tie_seed)
    digest_N = digests(items.ids, tie_seed)
    with TemporaryDirectory(dir=folder, prefix=".queries-") as scratch, ExitStack() as stack:
        queries = Path(scratch) / "queries.arrow"
        digest_Q = store_texts(found.queries(), queries, tie_seed=tie_seed)
        texts = StoredTexts(queries)
        renumbered = _Numbering(texts.blank())
        count_U, equal = np.zeros(len(digest_U), np.int64), True
        files = {name: stack.enter_context((folder / f"{name}.i64").open("wb")) for name in NUMBERS}
        weights_file = stack.enter_context((folder / "weights.f64").open("wb"))
        for batch in _by_whole_users(found.batches()):
            user_B, item_B, time_B, kind_B = (batch[name].to_numpy() for name in ("user", "item", "time", "kind"))
            query_B = batch["query"].fill_null(NO_QUERY).to_numpy()
            new_B = renumbered(query_B)
            value_B = batch["value"].fill_null(np.nan).to_numpy()
            weight_B = weights.of_arrays(KINDS, kind_B, value_B, partial(_both, user_B, item_B), time_B)
            words_B = np.where(new_B == NO_QUERY, NO_QUERY, query_B)
            order = order_of_numbers((user_B, digest_U), (item_B, digest_N), (words_B, digest_Q), time_B)
            kept, most = without_repetitions(order, user_B, item_B, new_B, weight_B)
            for name, values in zip(NUMBERS, (item_B, new_B, time_B), strict=True):
                values[kept].astype(np.int64).tofile(files[name])
            most.tofile(weights_file)
            equal = equal and bool((most == 1).all())
            count_U += np.bincount(user_B[kept], minlength=len(count_U))
        store_texts((texts.taken(part) for part in renumbered.in_order()), folder / "texts.arrow")
    if equal:
        (folder / "weights.f64").unlink()
    np.r_[0, np.cumsum(count_U)].tofile(folder / "starts.i64")
    if count_U.sum() == 0:
        raise TrainerError(
            "no event is left: do --items and --events belong together, or does events.weights ignore all?"
        )


def _both(user_B: np.ndarray, item_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return user_B, item_B


class _Numbering:
    """Numbers queries anew, in the order in which events first have them, as `encoded` does."""

    def __init__(self, blank_Q: np.ndarray) -> None:
        self._blank_Q = blank_Q
        self._number_Q = np.full(len(blank_Q), NO_QUERY, np.int64)
        self._found: list[np.ndarray] = []
        self._count = 0

    def __call__(self, query_B: np.ndarray) -> np.ndarray:
        """The new numbers of queries; NO_QUERY for none, and for blank ones."""
        asked = np.flatnonzero(query_B != NO_QUERY)
        asked = asked[~self._blank_Q[query_B[asked]]]
        distinct, first = np.unique(query_B[asked], return_index=True)
        new = distinct[np.argsort(first)]
        new = new[self._number_Q[new] == NO_QUERY]
        self._number_Q[new] = self._count + np.arange(len(new))
        self._found.append(new)
        self._count += len(new)
        number_B = np.full(len(query_B), NO_QUERY, np.int64)
        number_B[asked] = self._number_Q[query_B[asked]]
        return number_B

    def in_order(self) -> Iterator[np.ndarray]:
        """The old numbers in the order of the new ones."""
        yield from self._found


def _by_whole_users(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows, with all of a user in one table."""
    rest: list[pa.RecordBatch] = []
    for batch in batches:
        user_B = batch["user"].to_numpy()
        cut = int(np.searchsorted(user_B, user_B[-1])) if len(user_B) else 0
        if rest and len(user_B) and rest[-1]["user"][-1].as_py() != user_B[0]:
            cut_whole, rest = rest, []
            yield pa.Table.from_batches(cut_whole)
        if cut:
            yield pa.Table.from_batches([*rest, batch.slice(0, cut)])
            rest = []
        if len(batch) > cut:
            rest.append(batch.slice(cut))
    if rest:
        yield pa.Table.from_batches(rest)
