"""`python -m server` as it is, but for the bundles of the documentation's store and fake engines.

python -m tests.docs.store_server --bundles FOLDER --redis URL --port 0
"""

import functools
import sys

import server.__main__ as program
from server.app import create_app
from tests.docs.store import deploy

if __name__ == "__main__":
    program.create_app = functools.partial(create_app, deploy=deploy)
    sys.exit(program.main())
