"""Python's garbage collector, kept from stopping everybody.

A full collection looks through every object that there is: 0.37 s for the 700,000 of a server of two thousand items,
and under load one is due every few seconds. Nearly all of them live as long as the model does, so they are set aside
(`gc.freeze`), and collections take 0.02 s. Only a server's process does this, not whoever imports the application.
"""

import gc

__all__ = ["set_aside", "set_aside_anew"]


def set_aside() -> None:
    """What there is now is not looked through any more. Takes a full collection's time."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def set_aside_anew() -> None:
    """To be called when a model has left: frees it where it was set aside, and sets its successor aside."""
    if gc.get_freeze_count() > 0:
        set_aside()
