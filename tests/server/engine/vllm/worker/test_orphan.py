"""A process that another started ends with it, and one that nobody started goes on."""

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

PARENT = """
import multiprocessing, sys, threading, time
from server.engine.vllm.worker.orphan import end_with_parent

def child():
    {child}
    print(multiprocessing.current_process().pid, flush=True)
    time.sleep(600)

if __name__ == "__main__":
    end_with_parent()
    assert threading.active_count() == 1  # nobody's child watches nobody
    multiprocessing.get_context("{method}").Process(target=child).start()
    time.sleep(600)
"""


@pytest.fixture
def family(request: pytest.FixtureRequest, tmp_path) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    child, method = request.param
    program = tmp_path / "parent.py"
    program.write_text(PARENT.format(child=child, method=method))
    parent = subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    started = psutil.Process(int(parent.stdout.readline()))
    yield parent, started
    parent.kill()
    parent.wait()
    parent.stdout.close()
    if started.is_running():
        started.kill()


@pytest.mark.parametrize("family", [("end_with_parent()", "spawn"), ("end_with_parent()", "fork")], indirect=True)
def test_it_ends_with_a_parent_that_is_killed(family: tuple[subprocess.Popen[str], psutil.Process]) -> None:
    parent, child = family
    parent.kill()
    parent.wait()
    assert child.wait(30) is None  # raises TimeoutExpired where it lives on; it is not our child: no status
    assert not child.is_running()


@pytest.mark.parametrize("family", [("pass", "spawn")], indirect=True)
def test_one_that_does_not_watch_outlives_it(family: tuple[subprocess.Popen[str], psutil.Process]) -> None:
    parent, child = family
    parent.kill()
    parent.wait()
    with pytest.raises(psutil.TimeoutExpired):
        child.wait(0.5)
