"""Fixtures that more than one folder uses."""

from hypothesis import settings

from tests.e2e.chromium_driver import chromium_driver
from tests.support.redis_server import redis_server, redis_url

__all__ = ["chromium_driver", "redis_server", "redis_url"]

settings.register_profile("gemserve", deadline=None)  # machines here are shared and slow: no test asserts a time
settings.load_profile("gemserve")
