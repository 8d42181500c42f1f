"""Makes, lists and revokes the API keys of a server:

    gemserve keys create --file keys.json --name shop --scopes read,write
    gemserve keys create --file keys.json --name crawler --scopes read --rate 5 --burst 10 --concurrency 2
    gemserve keys create --file keys.json --name norvik --scopes read --filter 'brand = "Norvik"' --route 'POST /search'
    gemserve keys list --file keys.json
    gemserve keys revoke --file keys.json ID
    gemserve serve --keys keys.json …

A key is shown once, when it is made. Servers take a change of their file over within a second. Status 2 means that
nothing was changed. `python -m server.cli.keys` is the same. Read on in docs/operations.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from catalog.nearest import nearest_name
from catalog.terminal_escapes import printable
from server.auth import key_file
from server.auth.api_key import SCOPES, Key, Scope, check_filter, check_moment, check_name, mint
from server.auth.key_file import KeyFileError
from server.core.errors import ServerError

REFUSED = 2
CREATE = """\
Makes a key, adds it to the file, which is made if need be, and prints the key alone on standard output:

  key=$(gemserve keys create --file keys.json --name shop --scopes read,write)
  curl -H "Authorization: Bearer $key" 'http://127.0.0.1:8000/search?q=tent'
"""


def main(arguments: Sequence[str] | None = None, program: str = "python -m server.cli.keys") -> int:
    """The process's exit status. program: how it is called, for its help."""
    options = _parser(program).parse_args(arguments)
    try:
        if options.command == "create":
            create(options)
        elif options.command == "list":
            show(options.file)
        else:
            gone = key_file.revoke(options.file, options.id, keep_admin=False)
            print(f"revoked {gone.id} ({gone.name})")
    except ServerError as error:
        print(f"gemserve keys: {error}", file=sys.stderr)
        return REFUSED
    return 0


def _parser(program: str) -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(program, description=__doc__, formatter_class=form)
    commands = top.add_subparsers(dest="command", required=True)
    making = commands.add_parser("create", help="make a key and print it", description=CREATE, formatter_class=form)
    listing = commands.add_parser("list", help="who has which key", description="Lists keys: id, scopes, limits, name.")
    revoking = commands.add_parser("revoke", help="take a key away", description="Takes a key away.")
    for command in (making, listing, revoking):
        command.add_argument("--file", type=Path, required=True, help="the server's --keys")
    making.add_argument("--name", type=name_of, required=True, help="for people: whose key this is")
    making.add_argument("--scopes", type=scopes_of, required=True, help="read,write,admin; admin implies the others")
    making.add_argument("--rate", type=positive, help="requests a second; the server's rate_per_second where absent")
    making.add_argument("--burst", type=at_least_one, help="requests at once before the rate counts")
    making.add_argument("--concurrency", type=at_least_one, help="requests under way at a time")
    making.add_argument("--expires", type=moment_of, help="from when on it is no key any more, in ISO 8601 with a zone")
    making.add_argument("--filter", type=filter_of, help="the only items that it sees, such as 'brand = \"Norvik\"'")
    making.add_argument(
        "--route",
        action="append",
        type=route_of,
        help="one that it opens, and only these: 'GET /search'; may be repeated",
    )
    revoking.add_argument("id", help="as `list` shows it")
    return top


def create(options: argparse.Namespace) -> None:
    try:
        key, text = mint(
            name=options.name,
            scopes=options.scopes,
            rate_per_second=options.rate,
            burst=options.burst,
            concurrency=options.concurrency,
            expires_at=options.expires,
            filter_by=options.filter,
            routes=None if options.route is None else tuple(dict.fromkeys(options.route)),
        )
    except ValueError as error:
        raise KeyFileError(str(error)) from error
    key_file.add(options.file, key)
    print(text)
    print(f"made {key.id} ({key.name}): keep the line above, it is not shown again", file=sys.stderr)


def show(path: Path) -> None:
    for key in key_file.read(path):
        print(f"{key.id}  {key.created}  {','.join(key.scopes):<16}  {limits_of(key):<24}  {key.name}")


def limits_of(key: Key) -> str:
    limits = {"rate": key.rate_per_second, "burst": key.burst, "concurrency": key.concurrency}
    parts = [f"{name}={value:g}" for name, value in limits.items() if value is not None] or ["server's limits"]
    if key.expires_at is not None:
        parts.append(f"expires={key.expires_at}")
    if key.filter_by is not None:
        parts.append(f"filter=({printable(key.filter_by)})")
    if key.routes is not None:
        parts.append(f"routes=({', '.join(key.routes)})")
    return " ".join(parts)


def name_of(text: str) -> str:
    try:
        return check_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def scopes_of(text: str) -> tuple[Scope, ...]:
    wanted = {part.strip() for part in text.split(",")}
    if not wanted <= set(SCOPES):
        raise argparse.ArgumentTypeError(f"{text!r}: give one or more of {','.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in wanted)


def moment_of(text: str) -> str:
    try:
        return check_moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error


def filter_of(text: str) -> str:
    try:
        return check_filter(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error


def route_of(text: str) -> str:
    """Whether the server has it is looked up in the document that it gives its clients."""
    known = known_routes()
    if text not in known:
        near = nearest_name(text, known)
        hint = f"did you mean {near!r}?" if near is not None else f"give one of {', '.join(known)}"
        raise argparse.ArgumentTypeError(f"{text!r} is no route: {hint}")
    return text


def known_routes() -> list[str]:
    """Imported late: the routes bring all of the server with them."""
    from server.api.openapi.document import routes_of
    from server.app import create_app
    from server.core.settings import Settings

    return routes_of(create_app(Settings.model_construct(bundles=Path())).openapi())


def positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: give a number over 0")
    return number


def at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a whole number from 1 on")
    return number


if __name__ == "__main__":
    sys.exit(main())
