"""`gemserve synonyms propose`: what it writes, whom it leaves out, and that nothing is applied unasked."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catalog.data.events import write_events
from catalog.data.tombstones import digest_of, tombstones_beside, write_tombstones
from catalog.priors.words import fault_of
from gemserve.command import main
from server.api.schemas.curation.synonyms import SynonymParameters

START = 1_760_000_000_000


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Thirty people who typed tent, six who typed bivouac, and three hundred who wanted something else."""
    rows = [(f"a{n}", f"item {n % 2}", "tent") for n in range(30)]
    rows += [(f"b{n}", f"item {n % 2}", "bivouac") for n in range(6) for _ in range(3)]
    rows += [(f"c{n}", f"else {n % 50}", "gloves" if n % 3 else None) for n in range(300)]
    table = pa.table(
        {
            "user_id": [row[0] for row in rows],
            "item_id": [row[1] for row in rows],
            "timestamp": [START + place for place in range(len(rows))],
            "type": ["click"] * len(rows),
            "query": pa.array([row[2] for row in rows], pa.string()),
        }
    )
    file = tmp_path / "events.parquet"
    write_events(table, file)
    return file


@pytest.fixture
def server() -> Iterator[tuple[str, list[tuple[str, Any, str | None]]]]:
    """Where it answers, and what it was asked to write: path, body and key. It refuses paths with `bad`."""
    written: list[tuple[str, Any, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            written.append((self.path, body, self.headers.get("Authorization")))
            self.send_response(422 if "bad" in self.path else 200)
            self.end_headers()
            self.wfile.write(b'{"detail": "not this one"}')

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}", written
    listening.shutdown()
    listening.server_close()
    thread.join()


def propose(*words: str | Path) -> int:
    return main(["synonyms", "propose", *map(str, words)])


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_each_line_is_a_set_with_what_speaks_for_it(events: Path, tmp_path: Path) -> None:
    assert propose("--events", events, "--out", tmp_path / "out.jsonl") == 0
    (line,) = lines(tmp_path / "out.jsonl")
    assert line["id"] == "proposed tent = bivouac"
    assert SynonymParameters(**line["body"]).synonyms == ["tent", "bivouac"]
    assert fault_of(line["body"]["synonyms"]) is None
    (pair,) = line["evidence"]
    assert (pair["words"], pair["people"], pair["shared"]) == (["tent", "bivouac"], [30, 6], 2)
    assert 0.7 <= pair["similarity"] <= 1
    assert pair["sure"] >= 0.4


@pytest.mark.parametrize("how", ["beside", "named"])
def test_who_was_erased_counts_no_more(events: Path, tmp_path: Path, how: str) -> None:
    """Of six people who typed the word two are gone, which leaves four."""
    file = tombstones_beside(events) if how == "beside" else tmp_path / "others.json"
    write_tombstones({digest_of(user): START + 10**9 for user in ("b0", "b5")}, file)
    named = () if how == "beside" else ("--erased", file)
    assert propose("--events", events, *named, "--out", tmp_path / "out.jsonl") == 0
    assert lines(tmp_path / "out.jsonl") == []


def test_who_was_erased_before_counts_by_what_came_since(events: Path, tmp_path: Path) -> None:
    write_tombstones({digest_of("b0"): START - 1}, tombstones_beside(events))
    assert propose("--events", events, "--out", tmp_path / "out.jsonl") == 0
    assert lines(tmp_path / "out.jsonl")[0]["evidence"][0]["people"] == [30, 6]


def test_only_apply_applies(events: Path, tmp_path: Path, server: tuple[str, list[Any]], monkeypatch: Any) -> None:
    url, written = server
    monkeypatch.setenv("SYNONYMS_KEY", "secret")
    out = tmp_path / "out.jsonl"
    assert propose("--events", events, "--out", out) == 0
    assert written == []
    assert propose("--reviewed", out, "--apply", url) == 0
    body = {"synonyms": ["tent", "bivouac"], "root": None}
    assert written == [("/synonyms/proposed%20tent%20%3D%20bivouac", body, "Bearer secret")]
    assert propose("--events", events, "--apply", f"{url}/", "--key", "other") == 0
    assert written[1:] == [(*written[0][:2], "Bearer other")]


def test_a_server_that_refuses_a_set_is_told_of(
    tmp_path: Path, server: tuple[str, list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    url, written = server
    file = tmp_path / "reviewed.jsonl"
    sets = [{"id": name, "body": {"synonyms": ["a", "b"]}} for name in ("good", "bad/one", "last")]
    file.write_text("\n\n".join(map(json.dumps, sets)))
    assert propose("--reviewed", file, "--apply", url) == 2
    assert [path for path, _, _ in written] == ["/synonyms/good", "/synonyms/bad%2Fone"]
    said = capsys.readouterr().err
    assert "1 of 3 sets are written" in said
    assert "422" in said
    assert "not this one" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 1"),
        ('{"id": "a", "body": {}}\n[]', "line 2"),
        ('{"id": 3, "body": {}}', "`id` is no text"),
        ('{"id": "a", "body": 3}', "`body` no object"),
        ('{"body": {}}', "line 1"),
    ],
)
def test_a_file_that_is_none_of_proposals(
    tmp_path: Path, text: str, said: str, server: tuple[str, list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "reviewed.jsonl"
    file.write_text(text)
    assert propose("--reviewed", file, "--apply", server[0]) == 2
    assert said in capsys.readouterr().err
    assert server[1] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--events", "x", "--people", "4"], "fewer than 5 people"),
        (["--reviewed", "x"], "--apply URL"),
        (["--events", "x", "--key", "k"], "--apply URL"),
        (["--events", "x", "--reviewed", "y"], "not allowed"),
        ([], "required"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        propose(*words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--language", "klingon"], ["--erased", "nowhere.json"], ["--apply", "http://[::1"]])
def test_what_cannot_be_used_is_told_in_one_line(
    events: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert propose("--events", events, *words) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("synonyms: ")
    assert not any("Traceback" in line for line in said)
