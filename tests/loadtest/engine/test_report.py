import pytest

from loadtest.engine.agreement import compare
from loadtest.engine.report import rows_of, speedups, throughput_gain
from loadtest.engine.round_robin import Cell

SECONDS = {
    Cell("vllm", 50, 8, "fresh"): [2.0, 4.0, 3.0],
    Cell("ours", 50, 8, "fresh"): [0.1, 0.3, 0.2],
    Cell("ours", 50, 1, "fresh"): [0.02],
    Cell("ours", 50, 1, "cached"): [0.01],
    Cell("transformers", 50, 1, "fresh"): [1.0],
    Cell("vllm", 50, 1, "cached"): [0.5],
    Cell("vllm", 128, 1, "fresh"): [1.0],
}


@pytest.fixture
def rows():
    return rows_of(SECONDS, {Cell("ours", 50, 8, "fresh"): 100.0}, 300)


def test_a_row_has_the_median_and_the_slowest_of_its_samples(rows):
    (row,) = (row for row in rows if (row.engine, row.concurrency) == ("vllm", 8))
    assert (row.p50_ms, row.samples, row.prompt) == (3000.0, 3, 300)
    assert 3900 < row.p99_ms <= 4000
    assert row.requests_per_s == pytest.approx(8 * 3 / 9)


def test_a_closed_loop_tells_the_rate_where_there_was_one(rows):
    rates = {(row.engine, row.concurrency, row.mode): row.requests_per_s for row in rows if row.beam == 50}
    assert rates["ours", 8, "fresh"] == 100.0
    assert rates["ours", 1, "fresh"] == pytest.approx(50.0)


def test_throughput_is_compared_between_one_at_a_time_and_the_most():
    rates = {
        Cell("ours", beam, n, mode): beam * n if mode == "fresh" else 7.0
        for beam in (10, 50)
        for n in (1, 8, 32)
        for mode in ("fresh", "cached")
    }
    assert throughput_gain(rates) == {"10": 32, "50": 32}
    assert throughput_gain({Cell("ours", 10, 8, "fresh"): 3.0}) == {}


def test_speedups_compare_only_what_both_were_asked(rows):
    assert speedups(rows, "fresh") == {"vllm": {"50@8": pytest.approx(15)}, "transformers": {"50@1": pytest.approx(50)}}
    assert speedups(rows, "cached") == {"vllm": {"50@1": pytest.approx(50)}}


def test_agreement_is_about_the_first_and_about_all():
    found = compare([[1, 2, 3], [4, 5, 6]], [[1, 3, 9], [5, 4, 6]])
    assert found["top1"] == 0.5
    assert found["overlap_at_k"] == pytest.approx((2 / 3 + 1) / 2)
    assert (found["k"], found["prompts"]) == (3, 2)
