"""The tables of reports: every method, both tasks, known and new items apart."""

from typing import Any

from loadtest.measure.results.parts import DATA_SETS, quality_part
from loadtest.measure.results.tables.quality import quality, summary


def figures(recall: float, questions: int = 200, **kinds: Any) -> dict[str, Any]:
    intervals = {name: [recall - 0.01, recall + 0.01] for name in ("recall@10", "ndcg@10")}
    return {"recall@10": recall, "ndcg@10": recall / 2, "questions": questions, "intervals": intervals, **kinds}


def kinds(known: float, new: float) -> dict[str, Any]:
    return {"known_item": figures(known, 60), "new_item": figures(new, 140)}


REPORT = {
    "tasks": {
        "search": {
            "model": figures(0.4, **kinds(0.9, 0.2)),
            "guided": figures(0.6, **kinds(0.8, 0.5)),
            "bm25": figures(0.5, **kinds(0.7, 0.4)),
            "popularity": figures(0.1, **kinds(0.1, 0.1)),
        },
        "recommendation": {"model": figures(0.3), "guided": figures(0.2), "popularity": figures(0.1)},
    }
}


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_searches_for_known_and_new_items_stand_apart() -> None:
    table = rows(quality(REPORT).split("\n\n")[1])
    assert table[0] == [
        "Search (200 questions)",
        "Recall@10",
        "NDCG@10",
        "known items (60, few): Recall@10",
        "new items (140): Recall@10",
    ]
    assert [row[0] for row in table[2:]] == ["model alone", "model and prior (guided)", "popularity", "BM25, item text"]
    guided = table[3]
    assert guided[1] == "**0.600** (0.590–0.610)"
    assert guided[4] == "**0.500** (0.490–0.510)"
    assert all("**" not in row[3] for row in table[2:]), "of few questions nothing is bold"


def test_a_task_that_was_not_asked_has_no_table() -> None:
    only = {"tasks": {"recommendation": REPORT["tasks"]["recommendation"]}}
    assert quality(only).startswith("| Recommendation (200 questions) | Recall@10 | NDCG@10 |\n")
    assert "Search" not in quality(only)


def reliable(error: float) -> dict[str, object]:
    return {"expected_calibration_error": error, "log_loss": 0.25, "first": {"expected_calibration_error": 10 * error}}


def test_relevance_has_a_line_for_each_kind_of_score_that_is_calibrated() -> None:
    own = {"validation": reliable(0.001), "test": reliable(0.0025)}
    report = REPORT | {"calibration": {"search": {"guided": own, "model": own}, "recommendation": {"guided": own}}}
    table = rows(quality(report).split("\n\n")[2])
    assert table[0] == ["Relevance", "calibration error, validation", "test", "test, the first item", "log-loss, test"]
    assert table[2] == ["search, guided", "0.0010", "0.0025", "0.0250", "0.2500"]
    assert [row[0] for row in table[3:]] == ["search, model alone", "recommendation, guided"]
    assert "Relevance" not in quality(REPORT | {"calibration": {"search": {}, "recommendation": {}}})


def test_only_what_the_documentation_shows_is_drawn() -> None:
    (_, draw), (train,) = (quality_part(DATA_SETS[name]).commands for name in ("shop", "movielens"))
    assert draw[-1] == "docs/pictures/reliability-shop.png"
    assert train[1] == "trainer/run.py"


def test_the_length_of_the_training_is_told() -> None:
    report = REPORT | {"training": {"steps": 1600, "seconds": 450.0}}
    assert quality(report).endswith("\n\nTrained for 1,600 steps in 7.5 minutes.")


def test_the_summary_has_a_line_for_each_data_set_and_task() -> None:
    table = rows(summary({"store": REPORT}))
    assert table[2][0] == "store, recommendation (200)"
    assert table[2][1:] == [
        "**0.300** (0.290–0.310)",
        "0.200 (0.190–0.210)",
        "0.100 (0.090–0.110) popularity",
        "0.100 (0.090–0.110)",
    ]
    assert table[3][3] == "0.500 (0.490–0.510) BM25, item text"
