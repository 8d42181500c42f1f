"""From samples to figures, the verdict, the page; and profiles, which are data."""

from collections import Counter

import pytest

from loadtest.load.html_report import page
from loadtest.load.metrics_check import Mismatch, compare, settle
from loadtest.load.plots import draw
from loadtest.load.process_monitor import ProcessMonitor, ResourceSample
from loadtest.load.summary import Run, summarize
from loadtest.locust.oracle.fault import Fault
from loadtest.locust.profiles import PROFILES, Profile, Stage
from loadtest.locust.results import Results, Sample, Verdict, classify

START = 1_000.0
TWO_STAGES = Profile(stages=(Stage(10, 2, 100), Stage(10, 4, 100)), deadline_ms=100)


def sample(at: float, ms: float, verdict: Verdict = "ok", status: int = 200) -> Sample:
    return Sample(START + at, "GET", "/search", ms, status, verdict == "degraded", verdict)


def used(at: float, **cores: float) -> ResourceSample:
    return ResourceSample(START + at, {"server": 100.0 + at, "engine": 500.0}, cores, sum(cores.values()))


def make_run(samples: list[Sample], profile: Profile = TWO_STAGES, **changes: object) -> Run:
    results = Results()
    for one in samples:
        results.add(one, [Fault("filter", "<b>")] if one.verdict == "wrong" else [], "r-1")
    given = {"usage": [used(at, server=0.2 + at / 20, engine=0.5) for at in range(20)], "mismatches": []} | changes
    return Run(name="test", profile=profile, results=results, started=START, cores=2, **given)


def test_figures_of_an_endpoint():
    rows = summarize(make_run([sample(n / 10, n) for n in range(1, 101)]))["endpoints"]
    assert [row["endpoint"] for row in rows] == ["GET /search", "all"]
    assert rows[0]["requests"] == 100
    assert rows[0]["answers_per_second"] == pytest.approx(100 / 10.1)
    assert (rows[0]["p50_ms"], rows[0]["p95_ms"]) == pytest.approx((50.5, 95.05))


def test_what_was_refused_is_neither_an_answer_nor_a_failure():
    summary = summarize(make_run([sample(1, 5), sample(2, 1, "refused", 503)]))
    assert summary["passed"]
    assert summary["endpoints"][-1]["refused"] == 1
    assert summary["endpoints"][-1]["p99_ms"] == 5
    assert summary["endpoints"][-1]["answers_per_second"] == pytest.approx(1 / 2.001)


@pytest.mark.parametrize(
    ("verdict", "reason"), [("wrong", "1 wrong answers: filter (1)"), ("failed", "1 requests"), ("late", "1 answers")]
)
def test_what_makes_a_run_fail(verdict: Verdict, reason: str):
    summary = summarize(make_run([sample(1, 5), sample(2, 1, verdict)]))
    assert not summary["passed"]
    assert summary["reasons"][0].startswith(reason)


def test_late_answers_do_not_fail_a_profile_that_overloads():
    overload = Profile(stages=(Stage(20, 2),), overloads=True)
    assert summarize(make_run([sample(1, 5), sample(2, 1, "late", 504)], overload))["passed"]


def test_counters_that_differ_errors_and_silence_fail_a_run():
    assert not summarize(make_run([]))["passed"]
    assert not summarize(make_run([sample(1, 5)], mismatches=[Mismatch("/search ok", 1, 2)]))["passed"]
    run = make_run([sample(1, 5)])
    run.results.errors.append("Traceback")
    assert not summarize(run)["passed"]


def test_capacity_is_the_best_stage_within_the_deadline_and_says_what_was_used_up_beyond():
    samples = [sample(n / 10, 50) for n in range(100)] + [sample(10 + n / 20, 500) for n in range(200)]
    summary = summarize(make_run(samples))
    assert [stage["users"] for stage in summary["stages"]] == [2, 4]
    assert summary["capacity"]["users"] == 2
    assert summary["capacity"]["answers_per_second"] == pytest.approx(10, rel=0.05)
    assert summary["capacity"]["saturated"] == ["server"]
    assert summarize(make_run([sample(1, 500)]))["capacity"] is None


@pytest.mark.parametrize(("engine", "word"), [(1.8, "all processors"), (0.1, "all processors, most of it by other")])
def test_a_machine_that_others_keep_busy_is_told_apart(engine: float, word: str):
    usage = [ResourceSample(START + at, {}, {"engine": engine}, 1.9) for at in range(20)]
    saturated = summarize(make_run([sample(n / 10, 50) for n in range(100)], usage=usage))["capacity"]["saturated"]
    assert len(saturated) == 1
    assert saturated[0].startswith(word)


