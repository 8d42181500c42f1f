"""What programs print about data that somebody else made cannot change the terminal that shows it."""

import json
import subprocess
import sys
from pathlib import Path

from tests.hostile.texts import IDS, QUERIES

NASTY = [text for text in (*QUERIES, *IDS) if not text.isprintable()]


def test_an_import_of_hostile_records_prints_plain_lines(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    items = [{"item_id": "good", "title": "Tent"}, *({"item_id": text, "title": text, "price": text} for text in NASTY)]
    events = [{"user_id": text, "item_id": text, "timestamp": 1, "type": text} for text in NASTY]
    for name, rows in (("items", items), ("events", events)):
        lines = [json.dumps(row) for row in rows] + ['{"item_id": "\\u001b[31m\\ud800"', "\x1b[31m\u202e"]
        (source / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    command = [sys.executable, "-m", "catalog.importers", "jsonl", str(source), str(tmp_path / "made\u202e")]
    for flags in ([], ["--strict"]):
        ended = subprocess.run([*command, *flags], capture_output=True, check=False)
        printed = (ended.stdout + ended.stderr).decode("utf-8", "strict")
        assert "Traceback" not in printed, printed
        assert printed.strip()
        assert all(line.isprintable() for line in printed.split("\n")), printed


def test_a_server_that_cannot_start_says_so_plainly() -> None:
    command = [sys.executable, "-m", "server", "--bundles", "/nowhere/\x1b[31m\u202e", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, check=False)
    printed = ended.stderr.decode("utf-8", "strict")
    assert ended.returncode == 2
    assert "gemserve: " in printed
    assert all(line.isprintable() for line in printed.split("\n")), printed
