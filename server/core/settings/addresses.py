"""Addresses in settings: the Redis, proxies that are trusted, the prefix they add, and origins whose pages may call.

Each is refused where the library that takes it would pass over a part of it, or where it lets everybody in.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from redis.asyncio.connection import ConnectionPool

from server.core.settings.cluster_url import CLUSTER_SCHEMES, is_cluster_url, read_cluster_url
from server.core.settings.sentinel_url import SCHEMES, is_sentinel_url, read_sentinel_url

__all__ = ["MAX_SOCKET_BYTES", "check_origins", "check_proxies", "check_redis_url", "check_root_path", "is_loopback"]

MAX_PORT = 65_535
MAX_SOCKET_BYTES = 107
"""Of the path of a Unix socket on Linux; the 108th byte ends it."""
MIN_PREFIX = {4: 8, 6: 7}
"""Bits of the widest network of proxies, such as 10.0.0.0/8 and fc00::/7; a wider one lies partly in the public."""
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""IPv4 as IPv6 writes it."""
LABEL = r"[A-Za-z0-9\-]+"
ORIGIN = re.compile(rf"https?://({LABEL}(?:\.{LABEL})*\.?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{{1,5}}))?", re.ASCII)
DATABASE = re.compile(r"(/[0-9]+)?/?", re.ASCII)
SEGMENT = re.compile(r"[A-Za-z0-9._~\-]+", re.ASCII)
MAX_ROOT_PATH = 256
"""Characters of the prefix that a proxy adds."""
ESCAPES = "write / ? # @ : of a password as %2F %3F %23 %40 %3A"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def check_redis_url(url: str) -> None:
    """Raises ValueError for a URL that redis-py does not take, or of which it would pass over a part.

    No message holds a part of the URL in which a password may stand.
    """
    if fault := _fault_of_redis_url(url):
        raise ValueError(f"is no Redis URL, such as redis://HOST:PORT/0: {fault}")


