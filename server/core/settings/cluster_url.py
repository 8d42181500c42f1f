"""URLs of a Redis Cluster: `redis+cluster://[user:password@]host:port[,host:port…][/0]`.

The hosts are some nodes of the cluster, of which one that answers is enough: it names all others. With
`rediss+cluster://` all are reached with TLS and the `ssl_…` options. All other options are those of a redis:// URL. A
cluster has no databases but 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from server.core.settings.sentinel_url import ESCAPES, options_in, query_of, split_url

__all__ = ["CLUSTER_SCHEMES", "ClusterUrl", "is_cluster_url", "read_cluster_url"]

CLUSTER_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
"""The scheme of a connection by the scheme of a URL."""
PORT = 6_379


@dataclass(frozen=True, slots=True)
class ClusterUrl:
    """What such a URL says."""

    names: tuple[str, ...]
    """HOST:PORT of each node."""
    before: str = field(repr=False)
    """What stands before the host in the URL of a connection: its scheme, and user and password."""
    behind: str = field(repr=False)
    """What stands behind its port."""

    def of(self, host: str, port: int) -> str:
        """The redis:// URL of any node of the cluster, which may hold a password."""
        return f"{self.before}{f'[{host}]' if ':' in host else host}:{port}{self.behind}"

    @property
    def seeds(self) -> tuple[str, ...]:
        """The URL of each node that is named."""
        return tuple(f"{self.before}{name}{self.behind}" for name in self.names)


def is_cluster_url(url: str) -> bool:
    return url.partition("://")[0].lower() in CLUSTER_SCHEMES


def read_cluster_url(url: str) -> ClusterUrl:
    """Raises ValueError, whose message holds no part of the URL in which a password may stand."""
    scheme, login, names, path, query = split_url(url, CLUSTER_SCHEMES, "node", PORT)
    options = options_in(query)
    if path not in {"", "0", "0/"} or "db" in dict(options):
        raise ValueError(f"a cluster has no database but 0: leave its number out, or end the URL in /0; {ESCAPES}")
    return ClusterUrl(names, f"{scheme}://{login}", f"/0{query_of(options)}")
