"""The command without an installation: `python -m gemserve`."""

import sys

from gemserve.command import main

if __name__ == "__main__":
    sys.exit(main())
