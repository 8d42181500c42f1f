"""Where the fork server finds its modules, and what happens without it. `tests/integration` forks vLLM from it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FORKED = """
import json, multiprocessing.forkserver, os, pathlib, shutil, signal, sys
from server.core.logging import configure_logging
from server.engine.vllm.frontend.fork_server import FORK_SERVER, Context, modules_found_as_here

def tell(answers):
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    answers.send((os.getppid(), "server" in sys.modules and sys.modules["server"].__file__, os.environ["CHANGED"]))

if __name__ == "__main__":
    configure_logging("info")
    before = dict(os.environ)
    with modules_found_as_here():
        pass
    assert dict(os.environ) == before
    forkserver = multiprocessing.forkserver
    (module,) = sys.argv[2:]
    usual = forkserver.set_forkserver_preload
    forkserver.set_forkserver_preload = lambda imported: usual([imported[0], module])
    FORK_SERVER.begin()
    if sys.argv[1] == "socket":
        pathlib.Path(forkserver._forkserver._forkserver_address).unlink()
    elif sys.argv[1] == "folder":
        shutil.rmtree(multiprocessing.util.get_temp_dir())
    ours, its = multiprocessing.Pipe()
    os.environ["CHANGED"] = "since"
    process = Context().Process(target=tell, args=[its])
    process.start()
    parent, *told = ours.recv()
    process.join()
    assert process.exitcode == 0
    print(json.dumps([parent != os.getpid(), *told]))
"""


def forked(tmp_path: Path, lost: str = "", module: str = "server.core.errors") -> tuple[list[object], str]:
    """Whether a process was forked, its package `server` and a variable of it; and what was logged."""
    (tmp_path / "program").mkdir(exist_ok=True)
    (tmp_path / "program/forked.py").write_text(FORKED)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(tmp_path / "program/forked.py"), lost, module]
    ended = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    *logged, told = ended.stdout.splitlines()
    return json.loads(told), "".join(logged) + ended.stderr


OURS = str(ROOT / "server/__init__.py")


def test_a_forked_process_has_the_environment_of_its_start(tmp_path: Path) -> None:
    assert forked(tmp_path) == ([True, OURS, "since"], "")


def test_modules_in_the_working_directory_are_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text("print('a program of the operator')")
    assert forked(tmp_path) == ([True, OURS, "since"], "")


@pytest.mark.parametrize("lost", ["socket", "folder"])
def test_a_process_is_spawned_where_the_socket_is_gone(tmp_path: Path, lost: str) -> None:
    """As where a cleaner has been through the temporary folder: an engine that dies has to come back."""
    told, logged = forked(tmp_path, lost)
    assert told == [False, OURS, "since"]
    assert "engine_spawned" in logged
    assert "cannot be reached: [Errno 2] No such file or directory" in logged


def test_an_interrupt_ends_it_without_a_word_while_it_imports(tmp_path: Path) -> None:
    """As of Ctrl-C in a terminal, which every process there gets."""
    (tmp_path / "program").mkdir()
    (tmp_path / "program/slow.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)")
    told, logged = forked(tmp_path, module="slow")
    assert told == [False, OURS, "since"]
    assert "engine_spawned" in logged
    assert "Traceback" not in logged


def test_a_process_is_spawned_where_the_fork_server_does_not_live(tmp_path: Path) -> None:
    (tmp_path / "program").mkdir(exist_ok=True)
    (tmp_path / "program/broken.py").write_text("raise RuntimeError('broken')")
    told, logged = forked(tmp_path, module="broken")
    assert told == [False, OURS, "since"]
    assert "engine_spawned" in logged
    assert "RuntimeError: broken" in logged
