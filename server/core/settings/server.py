"""Every setting of the server: one class, validated here and passed on.

A flag wins over its variable, and a variable over the file's key: `--redis-read-timeout-ms`, then
`GEMSERVE_REDIS_READ_TIMEOUT_MS`, then `redis_read_timeout_ms`. Parts of the engine are nested: `--engine.max-width`,
`GEMSERVE_ENGINE__MAX_WIDTH`, and `max_width` under `engine`. A name that is not here is an error, wherever it stands.

What is missing, empty or misspelt opens nothing: a value without meaning is refused, and a server that other machines
reach has keys, unless the operator says that it needs none.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from catalog.bundle.source import folder_or_url
from catalog.bundle.store import DEFAULT_COPIES
from server.core.settings.addresses import (
    check_origins,
    check_proxies,
    check_redis_url,
    check_root_path,
    is_loopback,
)
from server.core.settings.engine import EngineSettings
from server.core.settings.former_names import current_value
from server.core.settings.storage import StorageSettings
from server.core.settings.variables import NESTED, PREFIX, Variables
from server.core.settings.yaml_file import YamlFile

__all__ = ["MAX_K", "MIN_SECRET_LENGTH", "NO_VALUE", "Settings"]

NO_VALUE = "\0"
"""What would take a value away on the command line. No argument can hold it: `--keys None` names a file."""
STORAGE = StorageSettings()
NAME = r"^[a-z0-9][a-z0-9_-]{0,39}$"  # of a namespace, and of a fleet
MAX_K = 200
"""Items that one request may ask for."""
MIN_SECRET_LENGTH = 16
MIN_SECRET_VARIETY = 6
"""Different characters that a secret has at least: fewer are blanks, or one key held down."""


def split(value: object) -> object:
    """The parts of a flag or variable between commas; a list of a file as it is."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _folder_or_url(value: object) -> object:
    return folder_or_url(value) if isinstance(value, str) and value.strip() else value


