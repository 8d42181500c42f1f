"""The OpenAPI document: what FastAPI knows of the routes, and what holds for all of them. Clients are made from it.
`gemserve openapi` (server/cli/openapi.py) writes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from server.api.schemas.responses import ProblemBody, problems

__all__ = ["describe", "install", "operation_id", "routes_of", "text_of"]

DESCRIPTION = """\
Searches and recommendations by one language model. Requests and answers are JSON; errors are
`application/problem+json` (RFC 9457), whose `code` is stable.

A server with keys wants one: `Authorization: Bearer gsk_…` or `X-API-Key: gsk_…`. Every answer has an `X-Request-ID`:
the request's own where it is short and plain. 429, 503 and 504 say in `Retry-After` how many seconds to wait.
"""
TAGS = {
    "answers": "Items for what somebody typed, did, or looks at.",
    "events": "What users did.",
    "users": "A user's history: to read, to merge, to erase.",
    "items": "The catalog, and changes to it while it serves.",
    "models": "Which model answers whom.",
    "keys": "Who may use the server.",
    "analytics": "What people searched for, clicked and bought.",
    "operations": "Health, metrics and version; no key is needed.",
}
EXAMPLES = Path(__file__).with_name("examples.yaml")
KEY_IN_HEADER = {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "the same key"}
REQUEST_ID = {"description": "names this request in logs", "schema": {"type": "string"}}
RETRY_AFTER = {"description": "seconds to wait", "schema": {"type": "integer"}}
PROBLEM_EXAMPLE = {
    "type": "urn:gemserve:problem:invalid_request",
    "title": "A parameter is missing or not acceptable",
    "status": 422,
    "detail": "k: Input should be less than or equal to 200",
    "code": "invalid_request",
    "request_id": "a120348be9e947a7b4efeff908e64adc",
}


def operation_id(route: APIRoute) -> str:
    """The function's name: a generated client's methods are called so."""
    return route.name


def describe(app: FastAPI, root_path: str | None = None) -> dict[str, Any]:
    """For `app.openapi`. It is made once. root_path: where clients find the server's /, without the slash."""
    if app.openapi_schema is None:
        document = get_openapi(
            title="gemserve",
            version=version("gemserve"),
            summary="One language model for search and recommendation.",
            description=DESCRIPTION,
            routes=app.routes,
            servers=[{"url": root_path or "/"}],
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        )
        _complete(document)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(document: dict[str, Any]) -> None:
    """Adds what every operation has: problems, headers, and the second way to send a key."""
    components = document["components"]
    problem = ProblemBody.model_json_schema() | {"examples": [PROBLEM_EXAMPLE]}
    components["schemas"] = dict(sorted({**components["schemas"], "ProblemBody": problem}.items()))
    components["securitySchemes"]["key_header"] = KEY_IN_HEADER
    components["headers"] = {"X-Request-ID": REQUEST_ID, "Retry-After": RETRY_AFTER}
    used: set[str] = set()
    examples = yaml.safe_load(EXAMPLES.read_text(encoding="utf-8"))
    for operation in _operations(document):
        operation["tags"] = list(dict.fromkeys(operation["tags"]))
        used.update(operation["tags"])
        responses: dict[str, Any] = operation["responses"]
        if security := operation.get("security"):
            operation["security"] = [*security, {"key_header": security[0]["key"]}]
            added = problems(401, 403, 429, 500)
            responses.update({str(status): body for status, body in added.items() if str(status) not in responses})
        operation["responses"] = {status: _with_headers(status, responses[status]) for status in sorted(responses)}
        _exemplify(operation, examples.get(operation["operationId"], {}))
    document["tags"] = [{"name": name, "description": text} for name, text in TAGS.items() if name in used]


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def _with_headers(status: str, response: dict[str, Any]) -> dict[str, Any]:
    for content in response.get("content", {}).values():
        if "$ref" in content["schema"]:
            content["schema"].pop("type", None)  # FastAPI calls every answer a text whose class is not JSON's
    names = ["X-Request-ID", *(["Retry-After"] if status in {"429", "503", "504"} else [])]
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return {**response, "headers": headers | response.get("headers", {})}


def _exemplify(operation: dict[str, Any], examples: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", []):
        if parameter["name"] in examples.get("parameters", {}):
            parameter["example"] = examples["parameters"][parameter["name"]]
    if "body" in examples:
        _set_example(operation["requestBody"], examples["body"])
    if "answer" in examples:
        success = next(status for status in operation["responses"] if status.startswith("2"))
        _set_example(operation["responses"][success], examples["answer"])


def _set_example(place: dict[str, Any], example: object) -> None:
    """The first kind of content is the usual one."""
    content = next(iter(place["content"].values()))
    content["example"] = example


def install(app: FastAPI, root_path: str | None = None) -> None:
    """Makes this the document that /openapi.json answers."""
    app.openapi = partial(describe, app, root_path)  # type: ignore[method-assign]


def routes_of(document: dict[str, Any]) -> list[str]:
    """Every route, as `GET /items/{item_id}`: so keys name those that they open."""
    return sorted(f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods)


def text_of(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
