"""The seconds and the memory of a function in a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

from loadtest.measure.errors import LoadtestError

__all__ = ["forget_peak", "in_process", "memory_kb"]


def in_process(work: Callable[..., object], *arguments: object) -> dict[str, float]:
    """How long a function took, in seconds, and its peaks of memory, in MB: what it imports included.

    The memory is looked at ten times a second: `rss_mb` counts the pages of mapped files, which the system takes back
    when it needs them, `anonymous_mb` does not.
    Raises LoadtestError where the function failed.
    """
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    began, peaks = time.monotonic(), {"VmRSS": 0, "RssAnon": 0}
    process.start()
    while process.is_alive():
        held = memory_kb(process.pid)
        peaks = {name: max(peak, held.get(name, 0)) for name, peak in peaks.items()}
        process.join(0.1)
    if process.exitcode:
        raise LoadtestError(f"{work.__name__} ended with status {process.exitcode}")
    return {
        "seconds": round(time.monotonic() - began, 1),
        "rss_mb": round(peaks["VmRSS"] / 1000),
        "anonymous_mb": round(peaks["RssAnon"] / 1000),
    }


def memory_kb(process: int | str | None = "self") -> dict[str, int]:
    """What Linux says of a process's memory, such as VmRSS, RssAnon and VmHWM, in KiB; nothing where it has ended."""
    status = Path(f"/proc/{process}/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else ()
    fields = (line.partition(":")[::2] for line in lines)
    return {name: int(value.split()[0]) for name, value in fields if value.endswith(" kB")}


def forget_peak() -> None:
    """Have VmHWM of this process begin anew."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
