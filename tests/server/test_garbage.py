"""What is set aside, and that it is not kept for ever. In processes of its own: it is about all of a process."""

import subprocess
import sys

import pytest

MODEL = """
import gc, weakref
from server.garbage import set_aside, set_aside_anew

class Model:
    def __init__(self):
        self.circle = self

model = Model()
gone = weakref.ref(model)
"""

LEAVES = """
set_aside()
assert gc.get_freeze_count() > 0
del model
gc.collect()
assert gone() is not None, "it was not set aside"
set_aside_anew()
assert gone() is None, "a model that left was kept"
"""

IS_NO_SERVER = """
assert gc.get_freeze_count() == 0
set_aside_anew()
assert gc.get_freeze_count() == 0, "set aside where nobody asked for it"
"""


@pytest.mark.parametrize("program", [LEAVES, IS_NO_SERVER], ids=["a model leaves", "no server"])
def test_what_is_set_aside(program: str) -> None:
    command = [sys.executable, "-c", MODEL + program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
