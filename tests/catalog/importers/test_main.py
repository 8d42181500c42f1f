"""The command line: what it writes, prints and answers, above all when something is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.data.events import read_events
from catalog.data.items import read_items
from catalog.importers.__main__ import main

SMALL_SHOP = ["--products", "150", "--shoppers", "20", "--events", "300"]
EVENT = {"user_id": "a", "item_id": "1", "timestamp": 1_700_000_000_000, "type": "view"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "items.jsonl").write_text(json.dumps({"item_id": "1", "title": "Tent"}))
    (folder / "events.jsonl").write_text("\n".join(map(json.dumps, [EVENT, EVENT | {"type": "buy"}])))
    return folder


def test_an_import_writes_two_sound_files_and_prints_a_report(source, tmp_path, capsys):
    assert main(["jsonl", str(source), str(tmp_path / "a" / "b")]) == 0
    assert len(read_items(tmp_path / "a" / "b" / "items.parquet")) == 1
    assert len(read_events(tmp_path / "a" / "b" / "events.parquet", strict=True)[0]) == 1
    printed = capsys.readouterr().out
    assert "events: 2 read, 1 kept, 1 dropped" in printed
    assert "line 2: user_id='a', item_id='1', type='buy'" in printed
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["events.parquet", "items.parquet"]


def test_strict_stops_at_a_broken_record_and_writes_nothing(source, tmp_path, capsys):
    assert main(["jsonl", str(source), str(tmp_path / "out"), "--strict"]) == 2
    assert not (tmp_path / "out").exists()
    answered = capsys.readouterr()
    assert "unknown type" in answered.out
    assert "nothing was written" in answered.err


def test_strict_keeps_an_earlier_import(source, tmp_path):
    destination = tmp_path / "out"
    assert main(["jsonl", str(source), str(destination)]) == 0
    before = {path.name: path.read_bytes() for path in destination.iterdir()}
    (source / "items.jsonl").write_text('{"item_id": "1"}\n{"item_id": "1"}')
    assert main(["jsonl", str(source), str(destination), "--strict"]) == 2
    assert {path.name: path.read_bytes() for path in destination.iterdir()} == before


def test_strict_is_content_with_sound_data(source, tmp_path):
    (source / "events.jsonl").write_text(json.dumps(EVENT))
    assert main(["jsonl", str(source), str(tmp_path / "out"), "--strict"]) == 0


def test_a_write_that_fails_leaves_nothing_behind(source, tmp_path, monkeypatch, capsys):
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("catalog.importers.dataset.write_events", fail)
    assert main(["jsonl", str(source), str(tmp_path / "out")]) == 2
    assert list((tmp_path / "out").iterdir()) == []
    assert "disk full" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["movielens", "lastfm", "amazon", "qilin", "jsonl"])
def test_a_wrong_source_says_what_was_expected(name, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main([name, str(tmp_path / "empty"), str(tmp_path / "out")]) == 2
    assert "expected" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_destination_that_is_a_file_is_refused(source, capsys):
    assert main(["jsonl", str(source), str(source / "items.jsonl")]) == 2
    assert "the destination must be a folder" in capsys.readouterr().err


def test_a_store_too_small_is_refused(tmp_path, capsys):
    assert main(["shop", str(tmp_path / "out"), "--products", "5"]) == 2
    assert "at least 100 products" in capsys.readouterr().err


def test_junk_tags_can_be_chosen(tmp_path, capsys):
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,A (1999),Drama\n")
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n")
    (tmp_path / "tags.csv").write_text("userId,movieId,tag,timestamp\n1,1,boring,99\n1,1,sad,99\n1,1,fun,99\n")
    arguments = ["movielens", str(tmp_path), str(tmp_path / "out"), "--junk-tag", "boring", "--junk-tag", "SAD"]
    assert main(arguments) == 0
    assert "events: 3 read, 1 kept, 2 dropped" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_bytes_in_any_process(tmp_path):
    for folder, hashing in (("one", "1"), ("two", "2")):
        command = [
            sys.executable,
            "-m",
            "catalog.importers",
            "shop",
            str(tmp_path / folder),
            "--seed",
            "3",
            *SMALL_SHOP,
        ]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": hashing})
    assert main(["shop", str(tmp_path / "other"), "--seed", "4", *SMALL_SHOP]) == 0
    for name in ("items.parquet", "events.parquet"):
        one, two, other = ((tmp_path / folder / name).read_bytes() for folder in ("one", "two", "other"))
        assert one == two
        assert one != other


@pytest.mark.parametrize("sound", [1, 2, 300])
def test_a_loss_is_told_and_most_of_a_file_stops_the_import(source, tmp_path, capsys, sound):
    """Of so many sound events, two are lost: over half of three, half of four, less than a hundredth of 302."""
    broken = {"user_id": "a", "item_id": "1", "timestamp": 1_700_000_000_000, "type": "kauf", "note": "Grüße"}
    lines = [json.dumps(broken, ensure_ascii=False), *[json.dumps(EVENT)] * sound, '{"user_id": "b", cut']
    (source / "events.jsonl").write_text("\n".join(lines), encoding="utf-8")
    status = main(["jsonl", str(source), str(tmp_path / "out")])
    told = capsys.readouterr().err
    assert status == (2 if sound == 1 else 0)
    assert (tmp_path / "out").exists() == (sound > 1)
    assert (f"2 of {sound + 2} events" in told) == (sound < 300)
    assert (lines[0] in told or lines[-1] in told) == (sound == 1)
