"""The description of the machine that a benchmark ran on, which every report holds."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

__all__ = ["Machine"]

CPU_LIST = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine.

    cores: number of processors that this process may use.
    threads: number of torch's threads.
    load: the load average of the last minute.
    """

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    torch: str
    threads: int
    load: float

    @classmethod
    def here(cls) -> "Machine":
        """This machine, at this moment."""
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return cls(
            cpu=_cpu_model(),
            cores=len(os.sched_getaffinity(0)),
            memory_gib=round(pages / 2**30, 1),
            system=platform.platform(),
            python=platform.python_version(),
            torch=torch.__version__,
            threads=torch.get_num_threads(),
            load=os.getloadavg()[0],
        )


def _cpu_model() -> str:
    lines = CPU_LIST.read_text().splitlines() if CPU_LIST.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
