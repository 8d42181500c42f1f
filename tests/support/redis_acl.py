"""The rights that docs/operations.md gives a user of Redis's ACL."""

import re

from redis import Redis

from tests.support.paths import ROOT

__all__ = ["SECRET", "USER", "commands", "give_rights"]

USER, SECRET = "gemserve", "shop/7"


def rights() -> list[str]:
    """The words behind the user's name."""
    found = re.search(
        r"^ACL SETUSER gemserve (.+)$", (ROOT / "docs" / "operations.md").read_text("utf-8"), re.MULTILINE
    )
    assert found is not None
    return found[1].split()


def commands() -> set[str]:
    """Those that the user may call, as `INFO commandstats` names them."""
    return {word.removeprefix("+") for word in rights() if word.startswith("+")}


def give_rights(client: Redis) -> None:
    words = [f">{SECRET}" if word == ">PASSWORD" else word for word in rights()]
    client.execute_command("ACL", "SETUSER", USER, *words)
