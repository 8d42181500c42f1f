"""Reports: the counts add up, and faults are told from what was left out by choice."""

import pyarrow as pa

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
