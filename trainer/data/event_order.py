"""The order of a user's events: by time, and at one moment by chance.

Files keep the events of one moment in an order of their own, which in MovieLens and Amazon is that of the items. A
model could learn it, and it says nothing about people. So the *encounters* of one moment, each of which is all that a
user did with one item then, are shuffled by a seed. The shuffle depends on the seed, the user's and the item's ids and
the time alone: not on the order of the file, nor on how items are numbered, so every bundle holds out the same events.
A server shows events of one moment in the order in which they came; a model that was trained on shuffled ones reads
nothing from that order.

An encounter remains together: its searches come first, then what they led to.

E events.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import pyarrow as pa

__all__ = ["chronological_order"]


def chronological_order(
    users: pa.DictionaryArray, items: pa.DictionaryArray, queries: pa.DictionaryArray, times_E: np.ndarray, *, seed: int
) -> np.ndarray:
    """The row numbers of the events in the order of users, then of time, then of chance: int64 [E].

    users, items, queries: who, what, and the words of the search or null, of every event.
    times_E: Unix milliseconds, int64.
    seed: what the order of one moment's encounters is drawn from.
    """
    user_E = users.indices.to_numpy(zero_copy_only=False)
    item_E = items.indices.to_numpy(zero_copy_only=False)
    searched_E = np.asarray(queries.indices.is_valid())
    query_E = queries.indices.fill_null(0).to_numpy(zero_copy_only=False)
    place_E = _mixed(times_E.astype(np.uint64) ^ _digests(users.dictionary.to_pylist(), seed)[user_E])
    place_E = _mixed(place_E ^ _digests(items.dictionary.to_pylist(), seed)[item_E])
    typed = [*queries.dictionary.to_pylist()] or [""]
    words_E = np.where(searched_E, _digests(typed, seed)[query_E], 0)
    order_E: np.ndarray = np.lexsort((words_E, ~searched_E, place_E, times_E, user_E))
    return order_E


def _digests(texts: Sequence[str], seed: int) -> np.ndarray:
    """A number for every text, which differs with the seed: uint64."""
    key = seed.to_bytes(8, "little")
    digests = [blake2b(text.encode(), digest_size=8, key=key).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype="<u8")


def _mixed(number_E: np.ndarray) -> np.ndarray:
    """Every number scattered over all 64 bits (the finaliser of splitmix64): uint64."""
    number_E = (number_E ^ (number_E >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number_E = (number_E ^ (number_E >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    scattered_E: np.ndarray = number_E ^ (number_E >> np.uint64(31))
    return scattered_E
