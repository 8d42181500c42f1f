"""What draws of a task's events look up: the events' numbers, and how much those up to each weigh together.

Shapes: E events, D events of the task, B events of the task in a block of whole users.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from catalog.text.prompts import TASKS, Task
from trainer.config.recipe import UserSampling
from trainer.data.histories import NO_QUERY, Histories
from trainer.data.prepared.stored import StoredHistories, mapped

__all__ = ["draws_of", "store_draws"]


def draws_of(histories: Histories, task: Task, by: UserSampling) -> tuple[np.ndarray, np.ndarray | None]:
    """The numbers of a task's events, int64 [D], and the sums of their weights, float64 [D], or None if all weigh 1.

    by: see `EventSampler`. Of stored histories these are the mapped files of `store_draws`.
    """
    weighted = _is_weighted(histories, by)
    if isinstance(histories, StoredHistories):
        events = mapped(histories.folder / f"{task}.i64")
        return events, mapped(histories.folder / f"{task}-{by}.f64") if weighted and len(events) else None
    found = list(_blocks(histories, task, by))
    events = np.concatenate([np.empty(0, np.int64), *(events for events, _ in found)])
    if not weighted or len(events) == 0:
        return events, None
    return events, np.cumsum(np.concatenate([weight_B for _, weight_B in found]))


def store_draws(histories: StoredHistories, by: UserSampling) -> None:
    """Write the files that `draws_of` maps, unless they are there."""
    weighted = _is_weighted(histories, by)
    for task in TASKS:
        events, sums = histories.folder / f"{task}.i64", histories.folder / f"{task}-{by}.f64"
        if events.exists() and (sums.exists() or not weighted):
            continue
        drafts = [path.with_name(f".{path.name}") for path in (events, sums)]
        with drafts[0].open("wb") as events_file, drafts[1].open("wb") as sums_file:
            total = 0.0
            for event_B, weight_B in _blocks(histories, task, by):
                event_B.tofile(events_file)
                if weighted and len(weight_B):
                    weight_B[0] += total  # so that the sums are those of all at once, bit for bit
                    sum_B = np.cumsum(weight_B)
                    sum_B.tofile(sums_file)
                    total = float(sum_B[-1])
        for draft, path in zip(drafts, (events, sums), strict=True):
            draft.replace(path)


def _is_weighted(histories: Histories, by: UserSampling) -> bool:
    return by != "events" or histories.weights_E is not None


def _blocks(histories: Histories, task: Task, by: UserSampling) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of every block of users the task's events, int64 [B], and what a draw of each weighs, float64 [B]."""
    for users in histories.blocks():
        span, count_U = histories.span_of(users)
        place_B = np.flatnonzero((histories.queries_E[span] != NO_QUERY) == (task == "search"))
        weight_B = (
            np.ones(len(place_B)) if histories.weights_E is None else np.array(histories.weights_E[span][place_B])
        )
        if by != "events":
            user_B = np.repeat(np.arange(len(users)), count_U)[place_B]
            count_B = np.bincount(user_B, weight_B)[user_B]
            weight_B = weight_B * (count_B**-0.5 if by == "root" else 1 / count_B)
        yield place_B + span.start, weight_B
