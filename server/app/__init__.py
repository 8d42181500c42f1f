"""The application: its stores, its parts, the middleware around them, and the order in which they start and end."""

from server.app.application import create_app
from server.app.stores import Stores

__all__ = ["Stores", "create_app"]
