"""Open files of this process: every connection is one, and a server out of them answers nobody, not even its Redis."""

import resource

from server.errors import StartupError

__all__ = ["OWN", "reserve"]

OWN = 512  # for everything but clients: models, Redis, the engine's sockets


def reserve(connections: int) -> None:
    """Raises the limit of open files as far as connections of clients need. Raises StartupError where it cannot be."""
    needed = connections + OWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        most = f"this process may open {hard:,} files, and {connections:,} connections need {needed:,}"
        raise StartupError(f"{most}: raise its limit (ulimit -n), or choose fewer --connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
