"""What users were shown, beside what they took: what a held-out question says of items that were shown and left.

What was before the answer to a question was shown counts. Otherwise the list that led to the right item would speak for
all that stood in it, the right item among them: people take what they are shown. That moment is known where the event
names an answer (`request_id`) of which impressions are there. Else it is that of the last event in the question's
history, as what was shown since may belong to the answer.

U users, I impressions and T events with which items were taken, of all users together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.data.columns.long_text import encoded
from catalog.data.events import EventType
from catalog.priors.live.shown import MAX_IMPRESSIONS, Shown, shown, unanswered

__all__ = ["Impressions"]

NO_ANSWER = -1
OTHERS = [kind.value for kind in EventType if not kind.is_interaction]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Some events of all users, each user's in the order of time.

    starts_U1: int64 [U+1], where those of every user begin.
    item_E, time_E: the number of each event's item, and its time in Unix milliseconds, int64.
    answer_E: the number of the answer that it names, int64; NO_ANSWER for none.
    """

    starts_U1: np.ndarray
    item_E: np.ndarray
    time_E: np.ndarray
    answer_E: np.ndarray

    @classmethod
    def of(cls, users: int, *columns: np.ndarray) -> Rows:
        """columns: users, items, times and answers of events in any order."""
        user_E, item_E, time_E, answer_E = columns
        order = np.lexsort((item_E, time_E, user_E))
        starts_U1 = np.r_[0, np.cumsum(np.bincount(user_E, minlength=users))]
        return cls(starts_U1, item_E[order], time_E[order], answer_E[order])

    def span(self, user: int) -> slice:
        return slice(int(self.starts_U1[user]), int(self.starts_U1[user + 1]))

    def before(self, user: int, until: int) -> np.ndarray:
        """Times and items of a user's events before a moment, oldest first: int64 [2, E]."""
        of_user = self.span(user)
        early = of_user.start + np.searchsorted(self.time_E[of_user], until)
        return np.stack([self.time_E[of_user.start : early], self.item_E[of_user.start : early]])


@dataclass(frozen=True, slots=True, eq=False)
class Impressions:
    """What the users of some histories, by their numbers there, were shown and took."""

    shown: Rows
    taken: Rows

    @classmethod
    def of(cls, events: pa.Table, user_E: np.ndarray, item_E: np.ndarray, users: int) -> Impressions | None:
        """Those of an events table; None where it has none.

        user_E, item_E: the numbers of each row's user and item, int64; -1 for an item that the catalog does not have.
        """
        shown_E = pc.equal(events["type"], EventType.IMPRESSION.value).to_numpy() & (item_E >= 0)
        if not shown_E.any():
            return None
        taken_E = ~pc.is_in(events["type"], pa.array(OTHERS)).to_numpy() & (item_E >= 0)
        answer_E = np.full(len(user_E), NO_ANSWER, np.int64)
        if "request_id" in events.column_names:
            indices = encoded(events["request_id"]).indices.fill_null(NO_ANSWER)
            answer_E = indices.to_numpy(zero_copy_only=False).astype(np.int64)
        columns = user_E, item_E, events["timestamp"].to_numpy(), answer_E
        return cls(*(Rows.of(users, *(column[rows_E] for column in columns)) for rows_E in (shown_E, taken_E)))

    def before(self, user: int, item: int, time: int, known_until: int) -> Shown:
        """What the user was shown and left before an event's answer was shown.

        item, time: of the event. known_until: the time of the last event in its history; negative where there is none.
        """
        answer = self._answer_of(user, item, time)
        if answer is None:
            return shown(*self._left_before(user, known_until + 1), time)
        of_user = self.shown.span(user)
        asked = int(self.shown.time_E[of_user][self.shown.answer_E[of_user] == answer].min())
        return shown(*self._left_before(user, asked), asked)

    def listed_beside(self, user: int, item: int, time: int) -> np.ndarray:
        """The items beside the event's own in the answer that led to it which the user left there: int64, ascending."""
        answer = self._answer_of(user, item, time)
        if answer is None:
            return np.empty(0, np.int64)
        of_answer = [
            rows.item_E[rows.span(user)][rows.answer_E[rows.span(user)] == answer] for rows in (self.shown, self.taken)
        ]
        return np.setdiff1d(of_answer[0], np.r_[of_answer[1], item])

    def _answer_of(self, user: int, item: int, time: int) -> int | None:
        """The answer that an event names, where the user's impressions are known."""
        taken, of_user = self.taken, self.taken.span(user)
        at_E = (taken.item_E[of_user] == item) & (taken.time_E[of_user] == time)
        named = set(taken.answer_E[of_user][at_E].tolist()) - {NO_ANSWER}
        known = named.intersection(self.shown.answer_E[self.shown.span(user)].tolist())
        return min(known, default=None)

    def _left_before(self, user: int, until: int) -> tuple[np.ndarray, np.ndarray]:
        """Items and times of the impressions before a moment that were not answered before it, each item once a moment,
        the newest MAX_IMPRESSIONS of them."""
        time_I, item_I = np.unique(self.shown.before(user, until), axis=1)
        time_T, item_T = self.taken.before(user, until)
        left = np.flatnonzero(unanswered(item_I, time_I, item_T, time_T))[-MAX_IMPRESSIONS:]
        return item_I[left], time_I[left]
