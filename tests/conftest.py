"""Fixtures that more than one folder uses."""

from hypothesis import settings

from tests.integration.redis_server import redis_server, redis_url

__all__ = ["redis_server", "redis_url"]

settings.register_profile("gemserve", deadline=None)  # machines here are shared and slow: no test asserts a time
settings.load_profile("gemserve")
