"""A pilot shop served by vLLM as a user without a home, with one temporary folder for all that it writes."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support import pilot
from tests.support.another_user import OTHER, as_root, by_another, environment_of_another, open_folder
from tests.support.paths import ROOT
from tests.support.server_process import PATIENT, ServerProcess
from tests.support.vllm_server import OPTIONS
from trainer.config.recipe import load_recipe
from trainer.pipeline import run

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.large, as_root]

ITEMS = pilot.titles(20)
IDS = {item["item_id"] for item in ITEMS}


@pytest.fixture(scope="module")
def temporary() -> Iterator[Path]:
    with open_folder(0o1777) as folder:
        yield folder


@pytest.fixture(scope="module")
def server(temporary: Path) -> Iterator[ServerProcess]:
    with open_folder() as folder:
        files = pilot.write(folder, ITEMS, pilot.views(ITEMS, 3, 4, searches=True))
        run(*files, folder / "bundles", load_recipe("demo", pilot.STEPS), resume=False)
        flags = ("--bundles", folder / "bundles", "--managed-redis", temporary / "redis", *OPTIONS, *PATIENT)
        process = ServerProcess(*flags, user=by_another(), environment=environment_of_another(temporary))
        yield process
        assert process.stop() == 0


def test_every_process_of_the_server_is_the_other_users(server: ServerProcess) -> None:
    process = psutil.Process(server.pid)
    family = [process, *process.children(recursive=True)]
    assert len(family) >= 3  # the engine and Redis
    assert {each.uids().effective for each in family} == {OTHER}
    assert ROOT.stat().st_uid != OTHER, "the code is meant to be somebody else's"


@pytest.mark.parametrize(
    "path",
    ["/search?q=red%20tent", "/search?q=Tant&user=0", "/recommend?user=0&exclude_seen=false", "/recommend?user=new"],
)
def test_it_finds_every_item_of_twenty(server: ServerProcess, path: str) -> None:
    answer = httpx.get(f"{server.url}{path}", params={**dict(httpx.URL(path).params), "k": "200"}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["degraded"] is False
    assert {item["id"] for item in answer.json()["items"]} == IDS


def test_events_and_changes_of_items_are_kept(server: ServerProcess) -> None:
    event = {"user_id": "new", "item_id": "S003", "type": "view"}
    assert httpx.post(f"{server.url}/events", json=event, timeout=60).status_code == 202
    assert httpx.get(f"{server.url}/users/new/history", timeout=60).json()["total"] == 1
    changed = {"id": "S003", "title": "yellow Canoe"}
    assert httpx.post(f"{server.url}/items", json=[changed], timeout=60).json()["replaced"] == ["S003"]
    found = httpx.get(f"{server.url}/search", params={"q": "yellow canoe", "k": "3"}, timeout=60).json()
    assert found["items"][0]["id"] == "S003"


def test_what_it_writes_lies_in_its_temporary_folder_and_is_its_own(server: ServerProcess, temporary: Path) -> None:
    caches = temporary / f"gemserve-caches-{OTHER}"
    assert caches.stat().st_mode & 0o777 == 0o700
    assert any("gemserve-caches" in line for line in server.lines), server.lines[:20]
    for file in temporary.rglob("*"):
        assert file.lstat().st_uid == OTHER, file
    assert not os.path.lexists("/.cache")
    assert not os.path.lexists("/.config")
    complaints = [line for line in server.lines if "ermission" in line or "read-only" in line.lower()]
    assert complaints == []
