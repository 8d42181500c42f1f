import numpy as np
import pytest

from trainer.evaluation.metrics import summarize, summarize_kinds
from trainer.evaluation.table import table


@pytest.fixture
def report():
    rank_Q = np.random.default_rng(0).integers(0, 15, 150)
    search = {
        "model": summarize_kinds(rank_Q, np.arange(150) < 30),
        "bm25": summarize_kinds(rank_Q[::-1], np.arange(150) < 30),
    }
    return {
        "protocol": "leave_one_out/full",
        "questions": "test",
        "catalog_size": 9,
        "beam_width": 50,
        "tasks": {"search": search, "recommendation": {"model": summarize(rank_Q)}},
    }


def test_kinds_of_searches_have_lines_of_their_own(report):
    lines = table(report).splitlines()
    shown = [(line[:20].strip(), line[20:40].split()[0]) for line in lines[3:]]
    assert shown == [
        *[
            (task, method)
            for task in ("search", "search, known item", "search, new item")
            for method in ("model", "bm25")
        ],
        ("recommendation", "model"),
    ]
    known, new = report["tasks"]["search"]["model"]["known_item"], report["tasks"]["search"]["model"]["new_item"]
    assert f"{known['recall@10']:.3f}" in lines[5]
    assert f"{new['recall@10']:.3f}" in lines[7]


def test_intervals_of_few_questions_are_marked(report):
    marked = [line[:18].strip() for line in table(report).splitlines() if "fewer than 100 questions" in line]
    assert marked == ["search, known item"] * 2


def test_validation_is_not_taken_for_the_test(report):
    assert "validation questions" not in table(report)
    assert "validation questions" in table(report | {"questions": "validation"})
