"""The process's own limits: garbage collections that do not stop everybody, memory that is given back, and enough open
files; and where other processes find its modules.

A full collection looks at every tracked object and stops every thread meanwhile: 0.37 s for the 700,000 of a server,
nearly all of them modules of vLLM and torch. So what lives as long as the model does is frozen (`gc.freeze`), which
takes no time, and collections look at the rest only. A server's process freezes, not whoever imports the application.
"""

import ctypes
import gc
import os
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.core.errors import StartupError

__all__ = ["FROZEN", "OWN_FILES", "gc_deferred", "gc_freeze", "give_memory_back", "module_paths", "raise_fd_limit"]

NEVER = 2**31 - 1  # collections of the middle generation before an automatic full one
FROZEN = threading.Event()  # set once this process has frozen: gc.get_freeze_count() takes 80 ms to count
OWN_FILES = 512  # for everything but clients: models, Redis, the engine's sockets


def gc_freeze() -> None:
    """Free all garbage and freeze the rest. It takes a full collection's time: to be called before anybody is answered.

    The second collection has nothing to look at. It tells Python that few objects are left, so that the next automatic
    one comes before many have gathered.
    """
    gc.collect()
    gc.freeze()
    gc.collect()
    FROZEN.set()


@contextmanager
def gc_deferred() -> Iterator[None]:
    """Load a model inside: nobody waits for a full collection, and what was loaded is frozen at the end.

    Outside a server's process, where nothing is frozen, this does nothing.

    Whatever leaves the process while it is frozen is freed by its reference count, so a model that is replaced must not
    keep itself alive by a cycle of references; tests/server/serving/test_memory.py holds that.
    """
    if not FROZEN.is_set():
        yield
        return
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, NEVER)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)
        gc.collect(1)  # the youngest objects only: some thousands
        gc.freeze()
        gc.collect()


def give_memory_back() -> None:
    """Give the system back what was freed. Without a malloc that has `malloc_trim`, as glibc's has, this does nothing.

    Loading leaves much that is free between what lives on: the guidance of 100,000 items grew the heap by 412 MB, of
    which 177 were in use. It may wait for the system, and others for their memory: to be called in a thread.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def raise_fd_limit(connections: int) -> None:
    """Raises the limit of open files as far as connections of clients need. Raises StartupError where it cannot be."""
    needed = connections + OWN_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        most = f"this process may open {hard:,} files, and {connections:,} connections need {needed:,}"
        raise StartupError(f"{most}: raise its limit (ulimit -n), or choose fewer --connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def module_paths() -> dict[str, str]:
    """Environment variables with which another Python looks for modules where this one does.

    It would look in its working directory first, where an operator may have a `server.py`.
    """
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
