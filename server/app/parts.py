"""Makes the parts that routes are given of what the lifespan has started."""

from __future__ import annotations

from collections.abc import Callable

from catalog.bundle.disk import remedy
from catalog.suggestions import Screen
from server.analytics.collector import Collector
from server.api.batch import BatchRunner
from server.api.dependencies import Parts
from server.api.event_ingest import EventIngestor
from server.api.health import Health
from server.auth.authorizer import Authorizer
from server.auth.keyring import Keyring
from server.auth.rate_limit import RateLimit, RateLimiter
from server.core.errors import StartupError
from server.core.settings import Settings
from server.query.admission import AdmissionQueue
from server.query.cursor import CursorCodec
from server.query.listing.suggestions import Suggestor
from server.query.service import Service
from server.retrieval.override_reader import OverrideReader
from server.retrieval.synonym_reader import SynonymReader
from server.serving.manager import DeploymentManager, ModelControl
from server.serving.sync.catalog_sync import CatalogSync
from server.serving.sync.override_sync import OverrideSync
from server.serving.sync.synonym_sync import SynonymSync
from server.storage.protocol import AnswerLog, AuditLog, HistoryStore, TokenStore

__all__ = ["make_authorizer", "make_collector", "make_parts"]


def make_parts(
    settings: Settings,
    deployments: DeploymentManager,
    history: HistoryStore,
    *,
    syncs: tuple[CatalogSync, ModelControl, SynonymSync, OverrideSync],
    readers: tuple[SynonymReader, OverrideReader],
    authorizer: Authorizer,
    audit_log: AuditLog,
    collector: Collector | None,
) -> Parts:
    """Raises StartupError where the file of blocked words cannot be read."""
    catalog_sync, model_control, synonym_sync, override_sync = syncs
    synonyms, overrides = readers
    queue = AdmissionQueue(settings.max_concurrency, settings.max_queue)
    queue.describe_in_metrics()
    service = Service(
        deployments.router,
        history,
        queue,
        CursorCodec(settings.cursor_secrets),
        beam_width=settings.beam_width,
        guidance=settings.guidance,
        guidance_seconds=settings.guidance_timeout_ms / 1000,
        max_width=settings.engine.max_width,
        timeout_seconds=settings.answer_timeout_seconds,
        synonyms=synonyms,
        overrides=overrides,
        note=None if collector is None else collector.note,
    )
    return Parts(
        deployments,
        service,
        EventIngestor(deployments.router, history),
        Health(deployments.router, history, model_control),
        authorizer,
        history,
        catalog_sync,
        model_control,
        synonym_sync,
        override_sync,
        BatchRunner(service, settings.batch_concurrency, settings.max_body_bytes),
        audit_log,
        collector,
        Suggestor(deployments.router, _screen(settings)),
        frozenset(settings.cors_origins),
    )


def make_collector(settings: Settings, open_log: Callable[[Settings], AnswerLog]) -> Collector | None:
    """None without analytics. Raises StartupError where their folder cannot be written."""
    if settings.analytics is None:
        return None
    try:
        return Collector(settings.analytics, open_log(settings), days=settings.analytics_days)
    except OSError as error:
        raise StartupError(f"--analytics {settings.analytics}: {error.strerror}; {remedy(error)}") from error


def make_authorizer(keyring: Keyring, tokens: TokenStore | None, settings: Settings) -> Authorizer:
    """tokens: what servers share; None counts at this server alone."""
    default = RateLimit(settings.rate_per_second, settings.rate_burst, settings.concurrency)
    limiter = RateLimiter(default, shared=tokens)
    return Authorizer(keyring, limiter, open_read=settings.open_read, open_admin=settings.open_admin)


def _screen(settings: Settings) -> Screen:
    if settings.suggest_blocked is None:
        return Screen()
    try:
        return Screen.open(settings.suggest_blocked)
    except (OSError, UnicodeDecodeError) as error:
        message = f"--suggest-blocked {settings.suggest_blocked}: {error}; name a text file in UTF-8, one word a line"
        raise StartupError(message) from error
