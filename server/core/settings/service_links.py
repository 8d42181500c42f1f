"""Variables that Kubernetes sets for every Service of a namespace, as Docker's links once did.

A Service named `gemserve` sets `GEMSERVE_PORT=tcp://10.0.0.1:8000`, one named `vllm` sets `VLLM_PORT`, and neither is
a setting. They are known by the form of name and value together, whatever the Service is called: a value of that form
is no value of any setting, and a setting's own value never has it.
https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import TypeVar

import structlog

__all__ = ["is_service_link", "log_service_links", "without_service_links"]

MAX_LOGGED = 20
MAX_PORT = 65_535
SERVICE = r"[A-Z0-9][A-Z0-9_]*?"
HOST = re.compile(rf"{SERVICE}_SERVICE_HOST", re.ASCII)
NUMBER = re.compile(rf"{SERVICE}_SERVICE_PORT(_[A-Z0-9_]+)?", re.ASCII)
ADDRESS = re.compile(rf"{SERVICE}_PORT", re.ASCII)
PART = re.compile(rf"{SERVICE}_PORT_([0-9]+)_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?", re.ASCII)
URL = re.compile(r"(tcp|udp|sctp)://(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Fa-f:.]+)):([0-9]+)", re.ASCII)

log = structlog.get_logger(__name__)

Value = TypeVar("Value", bound=str | None)


def is_service_link(name: str, value: str | None) -> bool:
    """Whether Kubernetes sets such a variable for a Service. Names are in upper case there."""
    if value is None:
        return False
    if (part := PART.fullmatch(name)) is not None:
        return _is_part(part, value)
    if HOST.fullmatch(name):
        return _is_address(value)
    if NUMBER.fullmatch(name):
        return _is_port(value)
    return bool(ADDRESS.fullmatch(name)) and _is_url(value)


def without_service_links(environment: Mapping[str, Value]) -> dict[str, Value]:
    """The environment as it would be in a pod with `enableServiceLinks: false`."""
    return {name: value for name, value in environment.items() if not is_service_link(name, value)}


def log_service_links(environment: Mapping[str, str], prefix: str) -> None:
    """One line that says which variables are passed over; those that begin with `prefix` first, and not every one."""
    links = sorted(name for name, value in environment.items() if is_service_link(name, value))
    links.sort(key=lambda name: not name.startswith(prefix))
    if links:
        log.info("service_links_passed_over", count=len(links), variables=links[:MAX_LOGGED])


def _is_part(name: re.Match[str], value: str) -> bool:
    number, protocol, which = name.groups()
    match which:
        case "_PROTO":
            return bool(value == protocol.lower())
        case "_PORT":
            return bool(value == number)
        case "_ADDR":
            return _is_address(value)
    return _is_url(value, protocol.lower(), number)


def _is_url(value: str, protocol: str | None = None, port: str | None = None) -> bool:
    found = URL.fullmatch(value)
    if found is None:
        return False
    address = found[2] or found[3]
    return _is_address(address) and _is_port(found[4]) and protocol in {None, found[1]} and port in {None, found[4]}


def _is_address(value: str) -> bool:
    try:
        return bool(ipaddress.ip_address(value))
    except ValueError:
        return False


def _is_port(value: str) -> bool:
    return value.isascii() and value.isdigit() and 0 < int(value[:6]) <= MAX_PORT
