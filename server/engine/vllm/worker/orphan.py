"""An engine's process ends with the server that started it, however that ended.

A server that is stopped ends its engine. One that is killed (`kill -9`, the kernel's out-of-memory killer) cannot, and
vLLM's process would wait for its questions for ever, and hold memory that the next server needs.
"""

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait

__all__ = ["end_with_parent"]


def end_with_parent() -> None:
    """Have this process killed as soon as the process that started it is gone; nothing in one that was not started by
    `multiprocessing`, such as the server itself.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_outlive, args=(parent.sentinel,), name="end with parent", daemon=True).start()


def _outlive(sentinel: int) -> None:
    """sentinel: is readable once the parent is gone."""
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGKILL)  # a clean end would tell the parent, and wait for it
