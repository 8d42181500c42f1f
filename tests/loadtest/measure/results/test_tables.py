"""The tables of comparisons, baselines, relevance, training and load, of small made-up figures."""

from pathlib import Path
from typing import Any

import pytest

from loadtest.measure.results.made import caption, read_measurement, write_measurement
from loadtest.measure.results.tables.baselines import baselines
from loadtest.measure.results.tables.comparison import comparison
from loadtest.measure.results.tables.engine import targets, three_digits
from loadtest.measure.results.tables.registry import TABLES, table_text
from loadtest.measure.results.tables.relevance import misspellings, relevance
from loadtest.measure.results.tables.training import complementary, memory_parts, step_costs
from tests.support.paths import ROOT

MADE = {
    "command": "make results ONLY=a",
    "machine": {"cpu": "Intel(R) Xeon(R) Processor", "cores": 2},
    "finished": "2026-11-28T12:00:00+00:00",
    "commit": "abc1234",
    "seconds": 1234.5,
}


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def estimate(value: float, **more: Any) -> dict[str, Any]:
    return {"recall@10": {"value": value, "low": value - 0.05, "high": value + 0.05, **more}}


def method(value: float, **more: Any) -> dict[str, Any]:
    tasks = {"search": estimate(value, few=True), "recommendation": estimate(value)}
    return {"tasks": tasks, "search_kinds": {}, "retention": {"perplexity": 1234.5, "forgotten": 0.5}, **more}


def test_a_comparison_has_methods_the_base_and_baselines() -> None:
    table = {
        "rows": {"full": method(0.2), "gems": method(0.3), "lora_moe": method(0.02) | {"retention": None}},
        "baselines": {"item_knn": {"recommendation": estimate(0.33)}},
        "base": {"perplexity": {"value": 755.2}},
    }
    assert rows(comparison(table)) == [
        ["method", "search Recall@10 (few questions)", "recommendation Recall@10", "perplexity", "forgotten"],
        ["---"] * 5,
        ["GEMS, `null_space.side=output`", "0.300 (0.250–0.350)", "**0.300** (0.250–0.350)", "1,234", "50%"],
        ["full AdamW", "0.200 (0.150–0.250)", "0.200 (0.150–0.250)", "1,234", "50%"],
        ["mixture of LoRA experts", "0.020 (0.000–0.070)", "0.020 (0.000–0.070)", "–", "–"],
        ["the base", "–", "–", "755", "–"],
        ["item-kNN", "–", "**0.330** (0.280–0.380)", "–", "–"],
    ]


def test_a_comparison_shows_learning_rates_and_kinds_of_searches_where_it_has_them() -> None:
    kinds = {"known_item": estimate(0.5), "new_item": estimate(0.1)}
    own = method(0.3, learning_rate={"rate": 0.002}) | {"search_kinds": kinds}
    table = rows(comparison({"rows": {"gems": own}, "baselines": {}, "base": None}))
    assert table[0][2:4] == ["search, known items", "search, new items"]
    assert table[2][2:4] == ["**0.500** (0.450–0.550)", "**0.100** (0.050–0.150)"]
    assert table[2][-1] == "0.002"


def test_baselines_stand_with_their_validation_figures() -> None:
    figures = {"recall@10": 0.5, "ndcg@10": 0.25, "questions": 40, "intervals": {"recall@10": [0.4, 0.6]}}
    report = {
        "tasks": {"recommendation": {"ease": figures}, "search": {"ease": figures, "bm25": figures}},
        "baselines": {
            "recommendation": {"ease": {"validation": {"recall@10": 0.45}}},
            "search": {"ease": {"validation": {}}, "bm25": {"validation": {"recall@10": 0.4}}},
        },
    }
    table = rows(baselines({"store": report}))
    assert table[0] == ["Recommendation", "store (40, few)"]
    assert table[2] == ["EASE", "0.500 (0.400–0.600) · 0.250 · 0.450"]
    assert table[5:] == [
        ["EASE", "0.500 (0.400–0.600) · 0.250 · –"],
        ["BM25, item text", "0.500 (0.400–0.600) · 0.250 · 0.400"],
    ]


def test_relevance_of_few_questions_is_never_bold() -> None:
    shares = {"model": {"first": 0.1, "ten": 0.2}, "guided": {"first": 0.9, "ten": 0.2}}
    table = rows(relevance({"kinds": {"brand": {"questions": 24, **shares}, "id": {"questions": 400, **shares}}}))
    assert table[2] == ["the id", "400", "0.10", "0.20", "**0.90**", "0.20"]
    assert table[3] == ["a brand: the share of its items", "24, few", "0.10", "0.20", "0.90", "0.20"]


