"""A process that has imported what many programs need, and forks one of them whenever it is asked.

    python -m tests.support.fork_server SOCKET MODULE…

tests.support.processes starts it and talks to it over the inherited socket of this number. A request is a JSON message
with three descriptors: where to answer, and the standard output and error of the new process. The answer is the id of
the process and, when it has ended, its status.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

__all__ = ["main"]

MAX_REQUEST = 1 << 20
MAX_DESCRIPTOR = 1 << 16


def main(arguments: Sequence[str]) -> None:
    """Serves until the other end of the socket is closed. Returns in no other process than the first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: for the tests, which end this process too
    control, *modules = arguments
    for module in modules:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # the collector of a forked process need not touch, and so copy, what is shared
    program = serve(socket.socket(fileno=int(control)))
    if program is not None:
        run(program)


def serve(control: socket.socket) -> dict[str, Any] | None:
    """In a forked process: the program that it is to be. None when all is over."""
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is not control:
                pid, answers = key.data
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                selector.unregister(key.fileobj)
                os.close(key.fd)
                tell(answers, status)
                answers.close()
                continue
            message, descriptors, _, _ = socket.recv_fds(control, MAX_REQUEST, 3)
            if not message:
                return None
            pid = os.fork()
            if pid == 0:
                selector.close()
                control.close()
                for number, descriptor in enumerate(descriptors[1:], start=1):
                    os.dup2(descriptor, number)
                os.closerange(3, MAX_DESCRIPTOR)
                program: dict[str, Any] = json.loads(message)
                return program
            for descriptor in descriptors[1:]:
                os.close(descriptor)
            answers = socket.socket(fileno=descriptors[0])
            tell(answers, pid)
            selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, answers))


def tell(answers: socket.socket, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it
        answers.sendall(f"{number}\n".encode())


def run(program: dict[str, Any]) -> None:
    """Becomes `python WORDS…` in an environment and a folder. Raises SystemExit and whatever the program raises."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(program["environment"])
    os.chdir(program["folder"])
    if "torch" in sys.modules and (threads := os.environ.get("OMP_NUM_THREADS")):
        sys.modules["torch"].set_num_threads(int(threads))  # it read the variable when it was imported
    for number, name in ((1, "stdout"), (2, "stderr")):
        setattr(sys, name, TextIOWrapper(os.fdopen(number, "wb", closefd=False), "utf-8", write_through=True))
    first, *rest = program["words"]
    if first == "-m":
        module, *rest = rest
        sys.argv = [module, *rest]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    elif first == "-c":
        code, *rest = rest
        sys.argv = ["-c", *rest]
        exec(code, vars(sys.modules["__main__"]) | {"__name__": "__main__"})
    else:
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
