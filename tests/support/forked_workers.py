"""Processes that `multiprocessing` would start anew, forked from one that has imported what they need.

What runs in a process of its own still does, with memory and time of its own; it only starts five seconds sooner.
"""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver

import pytest

__all__ = ["forked_workers"]

IMPORTED = ["trainer.pipeline", "trainer.analysis.ablation.run", "loadtest.training.method_process"]


@contextmanager
def forked_workers() -> Iterator[None]:
    """`multiprocessing.get_context("spawn")` gives the context of a fork server meanwhile, which no engine shares."""
    context, server = multiprocessing.get_context("forkserver"), forkserver.ForkServer()
    server.set_forkserver_preload(IMPORTED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiprocessing, "get_context", lambda method: context)
        patch.setattr(forkserver, "connect_to_new_process", server.connect_to_new_process)
        yield
    server._stop()
