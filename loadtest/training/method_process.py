"""A process for each training method of the benchmark, which works only while it has a step to make."""

import ctypes
import gc
import multiprocessing
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

import torch

from catalog.text.prompts import Task
from loadtest.measure.errors import LoadtestError
from loadtest.measure.process import forget_peak, memory_kb
from loadtest.training.released_gems import Part, ReleasedGems
from loadtest.training.setup import Setup, draw_batches, draw_null_spaces, make_backbone, recipe_of
from trainer.config.recipe import Recipe
from trainer.data.batches import TaskBatch, task_loss
from trainer.gems.nullspace import cache
from trainer.gems.parameters import plain_weights, projected_modules
from trainer.methods import create_method
from trainer.methods.gems import GemsTuning, gems_config
from trainer.methods.protocol import Method
from trainer.model.backbone import Backbone

__all__ = ["NAMES", "RELEASED", "MethodProcess", "StepCost"]

RELEASED = "released"
NAMES = ("gems", RELEASED, "adamw", "single_subspace", "lora")
M_MMAP_THRESHOLD = -3  # of mallopt, in glibc's malloc.h
FRUGAL_BYTES = 1 << 16  # larger tensors get a mapping of their own: low-rank ones of a layer have 100 kB
GLIBC_LARGEST = 32 << 20  # what glibc's own threshold grows to in a process with such tensors
START_SECONDS = 900.0  # on a machine with much else to do
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class StepCost:
    """The cost of one step.

    cpu_seconds: processor time of all threads.
    peak_bytes: the most memory that any step so far has needed, with weights and optimiser state.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int


class MethodProcess:
    """The process starts when the object is made. Raises LoadtestError with the traceback where the method fails."""

    def __init__(self, name: str, setup: Setup, threads: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.name = name
        self._connection, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_work, args=(theirs, name, setup, threads), name=f"process-{name}")
        self._process.start()
        theirs.close()

    def wait_until_ready(self) -> None:
        if not self._connection.poll(START_SECONDS):
            raise LoadtestError(f"{self.name} has not started within {START_SECONDS} s")
        self._receive()

    def step(self, *, frugal: bool = False) -> StepCost:
        """Have the method make one step.

        frugal: give all freed memory back at once, which is slower and shows the peak.
        """
        self._connection.send("frugal" if frugal else "fast")
        cost = self._receive()
        assert isinstance(cost, StepCost)
        return cost

    def parts(self) -> dict[str, int]:
        """What the memory is used for when it is needed most, in bytes, of GEMS: `TrainingStep.parts`."""
        self._connection.send("parts")
        parts = self._receive()
        assert isinstance(parts, dict)
        return parts

    def stop(self) -> None:
        self._connection.close()  # which ends the process by itself
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _receive(self) -> object:
        try:
            reply = self._connection.recv()
        except EOFError as error:
            raise LoadtestError(f"the process of {self.name} died; the machine may be out of memory") from error
        if isinstance(reply, str):
            raise LoadtestError(f"{self.name} failed:\n{reply}")
        return reply


def _work(connection: Connection, name: str, setup: Setup, threads: int) -> None:
    """The main function of the method's process. It sends the traceback of an error and ends."""
    try:
        torch.set_num_threads(threads)
        memory = _Memory(setup.device)
        step = make_step(name, setup)
        memory.begin()
        connection.send(True)
        while manner := connection.recv():
            if manner == "parts":
                assert isinstance(step, TrainingStep)
                connection.send(step.parts())
                continue
            memory.be_frugal(manner == "frugal")
            began, busy = time.perf_counter(), time.process_time()
            step()
            if setup.device != "cpu":
                torch.cuda.synchronize()
            seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - busy
            connection.send(StepCost(seconds, cpu_seconds, memory.peak()))
    except (EOFError, KeyboardInterrupt):
        return  # the benchmark has ended
    except Exception:
        connection.send(traceback.format_exc())


def make_step(name: str, setup: Setup) -> Callable[[], None]:
    """A function that makes one training step of the method on a model and a batch of its own."""
    backbone = make_backbone(setup)
    batches, level_tokens = draw_batches(setup, backbone)
    if name == RELEASED:
        return _released_step(backbone, setup, batches, level_tokens)
    recipe = recipe_of(name, setup)
    with tempfile.TemporaryDirectory() as folder, patch.object(cache, "estimate_null_spaces", draw_null_spaces):
        method = create_method(backbone, recipe, ["a text of a few words " * 100], Path(folder))
    return TrainingStep(backbone, recipe, batches, level_tokens, method)


