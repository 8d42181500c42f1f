"""The application over stores in memory, so that a test of HTTP needs no Redis."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from server.app import Stores, create_app
from server.core.settings import Settings
from server.serving.manager import DeploymentManager, ModelControl
from server.serving.sync.traffic_sync import TrafficSync
from server.storage.protocol import EventLog
from tests.support.memory_answers import MemoryAnswers
from tests.support.memory_audit_log import MemoryAuditLog
from tests.support.memory_changes import MemoryChanges
from tests.support.memory_history import MemoryHistory
from tests.support.memory_log import MemoryLog
from tests.support.memory_shared import MemoryOverrides, MemorySynonyms
from tests.support.memory_split import MemorySplit


def without_fleet(deployments: DeploymentManager, _: Settings) -> ModelControl:
    return TrafficSync(deployments, MemorySplit())


def create_memory_app(
    settings: Settings,
    deploy: Callable[[Settings], DeploymentManager],
    *,
    history: MemoryHistory | None = None,
    changes: MemoryChanges | None = None,
    synonyms: MemorySynonyms | None = None,
    overrides: MemoryOverrides | None = None,
    answers: MemoryAnswers | None = None,
    audit_log: MemoryAuditLog | None = None,
    log: EventLog | None = None,
    control: Callable[[DeploymentManager, Settings], ModelControl] = without_fleet,
    **options: Any,
) -> FastAPI:
    """options: further ones of `create_app`."""
    return create_app(
        settings,
        deploy=deploy,
        stores=Stores(
            history=lambda _: MemoryHistory() if history is None else history,
            events=lambda _: MemoryLog() if log is None else log,
            changes=lambda _: MemoryChanges() if changes is None else changes,
            synonyms=lambda _: MemorySynonyms() if synonyms is None else synonyms,
            overrides=lambda _: MemoryOverrides() if overrides is None else overrides,
            answers=lambda _: MemoryAnswers() if answers is None else answers,
            audit=lambda _: MemoryAuditLog() if audit_log is None else audit_log,
        ),
        control=control,
        **options,
    )
