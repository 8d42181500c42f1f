"""`python -m server` as it is, but for the bundles of the documentation's store and fake engines.

python -m tests.docs.store_server --bundles FOLDER --redis URL --port 0
"""

import functools
import sys

import server.app
from server.__main__ import main
from tests.docs.store import deploy

if __name__ == "__main__":
    server.app.create_app = functools.partial(server.app.create_app, deploy=deploy)
    sys.exit(main())
