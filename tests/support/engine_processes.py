"""vLLM's processes."""

import psutil

__all__ = ["engines_of"]


def engines_of(pid: int) -> list[psutil.Process]:
    """Those that run below a process."""
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if "EngineCore" in child.name() and child.status() != psutil.STATUS_ZOMBIE]
