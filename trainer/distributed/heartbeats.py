"""Ends a rank when another is not heard of: a machine whose cable is cut says nothing, and would be waited for.

Every rank counts up a number of its own in the store by which the ranks have found each other, over a connection of its
own, and looks at those of the others. Threads do both, so a rank that computes or waits for hours is heard of.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]  # they are documented there

__all__ = ["SILENCE", "heartbeats"]

SILENCE = 600.0
"""Seconds after which a rank is taken for gone. Code that holds the interpreter's lock for so long would be, too."""
BEATS = 10  # within the silence
FAREWELL_SECONDS = 5.0
DONE = 1 << 40
"""Is added to the number of a rank that has ended, which is missed no more."""


@contextmanager
def heartbeats(rank: int, world_size: int, silence: float = SILENCE) -> Iterator[None]:
    """While it is open, this process ends with status 1 and a message once a rank was not heard of for so long.

    silence: seconds. The store is that of torchrun's environment variables.
    """
    pulse = _Pulse(rank, world_size, silence)
    pulse.start()
    try:
        yield
    finally:
        pulse.stop()


class _Pulse:
    """heard: for every rank, when its number was last seen to be another, by the monotonic clock."""

    def __init__(self, rank: int, world_size: int, silence: float) -> None:
        self._rank, self._silence = rank, silence
        self._counts = dict.fromkeys(range(world_size), -1)
        self._heard = dict.fromkeys(range(world_size), time.monotonic())
        self._ended = threading.Event()

        self._beats = threading.Thread(target=self._beat, daemon=True)

    def start(self) -> None:
        """Begins to beat, and to look after the beats: a store that is out of reach may never answer the former."""
        self._beats.start()
        threading.Thread(target=self._look_after, daemon=True).start()

    def stop(self) -> None:
        """Says that this rank has ended, if the store can be told."""
        self._ended.set()
        self._beats.join(FAREWELL_SECONDS)

    def _beat(self) -> None:
        with suppress(RuntimeError):  # of a store that ends or is out of reach, which `_look_after` notices
            store = self._connect()
            while not self._ended.wait(self._silence / BEATS):
                store.add(str(self._rank), 1)
                for rank, count in self._counts.items():
                    now = store.add(str(rank), 0)
                    if now != count:
                        self._counts[rank], self._heard[rank] = now, time.monotonic()
            store.add(str(self._rank), DONE)

    def _connect(self) -> Store:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        patience = timedelta(seconds=self._silence)
        return PrefixStore("heartbeats", TCPStore(address, port, None, False, patience))

    def _look_after(self) -> None:
        while not self._ended.wait(self._silence / BEATS):
            late = [rank for rank, heard in self._heard.items() if time.monotonic() - heard > self._silence]
            missed = [rank for rank in late if self._counts[rank] < DONE]
            if missed and not self._ended.is_set():
                self._end(missed)

    def _end(self, missed: list[int]) -> None:
        """If not even the own number is seen to change, it is the store that is gone, which is with the first rank."""
        gone = [0] if self._rank in missed else missed
        print(
            f"process {self._rank} ends: process {', '.join(map(str, gone))} has not been heard of for "
            f"{self._silence:g} s, so its machine or the network is gone. Start the same command with --resume on all "
            "nodes when it is back, or another is in its place",
            file=sys.__stderr__,
            flush=True,
        )
        os._exit(1)
