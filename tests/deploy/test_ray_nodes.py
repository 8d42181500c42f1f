"""Ray Serve on two nodes, with the files of deploy/ray, an engine without a model and a real Redis."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.balanced import ask_through
from tests.support.ray_cluster import HASTE, HERE, RAY, Node, RayCluster, ray_cluster, why_not
from tests.support.server_process import PATIENT, ServerProcess
from tests.support.small_shop import publish_names
from tests.support.vllm_server import OPTIONS

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.large,  # Ray starts some 20 processes
    pytest.mark.timeout(900),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]
OLD, NEW, NONE = "2025-11-20-a", "2025-11-21-a", "2025-11-30-a"
SECRET = "0123456789abcdef"
QUESTIONS = 300


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    publish_names(folder, OLD, NEW)
    return folder


@pytest.fixture(scope="module")
def cluster(bundles: Path) -> Iterator[RayCluster]:
    patient = {
        flag[2:].replace("-", "_").upper(): value for flag, value in zip(PATIENT[::2], PATIENT[1::2], strict=True)
    }
    settings = {
        "BUNDLES": str(bundles),
        "FLEET": "shop",
        "CURSOR_SECRET": SECRET,
        "REQUIRE_KEYS": "false",
        "OPEN_ADMIN": "true",
        **patient,
    }
    with ray_cluster({f"GEMSERVE_{name}": value for name, value in settings.items()}) as cluster:
        cluster.deploy(OLD)
        wait_until_all_serve(cluster)
        yield cluster


def wait_until_all_serve(cluster: RayCluster) -> None:
    for node in cluster.nodes:
        ready = f"{node.url}/health/ready"
        cluster.until(lambda ready=ready: httpx.get(ready).status_code == 200, ready)  # type: ignore[misc]
    cluster.until(lambda: len(members(cluster)) == 2, "two replicas")


def fleet(cluster: RayCluster) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{cluster.head.url}/admin/fleet", timeout=30).json()
    return found


def members(cluster: RayCluster) -> set[str]:
    """Names of the processes that live."""
    return {member["name"] for member in fleet(cluster)["members"] if member["live"]}


def test_a_version_that_there_is_not_leaves_what_is_served_and_the_replicas(cluster: RayCluster) -> None:
    before = members(cluster)
    cluster.deploy(NONE)
    cluster.until(lambda: (fleet(cluster)["configured"] or {}).get("problem") is not None, "a problem")
    told = fleet(cluster)
    assert (told["current"], told["configured"]["version"]) == (OLD, NONE)
    assert members(cluster) == before


async def test_another_version_is_served_by_the_same_processes_and_no_question_fails(cluster: RayCluster) -> None:
    before = members(cluster)
    changing = asyncio.create_task(asyncio.to_thread(cluster.deploy, NEW))
    asked = 0
    while not changing.done() or fleet(cluster)["current"] != NEW or fleet(cluster)["passing"]:
        counts, _ = await ask_through(cluster.head.url, {}, 200, lambda: None, kill_after=10**9)
        assert counts.failed == []
        asked += counts.by.total()
    await changing
    assert members(cluster) == before
    assert httpx.get(f"{cluster.head.url}/recommend?user=ada").json()["model"] == NEW
    print(f"\nversion: {asked} asked meanwhile, 0 failed")


def test_nobody_says_himself_where_he_calls_from(cluster: RayCluster) -> None:
    """Ray's HAProxy passes on what callers claim, from an address that uvicorn would believe."""
    claim = {"X-Forwarded-For": "203.0.113.7"}
    with httpx.Client(base_url=cluster.head.url, timeout=60, headers=claim) as client:
        for number in range(12):
            changed = client.put(f"/synonyms/seats-{number}", json={"synonyms": ["sofa", "couch"]})
            assert changed.is_success, changed.text
        changes = client.get("/admin/audit").json()["changes"]
    assert {change["address"] for change in changes} == {"127.0.0.1", cluster.head.address}


def test_who_has_no_token_reaches_no_cluster(cluster: RayCluster, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("0" * 64)
    status = (*RAY, "status", "--address", cluster.gcs)
    assert "Active" in cluster.head.run(*status).stdout
    with pytest.raises(RuntimeError, match=r"(?i)auth|token"):
        cluster.head.run(*status, RAY_AUTH_TOKEN_PATH=str(wrong))


def test_it_is_measured_beside_a_server_that_is_asked_directly(cluster: RayCluster, bundles: Path) -> None:
    """No time is asserted: run with -s."""
    redis = ("--redis", f"redis://{HERE}:6379/1")
    flags = ("--bundles", bundles, *redis, "--fleet", "direct", "--cursor-secret", SECRET, *OPTIONS, *PATIENT)
    direct = ServerProcess(*flags, module="tests.support.fake_server", user=("setsid", "sh", "-c", HASTE, "sh"))
    try:
        took: dict[str, list[float]] = {direct.url: [], cluster.head.url: []}
        with httpx.Client(timeout=60) as client:
            for number in range(2 * QUESTIONS):
                for url, times in took.items():
                    began = time.perf_counter()
                    answer = client.get(f"{url}/recommend", params={"user": f"user-{number % 97}", "k": 3})
                    times.append(1_000 * (time.perf_counter() - began))
                    assert answer.status_code == 200
    finally:
        direct.stop()
    medians = [statistics.median(times[QUESTIONS:]) for times in took.values()]
    print(f"\np50 of one client: direct {medians[0]:.1f} ms, Ray Serve {medians[1]:.1f} ms")


async def test_a_killed_node_loses_no_question(cluster: RayCluster) -> None:
    await kill(cluster.nodes[1], cluster.head)


async def test_a_node_that_comes_again_serves_what_the_fleet_does_and_not_what_ray_tells_it(
    cluster: RayCluster,
) -> None:
    """Its configuration names NEW, as it did when OLD was activated."""
    activated = httpx.post(f"{cluster.head.url}/admin/models/{OLD}/activate", timeout=120)
    assert activated.is_success, activated.text
    cluster.start(cluster.nodes[1])
    wait_until_all_serve(cluster)
    told = fleet(cluster)
    assert (told["current"], told["configured"]["version"]) == (OLD, NEW)


async def test_a_killed_head_loses_no_question_either_and_comes_again(cluster: RayCluster) -> None:
    """Ray's own state is in Redis."""
    await kill(cluster.head, cluster.nodes[1])
    cluster.start(cluster.head)
    wait_until_all_serve(cluster)


async def kill(victim: Node, asked: Node) -> None:
    before, after = await ask_through(asked.url, {}, 4_500, victim.kill, kill_after=1_000)
    print(f"\nkilled: {before.by} before, {after.by} after, {len(before.failed + after.failed)} failed")
    assert before.failed == after.failed == []
    assert before.by[victim.address] > 0
    assert after.by[asked.address] >= 3_000
