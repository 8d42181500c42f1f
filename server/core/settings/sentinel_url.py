"""URLs of a Redis whose address Sentinels know: `redis+sentinel://[user:password@]host:port[,host:port…]/service[/db]`.

The user and the password in front of @ are those of Redis. Those of the Sentinels are the options `sentinel_username`
and `sentinel_password`. With `rediss+sentinel://` both are reached with TLS and the `ssl_…` options. All other options
are those of a redis:// URL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

__all__ = [
    "ESCAPES",
    "SCHEMES",
    "SentinelUrl",
    "is_sentinel_url",
    "options_in",
    "query_of",
    "read_sentinel_url",
    "split_url",
]

SCHEMES = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
"""The scheme of a connection by the scheme of a URL."""
PORT = 26_379
MAX_PORT = 65_535
HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
DATABASE = re.compile(r"[0-9]*", re.ASCII)
CREDENTIALS = ("sentinel_username", "sentinel_password")
ESCAPES = "write / ? # @ : , of a name or password as %2F %3F %23 %40 %3A %2C"


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """What such a URL says."""

    sentinels: tuple[str, ...] = field(repr=False)
    """The URL of each Sentinel, which may hold a password."""
    names: tuple[str, ...]
    """HOST:PORT of each."""
    service: str
    """What the Sentinels call the primary and its replicas."""
    redis: str = field(repr=False)
    """The URL of the Redis, without its host and port; it may hold a password."""


def is_sentinel_url(url: str) -> bool:
    return url.partition("://")[0].lower() in SCHEMES


def read_sentinel_url(url: str) -> SentinelUrl:
    """Raises ValueError, whose message holds no part of the URL in which a password may stand."""
    scheme, login, names, path, query = split_url(url, SCHEMES, "Sentinel", PORT)
    service, database = _service(path)
    own, others = _options(query)
    if "db" in dict(others):
        raise ValueError(f"write the number of the database behind the service: /{quote(service, safe='')}/NUMBER")
    tls = [(name, value) for name, value in others if name.startswith("ssl_")]
    sentinels = tuple(f"{scheme}://{own}{name}{query_of(tls)}" for name in names)
    return SentinelUrl(sentinels, names, service, f"{scheme}://{login}primary/{database}{query_of(others)}")


class UrlParts(NamedTuple):
    """The parts of a URL that names several hosts.

    scheme: that of a connection. login: USER:PASSWORD@, or nothing. names: HOST:PORT of each. path: what stands behind
    the first / after them. query: what stands behind the ?.
    """

    scheme: str
    login: str
    names: tuple[str, ...]
    path: str
    query: str


def split_url(url: str, schemes: Mapping[str, str], what: str, port: int) -> UrlParts:
    """what: the hosts are, for errors. port: where none is said. Raises ValueError without a part of the URL."""
    scheme, _, rest = url.partition("://")
    if url != url.strip() or scheme not in schemes:
        raise ValueError(f"it must begin with {' or '.join(f'{one}://' for one in schemes)}")
    if "#" in rest:
        raise ValueError(f"what stands behind # would be passed over; {ESCAPES}")
    before, _, query = rest.partition("?")
    where, _, path = before.partition("/")
    user, at, hosts = where.rpartition("@")
    names = tuple(_read_host(f"{what} {number}", text, port) for number, text in enumerate(hosts.split(","), start=1))
    if len(set(names)) < len(names):
        raise ValueError(f"it names a {what} twice")
    return UrlParts(schemes[scheme], f"{user}{at}", names, path, query)


def _read_host(what: str, text: str, port: int) -> str:
    """HOST:PORT. what: it is, for the error. port: where none is said. Raises ValueError."""
    found = HOST.fullmatch(text)
    if found is None or not 0 < int(found["port"] or port) <= MAX_PORT:
        raise ValueError(f"its {what} is no HOST:PORT; name one or several with commas between, {ESCAPES}")
    return f"{found['host']}:{found['port'] or port}"


def _service(path: str) -> tuple[str, str]:
    """Its name and the number of the database."""
    service, _, database = path.partition("/")
    if not service:
        raise ValueError("it names no service: end it in / and the name that the Sentinels monitor, such as /mymaster")
    if not DATABASE.fullmatch(database):
        raise ValueError(f"what stands behind the service's name is no number of a database; {ESCAPES}")
    return unquote(service), database


def _options(query: str) -> tuple[str, list[tuple[str, str]]]:
    """USER:PASSWORD@ of the Sentinels, or nothing, and the other options."""
    pairs = options_in(query)
    user, password = (dict(pairs).get(name) for name in CREDENTIALS)
    if user and not password:
        raise ValueError("sentinel_username needs sentinel_password")
    others = [(name, value) for name, value in pairs if name not in CREDENTIALS]
    if unknown := [name for name, _ in others if name.startswith("sentinel")]:
        raise ValueError(f"of the Sentinels there are only {' and '.join(CREDENTIALS)}, and no {unknown[0]}"[:200])
    return (f"{quote(user or '', safe='')}:{quote(password, safe='')}@" if password else ""), others


def options_in(query: str) -> list[tuple[str, str]]:
    """Names and values of what stands behind the ? of a URL. Raises ValueError."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        pairs = [("", "")]
    if not all(name and value for name, value in pairs):
        raise ValueError(f"behind its ? an option is not NAME=VALUE; {ESCAPES}")
    if len(dict(pairs)) < len(pairs):
        raise ValueError("an option stands in it twice")
    return pairs


def query_of(options: list[tuple[str, str]]) -> str:
    return f"?{urlencode(options)}" if options else ""
