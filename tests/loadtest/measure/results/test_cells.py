"""Which figures of a column are bold, and how cells are written."""

from loadtest.measure.results.tables.cells import Figure, bold_figures, figure_of, markdown_table, questions_of


def test_the_largest_is_bold_and_whatever_cannot_be_told_from_it() -> None:
    column = [Figure(0.5, 0.45, 0.55), Figure(0.48, 0.43, 0.53), Figure(0.3, 0.25, 0.35), None]
    assert bold_figures(column) == ["**0.500** (0.450–0.550)", "**0.480** (0.430–0.530)", "0.300 (0.250–0.350)", "–"]


def test_figures_of_few_questions_are_never_bold() -> None:
    column = [Figure(0.9, 0.8, 1.0, few=True), Figure(0.3, 0.25, 0.35)]
    assert bold_figures(column) == ["0.900 (0.800–1.000)", "**0.300** (0.250–0.350)"]
    assert bold_figures([Figure(0.9, few=True)]) == ["0.900"]


def test_a_report_says_which_questions_are_few() -> None:
    figures = {"recall@10": 0.5, "questions": 99, "intervals": {"recall@10": [0.4, 0.6]}}
    assert figure_of(figures, "recall@10") == Figure(0.5, 0.4, 0.6, few=True)
    assert figure_of(figures | {"questions": 100}, "recall@10") == Figure(0.5, 0.4, 0.6)
    assert figure_of(figures, "ndcg@10") is None
    assert figure_of(None, "recall@10") is None
    assert questions_of(figures) == "99, few"
    assert questions_of({"questions": 1803}) == "1,803"


def test_a_table_of_markdown() -> None:
    assert markdown_table(["", "a"], [["x", "1"]]) == "| | a |\n|---|---|\n| x | 1 |"