def test_corrections_stand_beside_what_was_typed() -> None:
    def figures(recall: float) -> dict[str, Any]:
        return {"recall@10": recall, "questions": 1035, "intervals": {"recall@10": [recall - 0.02, recall + 0.02]}}

    report = dict(
        zip(("clean", "clean_corrected", "misspelled", "corrected"), map(figures, (0.3, 0.31, 0.2, 0.3)), strict=True)
    )
    assert rows(misspellings(report | {"questions": 1035})) == [
        ["Recall@10 of 1,035 searches", "as it is", "corrected"],
        ["---"] * 3,
        ["as typed", "**0.300** (0.280–0.320)", "**0.310** (0.290–0.330)"],
        ["with one slip of the fingers in one word", "0.200 (0.180–0.220)", "**0.300** (0.280–0.320)"],
    ]
    guided = {name: figures(recall) for name, recall in zip(report, (0.6, 0.61, 0.5, 0.6), strict=True)}
    table = rows(misspellings(report | {"questions": 1035, "guided": guided}))
    assert table[0][1:] == ["as it is", "corrected", "guided, as it is", "guided, corrected"]
    assert table[3][1:] == ["0.200 (0.180–0.220)", "0.300 (0.280–0.320)", *table[3][3:]]
    assert table[3][3:] == ["0.500 (0.480–0.520)", "**0.600** (0.580–0.620)"]


def test_a_cost_within_what_is_asked_is_bold() -> None:
    report = {
        "rows": [{"method": name, "step_s": 1.0, "peak_bytes": 2**30} for name in ("gems", "adamw", "single_subspace")],
        "ratio": {"adamw": {"time": 1.2, "memory": 0.8}, "single_subspace": {"time": 1.1, "memory": 1.2}},
        "limits": {"adamw": {"time": 1.25, "memory": 0.6}},
    }
    table = rows(step_costs(report))
    assert table[2] == ["GEMS", "1.0 s", "1,024 MiB", "", "", "", ""]
    assert table[3] == ["full AdamW", "1.0 s", "1,024 MiB", "**1.20**", "1.25", "0.80", "0.60"]
    assert table[4][3:] == ["1.10", "–", "1.20", "–"]


def test_the_learning_rate_of_subspaces_is_chosen_on_validation_text() -> None:
    def row(lr: float, validation: float, test: float, *, complementary: bool) -> dict[str, Any]:
        losses = {name: dict.fromkeys(("search", "recommendation"), value) for name, value in
                  (("validation", validation), ("test", test))}  # fmt: skip
        return {"lr": lr, "complementary": complementary, "share_inside": 0.9, "update_norm": 0.5, **losses}

    chosen = [row(0.01, 1.0, 1.5, complementary=own) for own in (True, False)]
    others = [row(0.003, 1.1, 1.2, complementary=own) for own in (True, False)]
    table = rows(complementary({"rows": chosen + others}))
    assert table[2][2:] == ["0.01", "0.50", "1.500 · 1.500", "1.200 · 1.200"]


def test_targets_of_the_engine_stand_beside_what_it_reaches() -> None:
    def row(concurrency: int, requests_per_s: float) -> dict[str, Any]:
        own = {"engine": "ours", "beam": 50, "concurrency": concurrency, "mode": "cached"}
        return own | {"requests_per_s": requests_per_s}

    report = {"rows": [row(1, 10.0), row(32, 25.0)], "speedup": {"vllm": {"50@1": 8.04}}, "speedup_cached": {}}
    table = rows(targets(report))
    assert table[2] == ["12× vLLM at 50@1", "– / 8.0×"]
    assert table[-1] == ["32 requests at once, 2.5× the throughput of one", "beam 50: 2.5× / –"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (10766.2, "10,766"), (99.94, "99.9"), (2.04, "2.0"), (0.1754, "0.18"), (0.046, "0.046")],
)
def test_numbers_have_three_digits_at_most(value: float | None, text: str) -> None:
    assert three_digits(value) == text


def test_a_caption_says_command_machine_date_commit_and_time() -> None:
    assert caption("a.json", MADE, "measurements") == (
        "<sub>[a.json](measurements/a.json): `make results ONLY=a`; two cores of an Intel(R) Xeon(R), 2026-11-28, "
        "commit abc1234, 1,234 s.</sub>".replace("(R)", "")
    )


def test_a_note_stands_above_its_table(tmp_path: Path) -> None:
    report = read_measurement(ROOT / "docs/measurements/quality-shop.json")
    write_measurement(tmp_path / "quality-shop.json", report, MADE | {"note": "Of other splits."})
    assert table_text("quality-shop", tmp_path, "x").startswith("**Of other splits.**\n\n| Recommendation")


def test_figures_that_do_not_say_how_they_were_made_are_no_table(tmp_path: Path) -> None:
    (tmp_path / "quality-shop.json").write_text('{"tasks": {}}')
    with pytest.raises(ValueError, match="`made` lacks command, commit, finished, machine"):
        table_text("quality-shop", tmp_path, "x")


def test_a_table_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no table none"):
        table_text("none", tmp_path, "x")


@pytest.mark.parametrize("name", TABLES)
def test_every_table_of_the_registry_stands_in_a_document(name: str) -> None:
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert any(f"<!-- results: {name} -->" in document.read_text(encoding="utf-8") for document in documents)


def test_parts_of_memory_stand_by_size() -> None:
    assert rows(memory_parts({"parts": {"bases": 3 * 2**20, "activations": 2000 * 2**20}})) == [
        ["part", "MiB"],
        ["---"] * 2,
        ["activations", "2,000"],
        ["bases", "3"],
    ]
