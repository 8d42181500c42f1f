"""Finds the program that a word stands for, and runs it: `gemserve serve …` is `python -m server …`.

Programs are named, not imported, so that help comes at once and no part of the project depends on another for it. Each
has `main(arguments, program=…)`, which returns the exit status and calls itself `program` in its own help.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

__all__ = ["COMMANDS", "main"]

UNKNOWN = 2
HELP = ("-h", "--help", "help")

OVERVIEW = """\
usage: gemserve COMMAND …

One language model for search and recommendation: trained with GEMS, served by vLLM.

{commands}

From nothing to answers:

  gemserve import shop var/shop
  gemserve train --items var/shop/items.parquet --events var/shop/events.parquet --out var/bundles --recipe demo
  gemserve serve --bundles var/bundles --managed-redis var/redis

`gemserve COMMAND --help` tells more of each. Read on in docs/quickstart.md.
"""
GROUP = """\
usage: gemserve {group} WHAT …

{about}

{commands}

`gemserve {group} WHAT --help` tells more of each. Read on in docs/data.md.
"""


@dataclass(frozen=True, slots=True)
class Command:
    """A program of the project, and what it does in one line."""

    module: str
    about: str


COMMANDS: Mapping[str, Command] = {
    "import": Command("catalog.importers.__main__", "make files of items and events from a data set, or from your own"),
    "train": Command("trainer.run", "train a model on items and events, and publish it as a bundle"),
    "evaluate": Command("trainer.evaluation.__main__", "measure a bundle on held-out events, beside simple baselines"),
    "serve": Command("server.__main__", "answer /search and /recommend over HTTP with the current bundle"),
    "consume": Command("server.cli.kafka.consume", "take events from topics of Kafka"),
    "fetch": Command("catalog.bundle.fetch", "have the bundle of an object store here before a server needs it"),
    "keys": Command("server.cli.keys", "make, list and revoke the API keys of a server"),
    "buckets": Command("server.cli.buckets", "move a server's users to more parts, for more shards of Redis"),
    "drain": Command("server.cli.drain.drain", "have events go on from the log into files by day, for training"),
    "export events": Command("server.cli.export_events", "write the events that a server has recorded, for training"),
    "export items": Command("server.cli.export_items", "write the catalog as it is served, for training"),
    "retrain": Command(
        "server.cli.retrain.__main__", "train on what users did since, and activate the model unless it is worse"
    ),
    "synonyms propose": Command("server.cli.propose_synonyms", "find words that lead to the same clicks, to look at"),
    "openapi": Command("server.cli.openapi", "write the OpenAPI document of the server"),
}
"""By the words that call them, in the order in which one comes to need them."""

GROUPS: Mapping[str, str] = {
    "export": "write what a server has learnt, for training",
    "synonyms": "find words that searches could also read as others",
}
"""Words that need a second one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: that of the program, or 2 for a word that names none."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in HELP:
        print(_overview(), end="")
        return 0
    if words[0] == "--version":
        print(f"gemserve {version('gemserve')}")
        return 0
    if words[0] in GROUPS and (len(words) == 1 or words[1] in HELP):
        print(_group(words[0]), end="")
        return 0
    taken = 2 if words[0] in GROUPS else 1
    name = " ".join(words[:taken])
    command = COMMANDS.get(name)
    if command is None:
        return _refuse(name)
    status: int = importlib.import_module(command.module).main(words[taken:], program=f"gemserve {name}")
    return status


def _overview() -> str:
    words = {name.split()[0]: command.about for name, command in COMMANDS.items()} | dict(GROUPS)
    return OVERVIEW.format(commands=_listed(words))


def _group(group: str) -> str:
    words = {name: command.about for name, command in COMMANDS.items() if name.startswith(f"{group} ")}
    return GROUP.format(group=group, about=f"To {GROUPS[group]}.", commands=_listed(words))


def _listed(words: Mapping[str, str]) -> str:
    width = max(map(len, words))
    return "\n".join(f"  {word:<{width}}  {about}" for word, about in words.items())


def _refuse(name: str) -> int:
    from catalog.nearest import did_you_mean, nearest_name

    hint = did_you_mean(nearest_name(name, [*COMMANDS, *GROUPS]))
    print(f"gemserve: no command is named {name!r}{hint}; `gemserve --help` lists them", file=sys.stderr)
    return UNKNOWN
