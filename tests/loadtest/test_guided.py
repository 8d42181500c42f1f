"""The benchmark of what guidance costs: its questions and its table; with real vLLM it runs by `make results`."""

import json
from collections import Counter
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.bundle.bundle import Bundle
from loadtest import guided
from loadtest.measure.errors import LoadtestError
from loadtest.measure.results.tables.engine import cost_of_guidance
from server.core.settings import Settings
from server.engine.protocol import RankRequest
from server.query.types import Query
from server.serving.manager import DeploymentManager
from tests.support.small_shop import NAMES, RecordingEngine, ShopBundle, publish_names


@pytest.fixture
def events(tmp_path: Path) -> Path:
    rows = [
        {"user_id": user, "item_id": NAMES[item], "timestamp": time, "query": query}
        for user, item, time, query in [
            ("ada", 7, 3, None),
            ("ada", 8, 1, "title 8"),
            ("ada", 9, 4, "title 9"),
            ("bob", 4, 2, ""),
        ]
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "events.parquet")
    return tmp_path / "events.parquet"


def test_questions_are_those_of_people_with_what_they_did_before(events: Path) -> None:
    asked = guided.questions_of(events, 10, 0)
    first, then = (NAMES[8], "title 8"), (NAMES[7], None)
    assert [query.kind for query in asked] == ["search", "recommend"], "as many of both"
    searches = [query for seed in range(9) for query in guided.questions_of(events, 10, seed) if query.kind == "search"]
    assert {(query.text, query.history) for query in searches} == {("title 8", ()), ("title 9", (first, then))}
    assert asked[1].history == (first,)
    assert asked[1].text is None


@pytest.fixture
async def answers(tmp_path: Path) -> guided.Answers:
    folder = tmp_path / "bundles"
    folder.mkdir()
    publish_names(folder, "2025-11-20-a")
    settings = Settings(bundles=folder, guidance_timeout_ms=60_000, answer_timeout_seconds=60)
    bundle = ShopBundle()
    bundle.manifest = bundle.manifest.model_copy(update={"guided_width": 12})
    deployments = DeploymentManager(settings, lambda *_: cast(Bundle, bundle), lambda *_: RecordingEngine())
    await deployments.start()
    return guided.Answers(deployments, settings)


async def test_each_way_answers_every_question_in_turns(answers: guided.Answers, tmp_path: Path) -> None:
    queries = [Query(request_id="", kind="search", text=f"title {row}", history=()) for row in range(30)]
    report = await answers.measure(queries, 2, 3)
    engine = cast(RecordingEngine, answers._services["alone"]._router.current.engine)
    counts = Counter(map(kind, engine.requests))
    each = guided.WARM_UP + 18 + 2 * 30
    assert counts == {("alone", 50): each, ("guided", 50): each, ("guided", 12): each}
    for way in guided.WAYS:
        figures = report["ways"][way]
        assert (figures["fresh"]["answers"], figures["cached"]["answers"]) == (6, 12), "who comes first rotates"
        assert len(figures["rates"]) == 2
        assert figures["busy"]["answers"] == 2 * 30
    assert report["agreement"] == 1.0
    assert set(report["ratios"]) == {"guided", "narrow"}
    (tmp_path / "guided.json").write_text(json.dumps(report))
    widths = {"alone": 50, "guided": 50, "narrow": 12}
    table = cost_of_guidance(report | {"widths": widths})
    assert table.count("\n") == 4
    assert "12 beams" in table


def kind(request: RankRequest) -> tuple[str, int]:
    return ("alone" if request.prior is None else "guided"), request.width


async def test_a_machine_that_is_too_busy_is_told(answers: guided.Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    answers._services["guided"]._guidance_seconds = 0.0
    with pytest.raises(LoadtestError, match="too busy"):
        await answers._ask("guided", Query(request_id="", kind="search", text="title 7", history=()))
