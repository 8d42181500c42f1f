"""Slips of the fingers, and that corrections of them can be measured at all."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from trainer.analysis.misspellings import main, measure, misspell

WAYS = ("clean", "clean_corrected", "misspelled", "corrected")
seeds = st.integers(0, 2**32 - 1)


@given(st.lists(st.text("abcXYZ", min_size=4, max_size=9), min_size=1, max_size=4), seeds)
def test_one_slip_in_one_word(words: list[str], seed: int) -> None:
    query = f"2 for {' '.join(words)} -10!"
    typed = misspell(query, np.random.default_rng(seed))
    assert typed is not None
    assert OSA.distance(query, typed) == 1
    changed = [(a, b) for a, b in zip(query.split(), typed.split(), strict=True) if a != b]
    assert len(changed) == 1
    assert changed[0][0][0] == changed[0][1][0], "the first letter stays"
    assert misspell(query, np.random.default_rng(seed)) == typed


def test_every_kind_of_slip_is_made() -> None:
    typed = {misspell("tent", np.random.default_rng(seed)) for seed in range(200)}
    assert {"tnet", "tet", "tennt", "trnt", "twnt"} <= typed


@given(st.text("abc 0123456789-é", max_size=12), seeds)
def test_short_words_and_codes_are_left_alone(query: str, seed: int) -> None:
    short = " ".join(word[:3] for word in query.split())
    assert misspell(short, np.random.default_rng(seed)) is None


def test_a_bundle_that_there_is_not_is_said_to_be_missing(tmp_path, capsys) -> None:
    assert main(["--bundle", str(tmp_path / "none"), "--events", str(tmp_path / "events.parquet")]) == 2
    assert "none" in capsys.readouterr().err


def test_every_way_is_asked_the_same(bundles, files) -> None:
    bundle = next(iter(bundles.values()))
    report = measure(bundle, [files[1]], seed=0)
    ways = [of[way] for of in (report, report["guided"]) for way in WAYS]
    assert {way["questions"] for way in ways} == {report["questions"]}
    assert all("recall@10" in way["intervals"] for way in ways)
    assert report["restored"] > 0.5
    assert report["clean_queries_changed"] == 0
    assert report["clean_words_changed"] == []
    assert report["clean_corrected"] == report["clean"]
    assert report["guided"]["clean_corrected"] == report["guided"]["clean"] != report["clean"]
    assert measure(bundle, [files[1]], seed=0) == report