def test_memory_is_told_by_process_with_its_growth():
    memory = summarize(make_run([sample(1, 5)]))["memory"]
    assert memory["server"] == {"first": 100.0, "last": 119.0, "most": 119.0, "mib_per_hour": None}
    memory = summarize(make_run([sample(1, 5)], usage=[used(at) for at in range(200)]))["memory"]
    assert memory["server"]["mib_per_hour"] == pytest.approx(3600)
    assert memory["engine"]["mib_per_hour"] == pytest.approx(0, abs=1e-6)


def test_a_second_engine_that_comes_and_goes_is_no_growth():
    def seen(at: int, drift: float) -> ResourceSample:
        return ResourceSample(START + at, {"engine": 500.0 + drift * at + (400.0 if at % 120 > 90 else 0.0)}, {}, 0.0)

    for drift in (0.0, 0.01):
        memory = summarize(make_run([sample(1, 5)], usage=[seen(at, drift) for at in range(1_000)]))["memory"]
        assert memory["engine"]["mib_per_hour"] == pytest.approx(3600 * drift, abs=2)
        assert memory["engine"]["most"] >= 900


def test_a_page_has_everything_in_it_and_escapes_what_it_quotes():
    run = make_run([sample(1, 5), sample(2, 1, "wrong")])
    summary = summarize(run)
    html = page(summary, draw(run, summary))
    assert html.count("<svg") == 5
    assert "r-1 &lt;b&gt;" in html
    assert "http-equiv" not in html
    assert "src=" not in html


def test_results_survive_their_file():
    results = make_run([sample(1, 5), sample(2, 1, "wrong")]).results
    results.events["accepted"] += 1
    assert Results.from_json(results.to_json()) == results


@pytest.mark.parametrize(
    ("status", "retry_after", "degraded", "faults", "verdict"),
    [
        (200, False, False, False, "ok"),
        (200, False, True, False, "degraded"),
        (200, False, True, True, "wrong"),
        (503, True, False, False, "refused"),
        (429, True, False, False, "refused"),
        (503, False, False, False, "failed"),
        (504, True, False, False, "late"),
        (404, False, False, False, "failed"),
        (0, False, False, False, "failed"),
    ],
)
def test_what_an_answer_counts_as(status, retry_after, degraded, faults, verdict):
    found = classify(status, frozenset({200}), retry_after=retry_after, degraded=degraded, faults=faults)
    assert found == verdict


METRICS = """
# TYPE gemserve_request_seconds histogram
gemserve_request_seconds_count{{outcome="ok",route="/search"}} {ok}.0
gemserve_request_seconds_count{{outcome="failed",route="/search"}} {failed}.0
gemserve_request_seconds_count{{outcome="ok",route="/metrics"}} {ok}.0
gemserve_request_seconds_count{{outcome="ok",route="/items/{{item_id:path}}/similar"}} {ok}.0
# TYPE gemserve_events_total counter
gemserve_events_total{{result="accepted"}} {events}.0
"""


def test_counters_agree_to_the_request():
    before, after = METRICS.format(ok=5, failed=1, events=3), METRICS.format(ok=8, failed=1, events=5)
    asked = ("/search", "/items/{item_id}/similar")
    requests, events = Counter({(route, "ok"): 3 for route in asked}), Counter({"accepted": 2})
    assert compare(before, after, requests, events) == []
    assert compare(before, after, requests + Counter({("/search", "ok"): 1}), events) == [
        Mismatch("/search ok", server=3, client=4)
    ]
    assert compare(before, after, requests, Counter()) == [Mismatch("events accepted", server=2, client=0)]


def test_counters_are_given_a_moment_and_no_more():
    looks = iter([[Mismatch("a", 1, 2)], [Mismatch("a", 1, 2)], []])
    pauses: list[int] = []
    assert settle(lambda: next(looks), lambda: pauses.append(1), 5) == []
    assert len(pauses) == 2
    assert settle(lambda: [Mismatch("a", 1, 2)], lambda: pauses.append(1), 3) == [Mismatch("a", 1, 2)]
    assert len(pauses) == 5


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_are_bounded(name: str):
    profile = PROFILES[name]
    assert profile.seconds <= 1_800
    assert profile.stage_at(0) == 0
    assert profile.stage_at(profile.seconds) is None
    assert [end for _, end in profile.spans()][-1] == profile.seconds
    assert all(stage.users > profile.merchants + profile.swaps for stage in profile.stages)


def test_a_profile_is_scaled():
    scaled = PROFILES["spike"].scaled(2, 12)
    assert scaled.seconds == pytest.approx(12)
    assert [stage.users for stage in scaled.stages] == [2 * stage.users for stage in PROFILES["spike"].stages]


def test_a_process_is_watched():
    import os

    monitor = ProcessMonitor({"server": os.getpid(), "gone": 2**22 + 1})
    monitor.sample()
    sum(range(10**6))
    monitor.sample()
    assert len(monitor.samples) == 1
    assert monitor.samples[0].mib["server"] > 1
    assert "gone" not in monitor.samples[0].mib
