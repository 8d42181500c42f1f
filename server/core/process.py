"""The process's own limits: garbage collections that do not stop everybody, and enough open files.

A full collection looks through every object that there is: 0.37 s for the 700,000 of a server of two thousand items,
and under load one is due every few seconds. Nearly all of them live as long as the model does, so they are frozen
(`gc.freeze`), and collections take 0.02 s. Only a server's process does this, not whoever imports the application.
"""

import gc
import resource

from server.core.errors import StartupError

__all__ = ["OWN_FILES", "gc_freeze", "gc_refreeze", "raise_fd_limit"]

OWN_FILES = 512  # for everything but clients: models, Redis, the engine's sockets


def gc_freeze() -> None:
    """What there is now is not looked through any more. Takes a full collection's time."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def gc_refreeze() -> None:
    """To be called when a model has left: frees it where it was set aside, and sets its successor aside."""
    if gc.get_freeze_count() > 0:
        gc_freeze()


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
