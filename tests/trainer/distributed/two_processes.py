"""Runs a function in two processes that talk by gloo, as torchrun would start them."""

import importlib
import os
import socket
import sys
from pathlib import Path

import torch

from tests.support.processes import Process
from trainer.distributed.group import init_process_group


def in_two_processes(function, folder: Path) -> list:
    """What `function(group, folder)`, of a module's top level, returns in each; tensors, numbers, strings."""
    words = ("-m", __name__, function.__module__, function.__name__, folder)
    run_by_two(*words)
    return [torch.load(folder / f"{function.__name__}-{rank}.pt") for rank in range(2)]


def run_by_two(*words: str | Path) -> list[str]:
    """What `python WORDS…` prints in each of two processes that find each other as those of torchrun do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = [Process(*words, imported="trainer", environment=environment_of(rank, port)) for rank in range(2)]
    printed = [process.communicate()[0] for process in started]
    assert [process.wait() for process in started] == [0, 0], "\n".join(printed)
    return printed


def environment_of(rank: int, port: int) -> dict[str, str]:
    return os.environ | {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }


def main(module: str, name: str, folder: str) -> None:
    function = getattr(importlib.import_module(module), name)
    with init_process_group() as group:
        torch.save(function(group, Path(folder)), Path(folder) / f"{name}-{group.rank}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
