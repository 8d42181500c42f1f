"""Imported first in the fork server: Ctrl-C in a terminal ends it while it imports, as it ends the server.

Python's own passes over an interrupt once all is imported; before, it would end with a long traceback.
"""

import signal

__all__: list[str] = []

signal.signal(signal.SIGINT, signal.SIG_DFL)
