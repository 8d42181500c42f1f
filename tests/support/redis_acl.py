"""The rights that docs/operations.md gives a user of Redis's ACL."""

import re

from redis import Redis

from tests.support.paths import ROOT

__all__ = ["MOVER", "SECRET", "USER", "commands", "give_rights"]

USER, MOVER, SECRET = "gemserve", "gemserve-buckets", "shop/7"
"""MOVER: who may run `gemserve buckets`."""


def rights(user: str) -> list[str]:
    """The words behind a user's name."""
    found = re.search(rf"^ACL SETUSER {user} (.+)$", (ROOT / "docs" / "operations.md").read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1].split()


def commands(user: str = USER) -> set[str]:
    """Those that a user may call, as `INFO commandstats` names them."""
    return {word.removeprefix("+") for word in rights(user) if word.startswith("+")}


def give_rights(client: Redis, user: str = USER) -> None:
    words = [f">{SECRET}" if word == ">PASSWORD" else word for word in rights(user)]
    client.execute_command("ACL", "SETUSER", user, *words)
