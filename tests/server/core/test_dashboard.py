"""The dashboard asks for what a server has: every metric and every label of its queries is at /metrics."""

import json
import re
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from server.app import create_app
from server.core import metrics
from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from server.storage.managed_redis import managed_redis
from tests.support.http_shop import Shop
from tests.support.paths import ROOT

pytestmark = pytest.mark.integration

DASHBOARD = json.loads((ROOT / "docs/grafana/gemserve.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]

MATCHERS = re.compile(r"\{([^{}]*)\}")
GROUPING = re.compile(r"\b(?:by|without)\s*\(([^()]*)\)")
NAME = re.compile(r"[a-zA-Z_:][\w:]*")
METRIC = re.compile(rf"({NAME.pattern})(?!\s*\(|[\w:])")


def asked(query: str) -> tuple[set[str], set[str]]:
    """The metrics of a PromQL expression, and the labels that it names."""
    bare = re.sub(r'"[^"]*"', '""', query)
    labels = {name for group in GROUPING.findall(bare) for name in NAME.findall(group)}
    labels |= {matcher[1] for group in MATCHERS.findall(bare) for matcher in re.finditer(r"(\w+)\s*[=!]~?", group)}
    bare = re.sub(r"\[[^\]]*\]", "", GROUPING.sub("", MATCHERS.sub("", bare)))
    return {name for name in METRIC.findall(bare) if not name[0].isdigit()}, labels


@pytest.fixture
async def samples(settings: Settings, deployments: DeploymentManager, tmp_path: Path) -> dict[str, set[str]]:
    """By name, the labels of what /metrics has once everything has happened."""
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(ExitStack())
        url = redis.enter_context(managed_redis(tmp_path / "redis"))
        app = create_app(settings.model_copy(update={"redis": url}), deploy=lambda _: deployments)
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app=app)
        shop = Shop(await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://shop")))
        await shop.saw("ada", "item-9")
        await shop.post({"user_id": "ada", "item_id": "nothing"})  # without a type
        await shop.get("/search", q="tent", user="ada")
        await shop.get("/search", q="")
        redis.close()
        assert (await shop.get("/recommend", user="ada")).json()["degraded"]
        assert (
            await shop.client.post(f"/admin/models/{deployments.router.current.version}/activate")
        ).status_code == 200
        text = (await shop.get("/metrics")).text
    return {
        sample.name: set(sample.labels) for family in text_string_to_metric_families(text) for sample in family.samples
    }


async def test_every_query_names_metrics_and_labels_that_a_server_has(samples: dict[str, set[str]]) -> None:
    for query in QUERIES:
        metrics, labels = asked(query)
        assert metrics, query
        for metric in metrics:
            assert metric in samples, f"{metric} of {query!r} is not at /metrics"
            assert labels <= samples[metric], f"{metric} has the labels {samples[metric]}, {query!r} names {labels}"


async def test_the_dashboard_shows_every_metric_of_ours(samples: dict[str, set[str]]) -> None:
    declared = {getattr(metrics, name) for name in metrics.__all__ if name.isupper()}
    names = {metric.describe()[0].name for metric in declared}
    shown = {re.sub(r"_(bucket|count|total)$", "", metric) for query in QUERIES for metric in asked(query)[0]}
    assert names == {name for name in shown if name.startswith("gemserve_")}
    emitted = {re.sub(r"_(bucket|sum|count|created|total)$", "", name) for name in samples}
    assert names <= emitted


def test_the_parser_of_this_test_reads_promql() -> None:
    query = 'histogram_quantile(0.95, sum by (le, route) (rate(a_bucket{b!~"x{y}|z", c="d"}[$__rate_interval]))) / 2'
    assert asked(query) == ({"a_bucket"}, {"le", "route", "b", "c"})


def test_the_dashboard_is_one_that_grafana_10_reads() -> None:
    assert DASHBOARD["schemaVersion"] >= 38
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in DASHBOARD["panels"]:
        assert panel["type"] in {"row", "timeseries", "table"}
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        for target in panel.get("targets", []):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= asked(target["expr"])[1] | {"instance"}


def test_the_monitoring_containers_are_given_files_that_exist() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for name in ("prometheus", "grafana"):
        assert services[name]["profiles"] == ["monitoring"]
        files = [mount.split(":")[0] for mount in services[name]["volumes"] if mount.startswith("./")]
        assert files
        assert all((ROOT / file).exists() for file in files)
    scraped = yaml.safe_load((ROOT / "docs/prometheus.yml").read_text())["scrape_configs"][0]
    assert scraped["static_configs"][0]["targets"] == ["server:8000"]