def _fault_of_redis_url(url: str) -> str | None:
    if is_sentinel_url(url):
        return _fault_of_sentinel_url(url)
    if is_cluster_url(url):
        return _fault_of_cluster_url(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return f"its port is no number up to {MAX_PORT}; {ESCAPES}"
    if url != url.strip() or parts.scheme not in {"redis", "rediss", "unix"}:
        return f"it must begin with redis://, rediss://, unix://, {':// or '.join([*SCHEMES, *CLUSTER_SCHEMES])}://"
    if parts.fragment or "#" in url:
        return f"what stands behind # would be passed over; {ESCAPES}"
    where = parts.netloc.rpartition("@")[2]
    if parts.scheme == "unix":
        fault = _fault_of_socket(parts, where)
    elif not parts.hostname:
        fault = "it names no host"
    elif where.endswith(":") or port == 0:
        fault = "it names no port behind its :"
    elif not DATABASE.fullmatch(parts.path):
        fault = f"its path is no number of a database; {ESCAPES}"
    else:
        fault = None
    return fault or _fault_of_options(url, parts)


def _fault_of_sentinel_url(url: str) -> str | None:
    try:
        found = read_sentinel_url(url)
    except ValueError as error:
        return f"{error}; with Sentinels it is redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/0"
    faults = (_fault_of_redis_url(each) for each in (found.redis, *found.sentinels))
    return next((fault for fault in faults if fault), None)


def _fault_of_cluster_url(url: str) -> str | None:
    try:
        found = read_cluster_url(url)
    except ValueError as error:
        return f"{error}; of a cluster it is redis+cluster://HOST:PORT,HOST:PORT"
    return next((fault for fault in map(_fault_of_redis_url, found.seeds) if fault), None)


def _fault_of_socket(parts: SplitResult, where: str) -> str | None:
    if where:
        return "a unix:// URL has no host: write the socket's path behind a third /"
    if not parts.path.strip("/"):
        return "it names no socket"
    size = len(unquote(parts.path).encode())
    if size > MAX_SOCKET_BYTES:
        return f"its socket's path has {size} bytes, and a socket's has at most {MAX_SOCKET_BYTES}: move it"
    return None


def _fault_of_options(url: str, parts: SplitResult) -> str | None:
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else []
    except ValueError:
        pairs = [("", "")]
    options = [name for name, _ in pairs]
    if not all(name and value for name, value in pairs):
        return f"behind its ? an option is not NAME=VALUE; {ESCAPES}"
    if len(set(options)) < len(options):
        return "an option stands in it twice"
    if "db" in options and parts.scheme != "unix" and parts.path.strip("/"):
        return "it names a database in its path and another as db"
    try:
        pool: Any = ConnectionPool.from_url(url)
        pool.make_connection()  # which connects to nothing yet
    except ValueError as error:
        return f"{error}".rstrip(".")
    except TypeError:
        return "redis-py does not know one of its options" if options else None
    return None


def check_proxies(proxies: Sequence[str]) -> None:
    """Raises ValueError for what is no address or network, and for networks that name everybody, or nearly so."""
    networks: list[Network] = []
    for proxy in proxies:
        try:
            networks.append(_network(proxy))
        except ValueError as error:
            raise ValueError(f"{error}: {_advice()}") from error
    four = ipaddress.collapse_addresses(each for each in networks if isinstance(each, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(each for each in networks if isinstance(each, ipaddress.IPv6Network))
    together: list[Network] = [*four, *six]
    for network in together:
        widest = MIN_PREFIX[network.version]
        if network.prefixlen < widest:
            raise ValueError(f"{network} is wider than /{widest}, alone or with others: {_advice()}")


def _network(proxy: str) -> Network:
    """An IPv4 network that is written as IPv6 is told as what it is."""
    network = ipaddress.ip_network(proxy)
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(MAPPED):
        address = ipaddress.IPv4Address(int(network.network_address) & 0xFFFFFFFF)
        return ipaddress.IPv4Network((address, network.prefixlen - MAPPED.prefixlen))
    return network


def _advice() -> str:
    return (
        "name the proxy's address or network, such as 10.0.0.7 or 10.0.0.0/8; whoever it names may claim any client's"
        " address"
    )


def check_origins(origins: Sequence[str]) -> None:
    """Raises ValueError for what is no origin, and for `*` among others."""
    if "*" in origins and len(origins) > 1:
        raise ValueError("* is all origins: name it alone, or leave it out")
    for origin in origins:
        if origin != "*" and not _is_origin(origin):
            raise ValueError(f"{origin} is no origin, such as https://shop.example: no path, no slash at its end")


def _is_origin(origin: str) -> bool:
    found = ORIGIN.fullmatch(origin)
    if found is None or (found[2] is not None and not 0 < int(found[2]) <= MAX_PORT):
        return False
    try:
        return not found[1].startswith("[") or bool(ipaddress.IPv6Address(found[1][1:-1]))
    except ValueError:
        return False


def check_root_path(path: str) -> None:
    """Raises ValueError for what no proxy's prefix is, or what the page of a server could not be found under."""
    if fault := _fault_of_root_path(path):
        raise ValueError(f"is no prefix, such as /gemserve: {fault}")


def _fault_of_root_path(path: str) -> str | None:
    segments = path[1:].split("/")
    faults = {
        "write the path alone, without scheme and host": "://" in path or path.startswith("//"),
        "it must begin with /": not path.startswith("/"),
        "leave out the / at its end; without a prefix leave the setting out": path.endswith("/"),
        "leave out what begins with ? or #": "?" in path or "#" in path,
        f"it has {len(path)} characters, and may have {MAX_ROOT_PATH}": len(path) > MAX_ROOT_PATH,
        "two / follow each other": "" in segments,
        "browsers and proxies resolve . and ..: write the path that they lead to": {".", ".."} & set(segments),
        "use only letters a to z, digits and . _ ~ - between its slashes": not all(map(SEGMENT.fullmatch, segments)),
    }
    return next((fault for fault, found in faults.items() if found), None)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
