"""Text in other encodings is read right or refused with the way to convert it: no mojibake, no row lost in silence."""

import bz2
import gzip
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.data.events import read_events
from catalog.data.items import load_items
from catalog.data.reading.encoding import line_encodings
from catalog.data.validation_report import ValidationReport
from catalog.errors import CatalogError, DatasetError, ItemsError
from catalog.importers.__main__ import main
from catalog.importers.amazon import read_amazon
from catalog.importers.delimited import read_columns

TITLES = ["Zelt", "Höhle für zwei", "crème brûlée", "Ålesund – „Übernachtung“ 5 €"]
RUSSIAN = ["Палатка для двоих", "Чайник", "Tent"]
JAPANESE = ["二人用テント", "やかん", "Tent"]


def lines(titles: list[str]) -> str:
    return "".join(
        json.dumps({"item_id": str(number), "title": title}, ensure_ascii=False) + "\n"
        for number, title in enumerate(titles)
    )


def array(titles: list[str]) -> str:
    rows = [{"item_id": str(number), "title": title} for number, title in enumerate(titles)]
    return json.dumps(rows, ensure_ascii=False, indent=2)


FORMS = {"lines": lines, "array": array}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("titles", "encoding"),
    [
        (TITLES[:3], "latin-1"),
        (TITLES, "cp1252"),
        (TITLES[:2], "iso-8859-15"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc-jp"),
        (JAPANESE, "gb18030"),
    ],
)
def test_json_in_another_encoding_is_refused_with_the_way_to_convert_it(
    tmp_path: Path, form: str, titles: list[str], encoding: str
) -> None:
    path = tmp_path / "items.jsonl"
    text = FORMS[form](titles)
    path.write_bytes(text.encode(encoding))
    first = next(number for number, line in enumerate(text.splitlines(), start=1) if not line.isascii())
    with pytest.raises(ItemsError, match=rf"items\.jsonl: line {first} is not UTF-8") as refused:
        load_items(path)
    western = encoding in {"latin-1", "cp1252", "iso-8859-15"}
    assert f"iconv -f {'WINDOWS-1252' if western else 'ENCODING'} -t UTF-8 items.jsonl" in str(refused.value)
    assert (titles[1][:8] in str(refused.value)) == western


def test_what_it_says_to_do_helps(tmp_path: Path) -> None:
    if shutil.which("iconv") is None:
        pytest.skip("iconv comes with Debian's libc-bin")
    source = tmp_path / "my shop"
    source.mkdir()
    event = {"user_id": "u", "item_id": "1", "timestamp": 1_763_640_000_000, "type": "view"}
    (source / "events.jsonl").write_text(json.dumps(event))
    path = source / "items.jsonl.gz"
    path.write_bytes(gzip.compress(lines(TITLES).encode("cp1252")))
    with pytest.raises(ItemsError) as refused:
        load_items(path)
    command = str(refused.value).split("`")[1]
    subprocess.run(["sh", "-c", command], cwd=source, check=True)
    assert load_items(source / "items.jsonl")[0]["title"].to_pylist() == TITLES


