"""A process for each engine of the benchmark, which works only while it has prompts to answer."""

import multiprocessing
import os
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from loadtest.engine.peers.ours import Ours
from loadtest.engine.peers.protocol import Limits, Peer, Prompt
from loadtest.engine.peers.transformers import TransformersGenerate
from loadtest.engine.peers.vllm import VllmBeamSearch
from loadtest.measure.errors import LoadtestError
from loadtest.synthetic.bundle import Shape, open_bundle
from server.engine.vllm.frontend.environment import engine_environment, prepare_openmp

__all__ = ["NAMES", "OURS", "PeerProcess", "Reply"]

OURS = "ours"
NAMES = (OURS, "vllm", "transformers")
START_SECONDS = 180.0
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """Answers to some prompts.

    seconds: wall time of the call, measured in the peer's process.
    leaves: the items of every answer, best first; -1 for what is no item.
    """

    seconds: float
    leaves: list[list[int]]


class PeerProcess:
    """An engine in a process of its own. All get the environment that our engine chooses for itself, and `threads`."""

    def __init__(self, name: str, directory: Path, shape: Shape, limits: Limits) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.name = name
        self._connection, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_work, args=(theirs, name, directory, shape, limits), name=f"peer-{name}")
        with engine_environment():
            os.environ["OMP_NUM_THREADS"] = str(limits.threads)
            prepare_openmp(1)
            self._process.start()
        theirs.close()

    def wait_until_ready(self) -> None:
        """Raises LoadtestError if the peer cannot start."""
        if not self._connection.poll(START_SECONDS):
            raise LoadtestError(f"{self.name} has not started within {START_SECONDS} s")
        self._receive()

    def answer(self, prompts: Sequence[Prompt], width: int, concurrency: int) -> Reply:
        """Let the peer answer. Raises LoadtestError if it fails or dies."""
        self._connection.send((prompts, width, concurrency))
        reply = self._receive()
        assert isinstance(reply, Reply)
        return reply

    def dismiss(self) -> None:
        """Let the process end by itself."""
        with suppress(OSError):  # it may be dead
            self._connection.send(None)

    def stop(self) -> None:
        """End the process; it is killed if it does not end in time."""
        self.dismiss()
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._connection.close()

    def _receive(self) -> object:
        try:
            reply = self._connection.recv()
        except EOFError as error:
            raise LoadtestError(f"the process of {self.name} died") from error
        if isinstance(reply, str):
            raise LoadtestError(f"{self.name} failed:\n{reply}")
        return reply


def _work(connection: Connection, name: str, directory: Path, shape: Shape, limits: Limits) -> None:
    """The main function of the peer's process. It sends the traceback of an error and ends."""
    try:
        peer = _make(name, directory, shape, limits)
        peer.start()
        try:
            connection.send(True)
            while (task := connection.recv()) is not None:
                began = time.perf_counter()
                answer = peer.answer(*task)
                seconds = time.perf_counter() - began
                connection.send(Reply(seconds, peer.leaves(answer)))
        finally:
            peer.stop()
    except (EOFError, KeyboardInterrupt):
        return  # the benchmark has ended
    except Exception:
        connection.send(traceback.format_exc())


def _make(name: str, directory: Path, shape: Shape, limits: Limits) -> Peer:
    kinds: dict[str, type[Ours] | type[VllmBeamSearch] | type[TransformersGenerate]] = {
        OURS: Ours,
        "vllm": VllmBeamSearch,
        "transformers": TransformersGenerate,
    }
    return kinds[name](open_bundle(directory, shape), limits)
