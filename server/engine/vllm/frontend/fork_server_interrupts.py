"""Imported first in the fork server: Ctrl-C in a terminal is for the server, which ends this process too.

Python's own passes over it only once all is imported; before, it would end with a long traceback.
"""

import signal

__all__: list[str] = []

signal.signal(signal.SIGINT, signal.SIG_IGN)
