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

__all__ = ["chronological_order", "digests", "order_of_numbers"]


def chronological_order(
    users: pa.DictionaryArray, items: pa.DictionaryArray, queries: pa.DictionaryArray, times_E: np.ndarray, *, seed: int
) -> np.ndarray:
    """The row numbers of the events in the order of users, then of time, then of chance: int64 [E].

    users, items, queries: who, what, and the words of the search or null, of every event.
    times_E: Unix milliseconds, int64.
    seed: what the order of one moment's encounters is drawn from.
    """
    query_E = queries.indices.fill_null(-1).to_numpy()
    return order_of_numbers(
        (users.indices.to_numpy(), digests(users.dictionary.to_pylist(), seed)),
        (items.indices.to_numpy(), digests(items.dictionary.to_pylist(), seed)),
        (query_E, digests(queries.dictionary.to_pylist(), seed)),
        times_E,
    )


def order_of_numbers(
    users: tuple[np.ndarray, np.ndarray],
    items: tuple[np.ndarray, np.ndarray],
    queries: tuple[np.ndarray, np.ndarray],
    times_E: np.ndarray,
) -> np.ndarray:
    """The same order, of numbers [E] of who, what and the words, -1 for none, with the `digests` of all numbers."""
    (user_E, digest_U), (item_E, digest_N), (query_E, digest_Q) = users, items, queries
    searched_E = query_E >= 0
    place_E = _mixed(times_E.astype(np.uint64) ^ digest_U[user_E])
    place_E = _mixed(place_E ^ digest_N[item_E])
    words_E = np.zeros(len(query_E), np.uint64)
    words_E[searched_E] = digest_Q[query_E[searched_E]]
    order_E: np.ndarray = np.lexsort((words_E, ~searched_E, place_E, times_E, user_E))
    return order_E


def digests(texts: Sequence[str], seed: int) -> np.ndarray:
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
