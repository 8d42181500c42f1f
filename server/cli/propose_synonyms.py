"""Proposes synonyms: words and short phrases of searches that lead to the same clicks.

    gemserve synonyms propose --events data/events.parquet --out proposed.jsonl [--erased FILE] [--language english]
    gemserve synonyms propose --reviewed proposed.jsonl --apply http://127.0.0.1:8000 [--key KEY]

Nothing is applied unasked. Each line of the file is one set, the surest first: `id` and `body` are those of
`PUT /synonyms/{id}`, and `evidence` says of each two words how many people typed either, how many items both led to,
how alike what they took is (1: as what two people took who typed the same), and how alike it is at least in nine of ten
draws of these people. Delete the lines that are wrong, then have the others written to a server. The key of an admin is
read from the variable SYNONYMS_KEY, or given as --key, which other users of the machine can see.

The events are those of `gemserve export events`. What users did who were erased since, as the `.erased.json` beside the
events and `--erased` say, counts for nothing, and no word is named that fewer than five people typed.

Status 2: something was wrong, and no set was proposed, or not all were written. `python -m server.cli.propose_synonyms`
is the same. Read on in docs/data.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.compute as pc

from catalog.bundle.disk import access_reason
from catalog.data.tombstones import read_kept_events, tombstone_files
from catalog.drained import event_files
from catalog.errors import CatalogError
from catalog.priors.words.proposals import MIN_PEOPLE, ProposalSettings, Proposed, proposals
from catalog.terminal_escapes import printable
from server.core.errors import ServerError

__all__ = ["main"]

FAILED = 2
REQUEST_SECONDS = 60.0


class ProposalError(ServerError):
    """A file that is none of proposals, or a server that did not take one."""


def proposed(events: Sequence[Path], erased: Path | None, settings: ProposalSettings) -> list[Proposed]:
    """What files of events propose. Raises EventsError, and ValueError for a language without a stemmer."""
    with event_files(events) as files:
        table, _ = read_kept_events(files, tombstone_files(files, erased))
    searched = table.filter(pc.is_valid(table["query"]))
    users, items, queries = (searched[name].to_pylist() for name in ("user_id", "item_id", "query"))
    return proposals(users, items, queries, settings)


def apply(lines: Sequence[Mapping[str, Any]], server: str, key: str | None) -> None:
    """Write sets to a server. Raises ProposalError at the first that it does not take."""
    headers = {"Content-Type": "application/json"} | ({} if key is None else {"Authorization": f"Bearer {key}"})
    for done, line in enumerate(lines):
        url = f"{server.rstrip('/')}/synonyms/{quote(line['id'], safe='')}"
        body = json.dumps(line["body"]).encode()
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, body, headers, method="PUT"), timeout=REQUEST_SECONDS
            ):
                pass
        except urllib.error.HTTPError as error:
            with error:
                reason = f"{url} answered {error.code}: {error.read()[:300].decode(errors='replace')}"
            raise ProposalError(f"{done} of {len(lines)} sets are written; {reason}") from error
        except (OSError, ValueError) as error:
            raise ProposalError(
                f"{done} of {len(lines)} sets are written; {url} could not be reached: {error}"
            ) from error


def _line(one: Proposed) -> dict[str, Any]:
    body = {"synonyms": one.synonyms, "root": None}
    return {"id": one.id, "body": body, "evidence": [asdict(pair) for pair in one.pairs]}


def _reviewed(file: Path) -> list[dict[str, Any]]:
    lines = []
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            if not (isinstance(line["id"], str) and line["id"] and isinstance(line["body"], dict)):
                raise ValueError("`id` is no text, or `body` no object")
        except (ValueError, KeyError, TypeError) as error:
            raise ProposalError(f"{file} line {number}: is no proposal ({error!r}): delete or mend it") from error
        lines.append(line)
    return lines


def parse(
    arguments: Sequence[str] | None = None, program: str = "python -m server.cli.propose_synonyms"
) -> argparse.Namespace:
    usual = ProposalSettings()
    parser = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--events", type=Path, nargs="+", help="files of events, to propose synonyms from")
    source.add_argument("--reviewed", type=Path, metavar="FILE", help="proposals that somebody has looked at")
    parser.add_argument("--erased", type=Path, metavar="FILE", help="users to leave out, beside the .erased.json files")
    parser.add_argument("--out", type=Path, help="file of proposals to write (default: the standard output)")
    parser.add_argument(
        "--language", default=usual.language, help="whose stems tell words apart, or none (%(default)s)"
    )
    parser.add_argument(
        "--people", type=int, default=usual.people, help="people who typed each word, at least (%(default)s)"
    )
    parser.add_argument(
        "--similarity", type=float, default=usual.similarity, help="how alike clicks are at least (%(default)s)"
    )
    parser.add_argument("--apply", metavar="URL", help="write the sets to this server")
    parser.add_argument("--key", help="an admin's key (default: SYNONYMS_KEY)")
    options = parser.parse_args(arguments)
    if options.people < MIN_PEOPLE:
        parser.error(f"--people {options.people}: what fewer than {MIN_PEOPLE} people typed is not proposed")
    if options.reviewed is not None and options.apply is None:
        parser.error("--reviewed: say with --apply URL to which server its sets are written")
    if options.key is not None and options.apply is None:
        parser.error("--key: is for --apply URL alone")
    return options


def main(arguments: Sequence[str] | None = None, program: str = "python -m server.cli.propose_synonyms") -> int:
    """The process's exit status. program: how it is called, for its help."""
    options = parse(arguments, program)
    try:
        lines = _reviewed(options.reviewed) if options.reviewed is not None else _proposed(options)
        if options.apply is not None:
            apply(lines, options.apply, options.key or os.environ.get("SYNONYMS_KEY"))
            print(f"{len(lines):,} sets are written to {options.apply}", file=sys.stderr)
    except (OSError, CatalogError, ServerError, ValueError) as error:
        print(f"synonyms: {printable(access_reason(error) or error)}", file=sys.stderr)
        return FAILED
    return 0


def _proposed(options: argparse.Namespace) -> list[dict[str, Any]]:
    language = None if options.language == "none" else options.language
    settings = ProposalSettings(language=language, people=options.people, similarity=options.similarity)
    lines = [_line(one) for one in proposed(options.events, options.erased, settings)]
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    if options.out is None:
        sys.stdout.write(text)
    else:
        options.out.write_text(text, encoding="utf-8")
    print(f"{len(lines):,} sets are proposed; nothing is applied unless --apply says so", file=sys.stderr)
    return lines


if __name__ == "__main__":
    sys.exit(main())