def split_secrets(value: object) -> object:
    """As `split`, but nothing between two commas stays a part, to be refused: it was to be a secret."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


Names = Annotated[list[str], NoDecode, BeforeValidator(split)]
Secrets = Annotated[list[SecretStr] | None, NoDecode, BeforeValidator(split_secrets)]


class Settings(BaseSettings):
    """What an operator may choose. A flag wins over GEMSERVE_…, which wins over the file of --config."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=NESTED,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        cli_kebab_case=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        cli_parse_none_str=NO_VALUE,
    )

    config: Path | None = Field(None, description="YAML file of settings, named as here with _ for -")
    bundles: Annotated[Path | str, BeforeValidator(_folder_or_url)] = Field(
        description="folder of published bundles, or s3://, gs://, hf:// or file:// of one; the `current` one is served"
    )
    bundle_cache: Path | None = Field(
        None, description="folder for copies of bundles from a store; as a rule ~/.cache/gemserve/bundles"
    )
    bundle_copies: int = Field(
        DEFAULT_COPIES,
        ge=1,
        description="copies kept there, and those in use; as one is added, those that were not used for longest go",
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on; 0 takes a free one")
    root_path: str | None = Field(
        None, description="prefix under which a reverse proxy has the server, as /gemserve; it may take it off or not"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="info: one line a request")

    redis: str = Field(
        STORAGE.url,
        repr=False,
        description="where histories and events are kept: redis://, rediss://, unix://, or redis+sentinel://,"
        " redis+cluster:// with several hosts",
    )
    namespace: str | None = Field(
        None,
        pattern=NAME,
        description="of the keys in Redis, where several catalogs share one: 1 to 40 of a-z, 0-9, - and _",
    )
    fleet: str | None = Field(
        None,
        pattern=NAME,
        description="of servers on one Redis that change their models together: its name, 1 to 40 of a-z, 0-9, - and _",
    )
    analytics: Path | None = Field(
        None,
        description="folder of what people were answered and clicked, for /analytics; on a disk that all servers share",
    )
    analytics_days: int = Field(400, ge=1, le=3_650, description="days after which that is forgotten")
    suggest_blocked: Path | None = Field(
        None, description="file of words that no suggested query has, one a line, in the place of the usual rude ones"
    )
    redis_buckets: int | None = Field(
        None,
        ge=1,
        le=4_096,
        description="parts that users are divided into, at least some for each shard; left out, what Redis has, or 64",
    )
    managed_redis: Path | None = Field(
        None, description="start a redis-server that keeps its data in this folder, and stop it with the server"
    )
    managed_redis_port: int = Field(0, ge=0, le=65_535, description="port of --managed-redis; 0 takes a free one")
    redis_read_timeout_ms: int = Field(
        STORAGE.read_timeout_ms,
        ge=1,
        description="longest wait for a history, for a free connection too, before answering without it",
    )
    redis_write_timeout_ms: int = Field(
        STORAGE.write_timeout_ms,
        ge=1,
        description="longest wait for events to be written, for a free connection too, before a 503",
    )
    redis_connections: int = Field(
        STORAGE.connections, ge=1, description="most connections to Redis, half of them for reads, half for writes"
    )

    history_length: int = Field(STORAGE.history_length, ge=1, le=10_000, description="events kept in a user's history")
    history_days: int = Field(
        STORAGE.history_days, ge=1, description="a history is forgotten this long after its user's last event"
    )
    event_ids: int = Field(
        STORAGE.event_ids, ge=1, description="event ids remembered for a user, against counting twice"
    )
    event_id_days: int = Field(STORAGE.event_id_days, ge=1, description="how long an event id is remembered")
    event_log_length: int = Field(
        STORAGE.event_log_length, ge=1_000, description="events kept for retraining, about, all users together"
    )

    beam_width: int | None = Field(
        None,
        ge=1,
        description="beam width of a request; k where k is more. Where absent, a guided search has as many beams as its"
        " bundle says that it needs, and others have 50",
    )
    guidance: bool = Field(
        True, description="guide searches by what the catalog knows, where a query says nothing else"
    )
    guidance_timeout_ms: int = Field(
        50, ge=1, description="longest wait for what guides a search, before answering without it"
    )
    engine: EngineSettings = EngineSettings()
    rollout: Literal["surge", "recreate"] = Field(
        "surge",
        description="how another model takes over: surge starts a second engine beside the first; recreate loads it"
        " into the first, which takes less memory and lets requests wait meanwhile",
    )
    open_admin: bool = Field(False, description="without --keys, let everybody administer: for trusted networks only")
    keys: Path | None = Field(None, description="file of API keys, as `gemserve keys create` makes it")
    open_read: bool = Field(False, description="with --keys, let everybody read all the same, as a public page needs")
    require_keys: bool | None = Field(
        None,
        description="whether the server needs --keys to start; where absent, it does unless --host is of this machine",
    )
    rate_per_second: float | None = Field(
        None, gt=0, description="requests a second of one key, or of one address without a key; no limit where absent"
    )
    rate_burst: int | None = Field(
        None, ge=1, description="requests at once before --rate-per-second counts; one second's where absent"
    )
    concurrency: int | None = Field(
        None, ge=1, description="requests under way of one key or address; no limit where absent"
    )
    trusted_proxies: Names = Field(
        [], description="addresses or networks of proxies whose X-Forwarded-For is believed; limits go by the client's"
    )
    cors_origins: Names = Field([], description="origins whose pages may call the server, as https://shop.example")
    answer_timeout_seconds: float = Field(30.0, gt=0, description="longest wait for the engine before a 504")
    max_concurrency: int = Field(32, ge=1, description="queries that are answered at a time; others wait")
    max_queue: int = Field(256, ge=0, description="queries that may wait for their turn; others get a 503")

    otlp_endpoint: str | None = Field(
        None, description="send traces to this OTLP/HTTP collector, such as http://127.0.0.1:4318"
    )
    trace_share: float = Field(1.0, ge=0, le=1, description="share of the requests that are traced")

    cursor_secret: Secrets = Field(
        None,
        description="signs cursors: servers that share requests need the same one; where absent, each makes its own."
        " Several between commas, the newest first: it signs, and cursors of the others are still read",
    )
    batch_concurrency: int = Field(16, ge=1, description="queries of one POST /batch that run at a time")

    connections: int = Field(1_000, ge=1, description="most connections of clients at a time")
    header_timeout: float = Field(10.0, gt=0, description="seconds in which the head of a request must arrive")
    body_timeout: float = Field(60.0, gt=0, description="seconds in which the body of a request must arrive after it")
    send_timeout: float = Field(30.0, gt=0, description="seconds in which a client may take nothing of its answer")
    max_body_bytes: int = Field(2 << 20, ge=1_024, description="largest request body")
    max_batch_bytes: int = Field(16 << 20, ge=1_024, description="largest body of a POST /batch")
    max_import_bytes: int = Field(64 << 20, ge=1_024, description="largest body of a POST /items/import")
    shutdown_delay: float = Field(0.0, ge=0, description="seconds after SIGTERM in which it answers, but is not ready")
    shutdown_seconds: int = Field(20, ge=1, description="seconds it then waits for requests in flight")

    @field_validator("*", mode="before")
    @classmethod
    def _is_not_empty(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, str) and not value.strip() and info.field_name not in {"trusted_proxies", "cors_origins"}:
            raise ValueError("is empty: give it a value, or leave it out")
        return value

    @field_validator("rollout", mode="before")
    @classmethod
    def _has_its_current_word(cls, value: object) -> object:
        return current_value("rollout", value)

    @field_validator("redis")
    @classmethod
    def _is_redis_url(cls, url: str) -> str:
        check_redis_url(url)
        return url

    @field_validator("root_path")
    @classmethod
    def _is_root_path(cls, path: str | None) -> str | None:
        if path is not None:
            check_root_path(path)
        return path

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: list[str]) -> list[str]:
        check_origins(origins)
        return origins

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: list[str]) -> list[str]:
        check_proxies(proxies)
        return proxies

    @field_validator("cursor_secret")
    @classmethod
    def _are_secrets(cls, secrets: list[SecretStr] | None) -> list[SecretStr] | None:
        if secrets is None:
            return None
        if not secrets:
            raise ValueError("is empty: give it a value, or leave it out")
        for number, secret in enumerate((secret.get_secret_value() for secret in secrets), start=1):
            which = f"secret {number} of {len(secrets)} " if len(secrets) > 1 else ""
            advice = "choose one as `openssl rand -hex 32` prints it, and part several with commas"
            if not secret.strip():
                raise ValueError(f"{which}is empty: give it a value, or leave it out")
            if len(secret) < MIN_SECRET_LENGTH:
                raise ValueError(
                    f"{which}has {len(secret)} characters, and needs at least {MIN_SECRET_LENGTH}: {advice}"
                )
            if len(set(secret)) < MIN_SECRET_VARIETY:
                raise ValueError(f"{which}is easily guessed: {advice}")
        return secrets

    @model_validator(mode="after")
    def _is_closed_or_meant_to_be_open(self) -> Self:
        if self.keys is None and self.require_keys:
            raise ValueError("--require-keys needs --keys FILE: `gemserve keys create` makes one")
        if self.keys is None and self.require_keys is None and not is_loopback(self.host):
            raise ValueError(
                f"--host {self.host} is reached from other machines, and there are no keys: name --keys FILE, which"
                " `gemserve keys create` makes, or let everybody read and write with --require-keys false"
            )
        if self.rate_burst is not None and self.rate_per_second is None:
            raise ValueError("--rate-burst limits nothing without --rate-per-second: set both")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.managed_redis is not None and "redis" in self.model_fields_set:
            raise ValueError("--redis and --managed-redis exclude each other: name a Redis, or have one started")
        if self.beam_width is not None and self.beam_width > self.engine.max_width:
            raise ValueError(f"beam_width {self.beam_width} is over engine.max_width {self.engine.max_width}")
        if self.engine.max_width < MAX_K:
            raise ValueError(f"engine.max_width {self.engine.max_width} is under {MAX_K}, which a request may ask for")
        return self

    @model_validator(mode="after")
    def _can_be_one_of_a_fleet(self) -> Self:
        if self.fleet is None:
            return self
        if self.managed_redis is not None:
            raise ValueError("--fleet needs a Redis that all its servers reach: --redis URL instead of --managed-redis")
        if "redis" not in self.model_fields_set:
            raise ValueError("--fleet needs the Redis that all its servers share: name it, --redis URL")
        if self.cursor_secret is None:
            raise ValueError(
                "--fleet needs a secret that all its servers share, or a cursor of one fails at the others: the same"
                " --cursor-secret for each, as `openssl rand -hex 32` prints one"
            )
        if self.rollout != "surge":
            raise ValueError(
                "--fleet needs --rollout surge: users pass from one model to another while both are loaded, and"
                " recreate has one engine"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, Variables(settings_cls), YamlFile(settings_cls)

    @property
    def cursor_secrets(self) -> tuple[str, ...] | None:
        """The secrets of cursors, the newest first; None where the server is to make its own."""
        if self.cursor_secret is None:
            return None
        return tuple(secret.get_secret_value() for secret in self.cursor_secret)

    @property
    def storage(self) -> StorageSettings:
        """What the storage in Redis needs of these settings."""
        return StorageSettings(
            url=self.redis,
            read_timeout_ms=self.redis_read_timeout_ms,
            write_timeout_ms=self.redis_write_timeout_ms,
            connections=self.redis_connections,
            namespace=self.namespace,
            buckets=self.redis_buckets,
            history_length=self.history_length,
            history_days=self.history_days,
            event_ids=self.event_ids,
            event_id_days=self.event_id_days,
            event_log_length=self.event_log_length,
        )
