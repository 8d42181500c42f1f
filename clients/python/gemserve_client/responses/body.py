"""The base of everything that is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Body",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Base of everything that is answered."""

    extra: Mapping[str, Any] = field(default_factory=dict)
