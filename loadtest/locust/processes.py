"""What every process takes while the server is under load: memory and processor, looked at from outside."""

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import psutil

from loadtest.locust.redis_size import RedisSize

__all__ = ["Look", "Watch", "roles_of"]

EVERY_SECONDS = 1.0
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Look:
    """at: Unix seconds. mib: resident memory by role, and what a Redis of ours holds.

    cores: processors used since the look before, by role; machine: by everything on the machine.
    """

    at: float
    mib: Mapping[str, float]
    cores: Mapping[str, float]
    machine: float


@dataclass(slots=True)
class Watch:
    """Looks at the processes of some roots, children included, every second inside its context.

    roots: by role. A child is of its root's role, but for redis-server, and all other children of a server, which are
    its engine. redis: whose data and files are measured too.
    """

    roots: Mapping[str, int]
    redis: RedisSize | None = None
    looks: list[Look] = field(default_factory=list)
    _known: dict[int, psutil.Process] = field(default_factory=dict)
    _seconds: dict[int, float] = field(default_factory=dict)
    _since: float = 0.0

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        stop = threading.Event()

        def repeat() -> None:
            self.look()  # in this thread too: psutil counts for every thread by itself
            while not stop.wait(EVERY_SECONDS):
                self.look()

        thread = threading.Thread(target=repeat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def look(self) -> None:
        """Add a look. The first one only begins to count."""
        now, passed = time.time(), max(time.monotonic() - self._since, 1e-3)
        machine = psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)
        mib: defaultdict[str, float] = defaultdict(float)
        cores: defaultdict[str, float] = defaultdict(float)
        for role, process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # it ended a moment ago
                mib[role] += process.memory_info().rss / MIB
                times = process.cpu_times()
                seconds = times.user + times.system
                cores[role] += (seconds - self._seconds.get(process.pid, seconds)) / passed
                self._seconds[process.pid] = seconds
        if self.redis is not None:
            mib |= self.redis.mib()
        if self._since:
            self.looks.append(Look(now, dict(mib), dict(cores), machine))
        self._since = time.monotonic()

    def _processes(self) -> Iterator[tuple[str, psutil.Process]]:
        for role, pid in self.roots.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                root = psutil.Process(pid)
                yield role, root
                for child in root.children(recursive=True):
                    if child.pid in self.roots.values():
                        continue
                    yield roles_of(role, child.name), child


def roles_of(root: str, name: Callable[[], str]) -> str:
    """The role of a child of a process of the role `root`."""
    if root != "server":
        return root
    try:
        return "redis" if "redis" in name() else "engine"
    except psutil.NoSuchProcess:
        return "engine"
