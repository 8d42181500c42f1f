"""What is set aside, and that it is not kept for ever."""

import gc
import subprocess
import sys
import weakref

from server.garbage import set_aside_anew

PROGRAM = """
import gc, weakref
from server.garbage import set_aside, set_aside_anew

class Model:
    def __init__(self):
        self.circle = self

model = Model()
gone = weakref.ref(model)
set_aside()
assert gc.get_freeze_count() > 0
del model
gc.collect()
assert gone() is not None, "it was not set aside"
set_aside_anew()
assert gone() is None, "a model that left was kept"
"""


def test_what_was_set_aside_is_freed_when_its_model_leaves() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


def test_nothing_is_set_aside_in_a_process_that_is_no_server() -> None:
    class Circle:
        pass

    circle = Circle()
    circle.itself = circle  # type: ignore[attr-defined]
    gone = weakref.ref(circle)
    before = gc.get_freeze_count()
    del circle
    set_aside_anew()
    assert gc.get_freeze_count() == before
    gc.collect()
    assert gone() is None
