"""The acceptance set, asked of a real bundle of the tiny shop."""

import json

from loadtest.relevance.__main__ import main


def test_titles_and_ids_are_found_when_guided(trained, tmp_path, capsys):
    bundle = trained.bundle()
    file = tmp_path / "relevance.json"
    assert main(["--bundle", str(bundle.path), "--json", str(file), "--count", "20", "--width", "10"]) == 0
    report = json.loads(file.read_text())
    assert (report["bundle"], report["items"], report["width"]) == (bundle.version, 30, 10)
    for kind in ("exact_title", "title_plain", "id", "id_without_hyphens"):
        assert report["kinds"][kind]["guided"] == {"first": 1.0, "ten": 1.0}, kind
    assert report["kinds"]["exact_title"]["model"]["first"] < 1
    assert "exact_title" in capsys.readouterr().out


def test_what_is_no_bundle_is_said_so(tmp_path, capsys):
    assert main(["--bundle", str(tmp_path), "--json", str(tmp_path / "out.json")]) == 2
    assert "is not a bundle" in capsys.readouterr().out