@pytest.mark.parametrize("name", ["items", "events"])
def test_an_import_of_latin_1_writes_nothing(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A single line of thousands is less than what the loss of lines warns of."""
    event = {"user_id": "u", "item_id": "1", "timestamp": 1_763_640_000_000, "type": "view"}
    texts = {
        "items": lines(["Tent"] * 3_000),
        "events": "".join(f"{json.dumps(event | {'event_id': str(n)})}\n" for n in range(3_000)),
    }
    more = {"items": {"item_id": "x", "title": "Höhle"}, "events": event | {"query": "Höhle"}}
    texts[name] += json.dumps(more[name], ensure_ascii=False)
    for each, text in texts.items():
        (tmp_path / f"{each}.jsonl").write_bytes(text.encode("latin-1"))
    assert main(["jsonl", str(tmp_path), str(tmp_path / "out")]) == 2
    assert f"{name}.jsonl: line 3001 is not UTF-8 but Windows-1252 or Latin-1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_line_that_is_broken_among_lines_of_utf_8_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(lines(TITLES).encode() + '{"item_id": "x", "title": "Höhle"}\n'.encode("latin-1"))
    items, report = load_items(path)
    assert items["title"].to_pylist() == TITLES
    assert report.broken == 1
    assert "line 5" in str(report)


@pytest.mark.parametrize("titles", [TITLES, RUSSIAN, JAPANESE, ["Zelt"], [""]])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_all_of_unicode_is_read_with_a_mark_and_without(
    tmp_path: Path, titles: list[str], form: str, encoding: str
) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(FORMS[form](titles).encode(encoding))
    items, report = load_items(path)
    assert items["title"].to_pylist() == titles
    assert report.dropped == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be"])
@pytest.mark.parametrize("packed", [bytes, bz2.compress])
def test_a_cut_character_is_no_other_character(tmp_path: Path, encoding: str, packed: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(packed(lines(TITLES).encode(encoding)[:-1]))
    with pytest.raises(ItemsError, match=r"items\.jsonl: cannot be read to its end \(it is no UTF-(16|32)-"):
        load_items(path)


def test_half_of_a_surrogate_pair_in_utf_16_breaks_its_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    broken = '{"item_id": "x", "title": "a\ud83db"}\n'
    path.write_bytes((lines(TITLES) + broken).encode("utf-16", "surrogatepass"))
    items, report = load_items(path)
    assert items["title"].to_pylist() == TITLES
    assert report.broken == 1


def table_of(path: Path) -> tuple[list[str], ValidationReport]:
    report = ValidationReport("items", place=f"{path.name} line")
    return read_columns(path, ["id", "title"], report)["title"].to_pylist(), report


def csv_of(titles: list[str]) -> str:
    return "id,title\n" + "".join(f"{number},{title}\n" for number, title in enumerate(titles))


@pytest.mark.parametrize("titles", [TITLES, TITLES[:2], ["Ä"], ["été"]])
def test_tables_in_windows_1252_are_read_and_that_is_said(tmp_path: Path, titles: list[str]) -> None:
    """MovieLens and Last.fm come so."""
    path = tmp_path / "items.csv"
    path.write_bytes(csv_of(titles).encode("cp1252"))
    read, report = table_of(path)
    assert read == titles
    assert "items.csv is not UTF-8, and was read as Windows-1252: line " in str(report)


@pytest.mark.parametrize(
    ("titles", "encoding"),
    [(RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"), (JAPANESE, "shift_jis"), (JAPANESE, "gb18030"), (["a\x81b"], "latin-1")],
)
def test_tables_in_other_encodings_are_refused(tmp_path: Path, titles: list[str], encoding: str) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(csv_of(titles).encode(encoding))
    with pytest.raises(
        DatasetError, match=r"items\.csv: line 2 is not UTF-8, nor .*`iconv -f ENCODING -t UTF-8 items\.csv"
    ):
        table_of(path)


def test_a_broken_line_does_not_turn_a_table_of_utf_8_into_another(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(csv_of(TITLES).encode() + "9,Höhle\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"items\.csv: line 6 is not UTF-8, though 3 others are \('9,Höhle'\)"):
        table_of(path)


@pytest.mark.parametrize("titles", [TITLES, RUSSIAN, JAPANESE])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_tables_in_all_of_unicode_are_read(tmp_path: Path, titles: list[str], encoding: str) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(csv_of(titles).encode(encoding))
    read, report = table_of(path)
    assert read == titles
    assert report.notes == []


def test_reviews_of_amazon_in_latin_1_are_refused(tmp_path: Path) -> None:
    review = {"user_id": "u", "parent_asin": "1", "timestamp": 1_763_640_000_000, "rating": 5, "title": "gemütlich"}
    (tmp_path / "reviews.jsonl").write_bytes(json.dumps(review, ensure_ascii=False).encode("latin-1"))
    (tmp_path / "meta.jsonl").write_text(json.dumps({"parent_asin": "1", "title": "Tent"}))
    with pytest.raises(CatalogError, match=r"reviews\.jsonl: line 1 is not UTF-8 but Windows-1252 .*iconv"):
        read_amazon(tmp_path)


def test_events_of_utf_8_with_ids_of_other_alphabets_are_read(tmp_path: Path) -> None:
    event = {"user_id": "Аня", "item_id": "テント", "timestamp": 1_763_640_000_000, "type": "view"}
    (tmp_path / "events.jsonl").write_text(json.dumps(event, ensure_ascii=False), encoding="utf-8")
    assert read_events(tmp_path / "events.jsonl", strict=True)[0]["user_id"].to_pylist() == ["Аня"]


def test_ascii_tells_nothing() -> None:
    assert not line_encodings([b"Tent\n"] * 9).is_other
