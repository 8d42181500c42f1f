"""Every setting of the server, of its engine and of its storage, read from flags, variables and a file."""

from server.core.settings.engine import EngineSettings
from server.core.settings.reader import read_settings
from server.core.settings.server import MAX_K, MIN_SECRET_LENGTH, Settings
from server.core.settings.storage import StorageSettings

__all__ = ["MAX_K", "MIN_SECRET_LENGTH", "EngineSettings", "Settings", "StorageSettings", "read_settings"]
