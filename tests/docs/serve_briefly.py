"""A `gemserve serve …` of the documentation: starts the store's server with these flags, and stops it when ready.

python -m tests.docs.serve_briefly --bundles FOLDER --port 9000
"""

import sys

from tests.support.server_process import ServerProcess


def main(arguments: list[str]) -> int:
    """The server's exit status."""
    flags = ["0" if before == "--port" else flag for before, flag in zip(["", *arguments], arguments, strict=False)]
    return ServerProcess(*flags, module="tests.docs.store_server").stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
