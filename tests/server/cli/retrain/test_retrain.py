"""The retraining command with every step but the HTTP request played: what is run with what, and what comes of it."""

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pytest
from redis import Redis

from catalog.bundle.folder import activate
from catalog.bundle.manifest import MANIFEST, Manifest, events_names, read_manifest, sha256_of
from catalog.bundle.store import BundleStore
from catalog.data.events import EVENTS_SCHEMA, write_events
from catalog.data.tombstones import (
    digest_of,
    read_kept_events,
    tombstone_files,
    tombstones_beside,
    write_tombstones,
)
from server.cli.retrain import lock
from server.cli.retrain.__main__ import main
from server.cli.retrain.steps import run_module
from server.storage.keyspace import KEYS
from tests.server.cli.retrain.conftest import Hold
from tests.support.redis_acl import SECRET, USER, give_rights
from tests.support.redis_server import PassingRedis
from tests.support.small_shop import make_manifest
from trainer.runtime.destination import Destination

pytestmark = pytest.mark.integration

OLD, NEW = "2025-11-20-a", "2025-11-21-a"


def events(*rows: tuple[str, str, int]) -> pa.Table:
    columns = [{"user_id": user, "item_id": item, "timestamp": time, "type": "view"} for user, item, time in rows]
    return pa.Table.from_pylist(columns, EVENTS_SCHEMA.columns)


def publish(bundles: Path, version: str, events: Sequence[Path] = ()) -> None:
    data = {name: {"sha256": sha256_of(file)} for name, file in zip(events_names(len(events)), events, strict=True)}
    manifest: Manifest = make_manifest().model_copy(update={"version": version, "data": data})
    (bundles / version).mkdir(parents=True)
    (bundles / version / "manifest.json").write_text(manifest.model_dump_json())


class Steps:
    """Plays the processes; `statuses` are how those end that shall not end well, by module."""

    def __init__(self, bundles: Path, **statuses: int) -> None:
        self.bundles = bundles
        self.statuses = statuses
        self.commands: list[list[str]] = []
        self.variables: list[dict[str, str]] = []
        self.trained_on: list[tuple[str, str]] = []
        self.tombstones: dict[str, int] = {}
        self.meanwhile: Callable[[], None] = lambda: None
        self.recorded = events(("ada", "item-9", 2_000), ("erased", "item-9", 2_000))

    def __call__(self, command: Sequence[str], variables: Mapping[str, str]) -> int:
        self.commands.append(list(command))
        self.variables.append(dict(variables))
        name = command[0].rpartition(".")[2]
        if self.statuses.get(name, 0) == 0:
            getattr(self, name, lambda _: None)(command[1:])
        return self.statuses.get(name, 0)

    def export_events(self, arguments: Sequence[str]) -> None:
        out = Path(arguments[arguments.index("--out") + 1])
        write_events(self.recorded, out)
        write_tombstones(self.tombstones, tombstones_beside(out))

    def export_items(self, arguments: Sequence[str]) -> None:
        Path(arguments[arguments.index("--out") + 1]).write_bytes(b"items")

    def run(self, arguments: Sequence[str]) -> None:
        self.meanwhile()
        files = [Path(word) for flag, word in pairwise(arguments) if flag == "--events"]
        kept, _ = read_kept_events(files, tombstone_files(files))
        self.trained_on = [(row["user_id"], row["item_id"]) for row in kept.to_pylist()]
        publish(self.bundles, NEW, files)

    @property
    def modules(self) -> list[str]:
        return [command[0] for command in self.commands]


@pytest.fixture(autouse=True)
def redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    monkeypatch.setenv("GEMSERVE_REDIS", redis_url)
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    publish(tmp_path / "bundles", OLD)
    activate(tmp_path / "bundles", OLD)
    return tmp_path / "bundles"


