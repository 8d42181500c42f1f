"""The end of vLLM's process, and what is left of it."""

import gc
import threading
from types import SimpleNamespace

import pytest

from server.engine.vllm.frontend.launch import STOP_SECONDS, shut_down


class EngineProcess:
    """One that tidies up until it is killed, or until somebody has looked often enough."""

    def __init__(self, patience: int) -> None:
        self.exitcode: int | None = None
        self.killed = False
        self.tidied = False
        self._patience = patience
        self._looked = threading.Event()

    def kill(self) -> None:
        self.killed = True
        self._looked.set()

    def join(self) -> None:
        for _ in range(self._patience):
            if self._looked.wait(0.02):
                return
        self.tidied = True


class AsyncLLM:
    """As vLLM's: its destructor shuts it down, by a function that is gone where Python itself is ending."""

    def __init__(self, process: EngineProcess, workers: int = 1) -> None:
        self.given: list[float] = []
        self.manager = SimpleNamespace(manager_stopped=threading.Event(), processes=[process])
        context = SimpleNamespace(destroy=lambda linger: None)
        self.engine_core = SimpleNamespace(resources=SimpleNamespace(ctx=context, engine_manager=self.manager))
        self.vllm_config = SimpleNamespace(parallel_config=SimpleNamespace(world_size=workers))

    def shutdown(self, timeout: float | None = None) -> None:
        if timeout is None:
            raise TypeError("'NoneType' object is not callable")
        self.given.append(timeout)
        self.manager.manager_stopped.set()
        for process in self.manager.processes:
            process.join()

    def __del__(self) -> None:
        self.shutdown()


async def test_a_process_without_workers_is_not_waited_for() -> None:
    process = EngineProcess(patience=1_000)
    await shut_down(AsyncLLM(process))
    assert process.killed
    assert not process.tidied


async def test_a_process_with_workers_ends_them_and_itself() -> None:
    process = EngineProcess(patience=10)
    await shut_down(AsyncLLM(process, workers=2))
    assert process.tidied
    assert not process.killed


async def test_the_destructor_has_nothing_left_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    llm, ignored = AsyncLLM(EngineProcess(patience=1)), []
    monkeypatch.setattr("sys.unraisablehook", ignored.append)
    await shut_down(llm)
    assert llm.given == [STOP_SECONDS]
    del llm
    gc.collect()
    assert ignored == []
