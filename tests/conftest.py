"""Fixtures that more than one folder uses."""

from typing import Any

import pytest
import structlog
from hypothesis import settings

from tests.e2e.chromium_driver import chromium_driver
from tests.support.redis_server import redis_server, redis_url

__all__ = ["chromium_driver", "redis_server", "redis_url"]

settings.register_profile("gemserve", deadline=None)  # machines here are shared and slow: no test asserts a time
settings.load_profile("gemserve")


@pytest.fixture(autouse=True)
def loggers_are_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that a test runs in this process configures logging; loggers that it used would keep that for ever."""
    configure = structlog.configure

    def configure_without_cache(**options: Any) -> None:
        configure(**options | {"cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", configure_without_cache)