class TrainingStep:
    """One training step of a method of the trainer. Calling it makes the step."""

    def __init__(
        self,
        backbone: Backbone,
        recipe: Recipe,
        batches: list[TaskBatch],
        level_tokens: list[torch.Tensor],
        method: Method,
    ) -> None:
        self._backbone, self._recipe, self.method = backbone, recipe, method
        self._batches, self._level_tokens = batches, level_tokens
        self._batch_tokens = sum(batch.tokens for batch in batches)

    def __call__(self) -> None:
        for batch in self._batches:
            self._backward(batch, self.loss(batch))
        self._finish()

    def loss(self, batch: TaskBatch) -> torch.Tensor:
        return task_loss(self._backbone.model, batch, self._level_tokens, self._recipe.training)

    def _backward(self, batch: TaskBatch, loss: torch.Tensor) -> None:
        self.method.backward(loss, batch.task, tokens=batch.tokens, batch_tokens=self._batch_tokens)

    def _finish(self) -> None:
        if not self.method.step(1.0).applied:
            raise LoadtestError("a loss or gradient was not finite")

    def parts(self) -> dict[str, int]:
        """Makes a step of GEMS; returns what its memory is used for at the end of the last forward pass, in bytes.

        Then activations take most, and the gradients of the first task are there already.
        """
        assert isinstance(self.method, GemsTuning)
        *first, last = self._batches
        for batch in first:
            self._backward(batch, self.loss(batch))
        weights = {weight.untyped_storage().data_ptr(): weight for weight in self._backbone.model.parameters()}
        saved: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                saved[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = self.loss(last)
        parts = {"weights": sum(weight.untyped_storage().nbytes() for weight in weights.values())}
        parts |= self.method.memory() | {"activations": sum(saved.values())}
        self._backward(last, loss)
        self._finish()
        return parts


def _released_step(
    backbone: Backbone, setup: Setup, batches: list[TaskBatch], level_tokens: list[torch.Tensor]
) -> Callable[[], None]:
    recipe = recipe_of("gems", setup)
    config, model = gems_config(recipe, backbone), backbone.model
    weights = {name: module.weight for name, module in projected_modules(model, config.modules).items()}
    spaces = draw_null_spaces(model, (), side="output", modules=config.modules)
    plain = plain_weights(model, set(weights.values()), config)
    opponent = ReleasedGems(weights, plain, spaces, config, rank=setup.rank)
    tokens: dict[Task, int] = {batch.task: batch.tokens for batch in batches}
    total = sum(tokens.values())

    def loss_of(batch: TaskBatch) -> torch.Tensor:
        return task_loss(model, batch, level_tokens, recipe.training)

    losses: dict[Part, Callable[[], torch.Tensor]] = {batch.task: partial(loss_of, batch) for batch in batches}
    losses["shared"] = lambda: torch.stack([loss_of(batch) * (batch.tokens / total) for batch in batches]).sum()
    return lambda: opponent.step(losses, tokens)


class _Memory:
    """The memory that this process uses beyond what it used at first: resident memory, or what CUDA's allocator counts.

    glibc keeps most memory that is freed, and how much it keeps depends on the order of calls more than on the method.
    So while steps are `frugal` every large tensor has a mapping of its own, which ends with the tensor. Only the peak
    of such steps counts.
    """

    def __init__(self, device: str) -> None:
        self._cuda = device != "cpu"
        self._libc = ctypes.CDLL("libc.so.6")
        self.be_frugal(True)
        gc.collect()
        self._before = 0 if self._cuda else 1024 * memory_kb()["VmRSS"]
        self._peak = 0

    def be_frugal(self, frugal: bool) -> None:
        self._libc.mallopt(M_MMAP_THRESHOLD, FRUGAL_BYTES if frugal else GLIBC_LARGEST)
        self._frugal = frugal

    def begin(self) -> None:
        """Begin to measure; the peak while the model was made does not count."""
        gc.collect()
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
        else:
            self._libc.malloc_trim(0)
            forget_peak()

    def peak(self) -> int:
        """The peak so far, in bytes."""
        if self._cuda:
            return torch.cuda.max_memory_allocated()
        if self._frugal:
            self._peak = 1024 * memory_kb()["VmHWM"] - self._before
        return self._peak
