"""Memory and processor time of every process of a load test, sampled every second from outside."""

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import psutil

from loadtest.load.redis_size import RedisSize

__all__ = ["ProcessMonitor", "ResourceSample", "role_of_child"]

EVERY_SECONDS = 1.0
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ResourceSample:
    """The resources in use at one moment.

    at: Unix seconds.
    mib: resident memory by role, and the size of a Redis's data and files.
    cores: number of processors used since the sample before, by role.
    machine: number of processors used by everything on the machine.
    """

    at: float
    mib: Mapping[str, float]
    cores: Mapping[str, float]
    machine: float


@dataclass(slots=True)
class ProcessMonitor:
    """Samples the processes of some roots and all their children every second, within the context of `running`.

    roots: process ids by role. A child has its root's role; but a server's child is `redis` where it is one, and
    otherwise `engine`.
    redis: whose data and files are measured too.
    """

    roots: Mapping[str, int]
    redis: RedisSize | None = None
    samples: list[ResourceSample] = field(default_factory=list)
    _known: dict[int, psutil.Process] = field(default_factory=dict)
    _seconds: dict[int, float] = field(default_factory=dict)
    _since: float = 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Sample in a thread of its own until the context ends."""
        stop = threading.Event()

        def repeat() -> None:
            self.sample()  # in this thread too: psutil counts for every thread by itself
            while not stop.wait(EVERY_SECONDS):
                self.sample()

        thread = threading.Thread(target=repeat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def sample(self) -> None:
        """Add a sample. The first call only begins to count."""
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
            self.samples.append(ResourceSample(now, dict(mib), dict(cores), machine))
        self._since = time.monotonic()

    def _processes(self) -> Iterator[tuple[str, psutil.Process]]:
        for role, pid in self.roots.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                root = psutil.Process(pid)
                yield role, root
                for child in root.children(recursive=True):
                    if child.pid in self.roots.values():
                        continue
                    yield role_of_child(role, child.name), child


def role_of_child(root: str, name: Callable[[], str]) -> str:
    """The role of a child of a process of the role `root`."""
    if root != "server":
        return root
    try:
        return "redis" if "redis" in name() else "engine"
    except psutil.NoSuchProcess:
        return "engine"
