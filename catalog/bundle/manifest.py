"""manifest.json: what a bundle is, what it was trained on, and the SHA-256 of every file and of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog.bundle.disk import remedy
from catalog.errors import BundleError

__all__ = ["MANIFEST", "SCHEMA", "Manifest", "events_names", "parse_manifest", "read_manifest", "sha256_of"]

SCHEMA = 1
MANIFEST = "manifest.json"


def events_names(number: int) -> list[str]:
    """Under which names a manifest's `data` has so many files of events: `events`, `events_2`, `events_3`, …"""
    return ["events", *(f"events_{place}" for place in range(2, number + 1))][:number]


class Manifest(BaseModel):
    """The content of manifest.json. Unknown keys are errors.

    created: ISO 8601, UTC.
    normalize: what the probabilities of a level sum to one over, as the model was trained: the codes of the level, or
        the children of the prefix. Bundles from before there was a choice do not say it.
    guided_width: how many beams a guided search for ten items needs, as its report says; None where nobody knows.
    settings: the recipe with which it was trained.
    data: the file names, SHA-256 and row counts of the training data.
    warm_start: the version of the bundle from which training went on.
    files: the SHA-256 of every file, by its path inside the bundle.
    seal: the SHA-256 of all other fields; None in bundles that were published before there were seals.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    schema_version: int = SCHEMA
    version: str
    created: str
    engine: Literal["vllm", "transformers"]
    method: str
    base_model: str
    identifiers: Literal["semantic", "atomic"]
    code_sizes: tuple[int, ...]
    normalize: Literal["codes", "children"] = "codes"
    prompt_version: int
    items: int
    settings: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    guided_width: int | None = Field(None, ge=1)
    warm_start: str | None = None
    code_commit: str | None = None
    files: dict[str, str] = Field(default_factory=dict)
    seal: str | None = None

    @property
    def events_sha256(self) -> frozenset[str]:
        """Of the files of events that the model was trained on."""
        files = [self.data[name] for name in events_names(len(self.data)) if name in self.data]
        return frozenset(file["sha256"] for file in files if "sha256" in file)

    def sealed(self) -> Manifest:
        """The same manifest with its seal."""
        return self.model_copy(update={"seal": _seal_of(self.model_dump(mode="json"))})


def read_manifest(file: Path, *, verify: bool) -> Manifest:
    """Read a manifest.

    verify: compare it with its seal.
    Raises BundleError that says what is wrong with it and what to do.
    """
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{file} does not exist: {file.parent} is not a bundle") from None
    except OSError as error:
        raise BundleError(f"{file} cannot be read ({error.strerror}): {remedy(error)}") from error
    return parse_manifest(text, str(file), verify=verify)


def parse_manifest(text: bytes, file: str, *, verify: bool) -> Manifest:
    """Read a manifest's text. file: where it is from, for errors, which are those of `read_manifest`."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise BundleError(f"{file} is not valid JSON ({error}): it is damaged; restore it or publish again") from error
    if not isinstance(values, dict) or values.get("schema_version") != SCHEMA:
        found = values.get("schema_version") if isinstance(values, dict) else None
        newer = isinstance(found, int) and found > SCHEMA
        raise BundleError(
            f"{file} has schema {found}, this version reads {SCHEMA}: "
            + ("serve it with newer code, or publish again with this" if newer else "publish it again with this code")
        )
    try:
        manifest = Manifest.model_validate(values)
    except ValidationError as error:
        raise BundleError(f"{file} is not a valid manifest: {error}") from error
    if verify and manifest.seal not in (None, _seal_of(values)):
        raise BundleError(f"{file} does not match its own seal: it is damaged; restore it or publish again")
    return manifest


def _seal_of(values: Mapping[str, Any]) -> str:
    """The seal of a manifest as its file has it, so that fields which later code adds do not break older seals."""
    content = {name: value for name, value in values.items() if name != "seal"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