class Rollouts(BaseHTTPRequestHandler):
    """Notes what it is asked to activate in the server's `asked`, and answers its `status`, or not at all with 0. It
    serves `current`."""

    def do_GET(self) -> None:
        assert self.path == "/admin/models"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"current": self.server.current}).encode())  # type: ignore[attr-defined]

    def do_POST(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"]))  # type: ignore[attr-defined]
        if self.server.status == 0:  # type: ignore[attr-defined]
            return
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.end_headers()
        self.wfile.write(json.dumps({"detail": "golden query 3: scores are off"}).encode())

    def log_message(self, *_: object) -> None:
        """Into nowhere."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Rollouts) as server:
        server.asked, server.status, server.current = [], 200, OLD  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def command(bundles: Path, server: ThreadingHTTPServer, *more: str) -> list[str]:
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    return ["--bundles", str(bundles), "--server", address, *more]


def test_a_model_that_is_not_worse_is_activated(bundles: Path, server: ThreadingHTTPServer) -> None:
    steps = Steps(bundles)
    assert main(command(bundles, server, "--key", "gsk_1_2", "training.steps=9"), steps) == 0
    assert steps.modules == [
        "server.cli.export_events",
        "server.cli.export_items",
        "trainer.run",
        "trainer.evaluation.compare",
    ]
    trained, compared = steps.commands[2:]
    assert trained[-4:] == ["--warm-start", str(bundles / OLD), "--no-activate", "training.steps=9"]
    assert compared[1:5] == ["--old", str(bundles / OLD), "--new", str(bundles / NEW)]
    assert trained[trained.index("--events") + 1] == compared[compared.index("--events") + 1], "the same questions"
    assert server.asked == [(f"/admin/models/{NEW}/activate", "Bearer gsk_1_2")]  # type: ignore[attr-defined]


def test_passwords_are_in_no_command_line(
    bundles: Path, server: ThreadingHTTPServer, redis: Redis, redis_url: str
) -> None:
    """With the least rights that an operator gives."""
    give_rights(redis)
    url = redis_url.replace("//", f"//{USER}:{quote(SECRET, safe='')}@")
    steps = Steps(bundles)
    assert main(command(bundles, server, "--redis", url, "--key", "gsk_1_2"), steps) == 0
    assert not [word for line in steps.commands for word in line if f"{USER}:" in word or "gsk_" in word]
    assert steps.variables[0] == steps.variables[1] == {"GEMSERVE_REDIS": url}


def test_a_model_that_may_be_worse_is_left_alone(
    bundles: Path, server: ThreadingHTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(bundles, server), Steps(bundles, compare=3)) == 3
    assert server.asked == []  # type: ignore[attr-defined]
    assert f"{NEW} is published and not activated" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("export_events", "the export of events ended with status 2"),
        ("export_items", "the export of items ended with status 2"),
        ("run", "training ended with status 2"),
        ("compare", "the comparison ended with status 2"),
    ],
)
def test_a_step_that_fails_ends_it(
    bundles: Path, server: ThreadingHTTPServer, capsys: pytest.CaptureFixture[str], module: str, told: str
) -> None:
    assert main(command(bundles, server), Steps(bundles, **{module: 2})) == 2
    assert told in capsys.readouterr().err
    assert server.asked == []  # type: ignore[attr-defined]


def test_a_server_that_refuses_is_quoted(
    bundles: Path, server: ThreadingHTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.status = 409  # type: ignore[attr-defined]
    assert main(command(bundles, server), Steps(bundles)) == 2
    assert "answered 409: golden query 3: scores are off" in capsys.readouterr().err


def test_a_server_that_is_away_is_named(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    away, steps = ["--bundles", str(bundles), "--server", "http://127.0.0.1:9"], Steps(bundles)
    assert main(away, steps) == 2
    assert "http://127.0.0.1:9/admin/models could not be reached" in capsys.readouterr().err
    assert steps.commands == [], "before hours of training"


@pytest.mark.parametrize(("status", "told"), [(0, "did not answer"), (504, "answered 504"), (503, "answered 503")])
def test_an_activation_that_may_go_on_is_not_told_as_one_that_failed(
    bundles: Path, server: ThreadingHTTPServer, capsys: pytest.CaptureFixture[str], status: int, told: str
) -> None:
    server.status = status  # type: ignore[attr-defined]
    assert main(command(bundles, server), Steps(bundles)) == 2
    said = capsys.readouterr().err
    assert f"/admin/models/{NEW}/activate {told}" in said
    assert "it may come into effect yet, as GET /admin/models then shows" in said


def test_the_model_that_is_served_counts_and_not_the_pointer(bundles: Path, server: ThreadingHTTPServer) -> None:
    """A fleet keeps what it serves in Redis, and may have no right to write `current`."""
    server.current = "2025-11-20-b"  # type: ignore[attr-defined]
    publish(bundles, "2025-11-20-b")
    steps = Steps(bundles)
    assert main(command(bundles, server), steps) == 0
    trained, compared = steps.commands[2:]
    assert trained[trained.index("--warm-start") + 1] == str(bundles / "2025-11-20-b")
    assert compared[compared.index("--old") + 1] == str(bundles / "2025-11-20-b")


def test_a_model_that_the_server_took_up_while_it_trained_stays(
    bundles: Path, server: ThreadingHTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    def changes() -> None:
        server.current = "2025-11-20-b"  # type: ignore[attr-defined]

    steps = Steps(bundles)
    steps.meanwhile = changes
    assert main(command(bundles, server), steps) == 2
    assert f"2025-11-20-b was activated meanwhile: {NEW} is published and not activated" in capsys.readouterr().err
    assert server.asked == []  # type: ignore[attr-defined]


def test_bundles_that_are_not_the_server_s_are_told(
    bundles: Path, server: ThreadingHTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.current = "2025-11-20-b"  # type: ignore[attr-defined]
    assert main(command(bundles, server), Steps(bundles)) == 2
    assert "serves 2025-11-20-b, which" in capsys.readouterr().err


def test_older_events_are_trained_on_beside_the_log(bundles: Path, server: ThreadingHTTPServer, tmp_path: Path) -> None:
    files = [tmp_path / "first.parquet", tmp_path / "second.parquet"]
    write_events(events(("ada", "item-1", 1_000), ("bob", "item-3", 1_000)), files[0])
    write_events(events(("bob", "item-4", 1_500)), files[1])
    steps = Steps(bundles)
    assert main(command(bundles, server, "--events", str(files[0]), "--events", str(files[1])), steps) == 0
    assert steps.trained_on == [
        *(("ada", "item-1"), ("ada", "item-9")),
        *(("bob", "item-3"), ("bob", "item-4"), ("erased", "item-9")),
    ]
    trained, compared = steps.commands[2:]
    assert [word for word in trained if word.endswith(".parquet")][1:] == [
        word for word in compared if word.endswith(".parquet")
    ], "the same questions"


def test_users_erased_in_redis_stay_out_of_older_files(
    bundles: Path, server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    older = tmp_path / "older.parquet"
    write_events(events(("ada", "item-1", 1_000), ("erased", "item-2", 1_000)), older)
    steps = Steps(bundles)
    steps.tombstones = {digest_of("erased"): 1_500}
    assert main(command(bundles, server, "--events", str(older)), steps) == 0
    assert steps.trained_on == [("ada", "item-1"), ("ada", "item-9"), ("erased", "item-9")]


def test_users_erased_beside_an_older_file_stay_out_of_all(
    bundles: Path, server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    """As after Redis was put back from a copy of before the erasure, or lost."""
    older, oldest = tmp_path / "older.parquet", tmp_path / "oldest.parquet"
    write_events(events(("ada", "item-1", 1_000)), older)
    write_events(events(("erased", "item-2", 500)), oldest)
    write_tombstones({digest_of("erased"): 3_000}, tombstones_beside(older))
    steps = Steps(bundles)
    assert main(command(bundles, server, "--events", str(oldest), "--events", str(older)), steps) == 0
    assert steps.trained_on == [("ada", "item-1"), ("ada", "item-9")]


def test_items_and_recipe_of_the_operator(bundles: Path, server: ThreadingHTTPServer) -> None:
    steps = Steps(bundles)
    assert main(command(bundles, server, "--items", "mine.parquet", "--recipe", "demo"), steps) == 0
    assert steps.modules == ["server.cli.export_events", "trainer.run", "trainer.evaluation.compare"]
    assert steps.commands[1][1:3] == ["--items", "mine.parquet"]
    assert steps.commands[1][-2:] == ["--recipe", "demo"]


def test_a_method_without_a_bundle_is_told(
    bundles: Path, server: ThreadingHTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = Steps(bundles)
    steps.run = lambda _: publish(bundles, "somebody-elses")  # type: ignore[method-assign]
    assert main(command(bundles, server), steps) == 2
    assert "left no bundle" in capsys.readouterr().err


def test_one_at_a_time_whatever_machine_the_other_is_on(
    bundles: Path, server: ThreadingHTTPServer, hold: Hold, capsys: pytest.CaptureFixture[str]
) -> None:
    other, steps = hold(60), Steps(bundles)
    assert main(command(bundles, server), steps) == 2
    told = capsys.readouterr().err
    assert f"another retraining of this catalog is under way, on {socket.gethostname()} since 2" in told
    assert f"(process {other.pid}). If that machine died, the lock ends within 60 s: try again then" in told
    assert steps.commands == []
    other.communicate()
    assert main(command(bundles, server), steps) == 0


def test_one_that_is_ended_leaves_the_lock_to_the_next(bundles: Path, server: ThreadingHTTPServer) -> None:
    """As a CronJob's deadline or a shutdown ends it, by SIGTERM."""
    steps = Steps(bundles)
    steps.meanwhile = lambda: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        main(command(bundles, server), steps)
    assert ended.value.code == 128 + signal.SIGTERM
    assert main(command(bundles, server), Steps(bundles)) == 0


def test_a_retraining_that_lost_its_lock_activates_nothing(
    bundles: Path, server: ThreadingHTTPServer, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = Steps(bundles)
    steps.meanwhile = lambda: redis.set(KEYS.retraining, "another 7 2026-01-01T00:00:00Z 1")
    assert main(command(bundles, server), steps) == 2
    assert f"lost the lock of this retraining, and another may have begun: {NEW} is" in capsys.readouterr().err
    assert server.asked == []  # type: ignore[attr-defined]
    assert (bundles / NEW / MANIFEST).is_file()


def test_without_redis_nothing_begins_and_nothing_is_activated(
    bundles: Path,
    server: ThreadingHTTPServer,
    passing_redis: PassingRedis,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(lock, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(lock, "PAUSE_SECONDS", 0.05)
    steps = Steps(bundles)
    steps.meanwhile = passing_redis.go
    words = command(bundles, server, "--redis", passing_redis.url)
    assert main(words, steps) == 2
    told = capsys.readouterr().err
    assert "nothing was trained: " in told
    assert "set GEMSERVE_MANAGED_REDIS=FOLDER" in told
    assert steps.commands == []
    passing_redis.come()
    assert main(words, steps) == 2
    assert "another retraining has begun (" in (told := capsys.readouterr().err)
    assert f"{NEW} is published and not activated" in told
    assert server.asked == []  # type: ignore[attr-defined]


def test_a_model_that_was_activated_while_it_trained_stays(
    bundles: Path, server: ThreadingHTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(bundles, "2025-11-20-b")
    steps = Steps(bundles)
    steps.meanwhile = lambda: activate(bundles, "2025-11-20-b")
    assert main(command(bundles, server), steps) == 2
    assert f"2025-11-20-b was activated meanwhile: {NEW} is published and not activated" in capsys.readouterr().err
    assert server.asked == []  # type: ignore[attr-defined]


def test_a_store_is_trained_from_its_copies_and_gets_the_new_bundle(
    bundles: Path, server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store = BundleStore(f"file://{tmp_path}/remote", tmp_path / "other")
    store.push(bundles / OLD)
    store.activate(OLD)
    steps, run = Steps(bundles), Steps.run

    def trains(arguments: Sequence[str]) -> None:
        run(steps, arguments)
        Destination.of(arguments[arguments.index("--out") + 1]).deliver(bundles / NEW, make_current=False)

    steps.run = trains  # type: ignore[method-assign]
    words = command(bundles, server)
    words[words.index(str(bundles))] = store.url
    assert main(words, steps) == 0
    trained, compared = steps.commands[2:]
    assert trained[trained.index("--out") + 1] == store.url
    old, new = (Path(compared[compared.index(flag) + 1]) for flag in ("--old", "--new"))
    assert trained[trained.index("--warm-start") + 1] == str(old)
    assert [read_manifest(path / MANIFEST, verify=True).version for path in (old, new)] == [OLD, NEW]
    assert old.parent == new.parent == tmp_path / "cache" / "gemserve" / "bundles"
    assert server.asked == [(f"/admin/models/{NEW}/activate", None)]  # type: ignore[attr-defined]
    assert store.current() == OLD, "the server moves the pointer"


def test_a_folder_without_a_model(
    tmp_path: Path, server: ThreadingHTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path, server), Steps(tmp_path)) == 2
    assert "publish a bundle first" in capsys.readouterr().err
    assert main(command(tmp_path / "nowhere", server), Steps(tmp_path)) == 2
    assert "nowhere/current does not exist: publish a bundle first" in capsys.readouterr().err


def test_its_steps_are_ours_where_the_working_directory_has_a_module_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "server.py").write_text("raise SystemExit('a program of the operator')")
    monkeypatch.chdir(tmp_path)
    assert run_module(["server.cli.export_events", "--help"], {}) == 0
