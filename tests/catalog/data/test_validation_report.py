"""Reports: the counts add up, and faults are told from what was left out by choice."""

import pyarrow as pa
import pytest

from catalog.data.validation_report import LINE, ValidationReport


def test_faults_and_omissions_are_counted_apart():
    report = ValidationReport("events", read=10)
    report.count("broken", 2, ["line 1", "line 2"])
    report.count("junk", 3, fault=False)
    report.count("never", 0)
    assert (report.broken, report.dropped, report.kept) == (2, 5, 5)
    assert str(report) == "\n".join(
        [
            "events: 10 read, 5 kept, 5 dropped",
            "  2 × broken",
            "      line 1",
            "      line 2",
            "  3 × junk (left out by choice)",
        ]
    )


def test_dropping_returns_the_other_rows_and_takes_unknown_for_bad():
    report = ValidationReport("events", place="tags.csv line", read=3)
    table = pa.table({"tag": ["x", "y", "z"], LINE: [2, 3, 4]})
    rest = report.drop(table, pa.array([False, True, None]), "odd", show=("tag",))
    assert rest["tag"].to_pylist() == ["x"]
    assert report.faults["odd"].examples == ["tags.csv line 3: tag='y'", "tags.csv line 4: tag='z'"]


def test_examples_are_few_short_and_different():
    report = ValidationReport("items", read=9)
    table = pa.table({"title": ["a" * 100, "a" * 100, "b", "c", "d"]})
    report.drop(table, pa.array([True] * 5), "odd", show=("title",))
    assert len(report.faults["odd"].examples) == 3
    assert len(report.faults["odd"].examples[0]) < 70


def test_merged_reports_add_up():
    one, other = ValidationReport("events", read=5), ValidationReport("events", read=4, notes=["look here"])
    one.count("broken", 1, ["a"])
    other.count("broken", 2, ["b", "c", "d"])
    other.count("junk", 1, fault=False)
    one.merge(other)
    assert (one.read, one.broken, one.dropped, one.kept) == (9, 3, 4, 5)
    assert one.faults["broken"].examples == ["a", "b", "c"]
    assert "note: look here" in str(one)


@pytest.mark.parametrize(
    ("broken", "warns", "fails"), [(1, False, False), (2, True, False), (50, True, False), (51, True, True)]
)
def test_a_loss_is_a_warning_and_most_of_a_file_an_error(broken, warns, fails):
    report = ValidationReport("events", read=100)
    report.count("odd", broken - 1, ["line 1: a"], row=lambda: "{first}")
    report.count("rare", 1, ["line 2: b"])
    report.count("junk", 40, fault=False)
    assert (report.warning is not None, report.error is not None) == (warns, fails)
    if fails:
        assert "51 of 100 events (51.0%)" in report.error
        assert "50 × odd" in report.error
        assert "{first}" in report.error


def test_the_first_row_of_a_reason_is_kept_as_it_stands():
    report = ValidationReport("events", read=3, row_at=lambda line: f"raw {line}")
    report.drop(
        pa.table({"tag": ["x", "y", "z"], LINE: [2, 3, 4]}), pa.array([False, True, True]), "odd", show=("tag",)
    )
    whole = ValidationReport("events")
    whole.merge(report)
    assert whole.error is not None
    assert "raw 3" in whole.error
