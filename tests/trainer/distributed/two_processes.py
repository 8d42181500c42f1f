"""Runs a function in two processes that talk by gloo, as torchrun would start them."""

import os
import socket
from pathlib import Path

import torch
from torch import multiprocessing

from trainer.distributed.group import init_process_group


def in_two_processes(function, folder: Path) -> list:
    """What `function(group, folder)`, of a module's top level, returns in each; tensors, numbers, strings."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    multiprocessing.spawn(_work, (function, folder, port), nprocs=2)
    return [torch.load(folder / f"{function.__name__}-{rank}.pt") for rank in range(2)]


def _work(rank: int, function, folder: Path, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "CUDA_VISIBLE_DEVICES": "",
    }
    with init_process_group() as group:
        torch.save(function(group, folder), folder / f"{function.__name__}-{rank}.pt")
