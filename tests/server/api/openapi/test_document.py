"""The OpenAPI document, which clients are made from."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from server.api.openapi.document import EXAMPLES, text_of
from server.app import create_app
from server.cli.openapi import main
from server.core.settings import Settings
from tests.support.paths import ROOT

COMMITTED = ROOT / "docs" / "openapi.json"
NO_EXAMPLE = {"metrics"}  # text, and described by its own format
OPEN = {"/health/live", "/health/ready", "/metrics", "/version"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """As a server without a bundle tells it."""
    document: dict[str, Any] = create_app(Settings(bundles=Path())).openapi()
    return document


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Path, method and operation, by the operation's id."""
    return {
        operation["operationId"]: (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for part in value.values():
            yield from references(part)
    if isinstance(value, list):
        for part in value:
            yield from references(part)


def success(operation: dict[str, Any]) -> dict[str, Any]:
    found = [response for status, response in operation["responses"].items() if status.startswith("2")]
    assert len(found) == 1
    return dict(found[0])


def test_the_committed_document_is_what_the_server_says(document: dict[str, Any]) -> None:
    assert COMMITTED.read_text(encoding="utf-8") == text_of(document), "docs/openapi.json is old: run `make openapi`"


def test_the_command_writes_it(document: dict[str, Any], tmp_path: Path) -> None:
    assert main([str(tmp_path / "openapi.json")]) == 0
    assert json.loads((tmp_path / "openapi.json").read_text(encoding="utf-8")) == document


def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_it_has_no_loose_ends(document: dict[str, Any]) -> None:
    kinds = document["components"].items()
    known = {f"#/components/{kind}/{name}" for kind, parts in kinds for name in parts}
    assert set(references(document)) <= known
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_an_operations_id_names_a_clients_method(document: dict[str, Any], operations: dict[str, Any]) -> None:
    assert len(operations) == sum(len(item) for item in document["paths"].values())
    assert [name for name in operations if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)] == []


def test_every_operation_says_what_it_does_and_belongs_somewhere(
    document: dict[str, Any], operations: dict[str, Any]
) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for name, (_, _, operation) in operations.items():
        assert operation["description"].endswith("."), name
        assert len(operation["tags"]) == 1, name
        assert set(operation["tags"]) <= tags, name
    assert all(tag["description"] for tag in document["tags"])


def test_every_operation_says_which_key_it_needs(operations: dict[str, Any]) -> None:
    for name, (path, _, operation) in operations.items():
        if path in OPEN:
            assert "security" not in operation, name
        else:
            ways = [next(iter(way.items())) for way in operation["security"]]
            assert [way for way, _ in ways] == ["key", "key_header"], name
            assert ways[0][1] == ways[1][1], name
            assert {"401", "403", "429", "500"} <= set(operation["responses"]), name


def test_every_problem_is_documented_as_one(operations: dict[str, Any]) -> None:
    for name, (path, method, operation) in operations.items():
        for status, response in operation["responses"].items():
            assert "X-Request-ID" in response["headers"], name
            if not status.startswith("2"):
                assert set(response["content"]) == {"application/problem+json"}, (name, status)
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ProblemBody"}, (name, status)
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= set(operation["responses"]), name
        if "{" in path or operation.get("parameters") or "requestBody" in operation:
            assert "422" in operation["responses"], name
        assert method in {"get", "post", "put", "patch", "delete"}


def test_every_answer_has_a_schema(operations: dict[str, Any]) -> None:
    for name, (_, _, operation) in operations.items():
        if name not in NO_EXAMPLE:
            assert all(content["schema"] for content in success(operation)["content"].values()), name


def examples(operations: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """What it is an example of, the example, and its schema."""
    for name, (_, _, operation) in operations.items():
        for parameter in operation.get("parameters", []):
            if "example" in parameter:
                yield f"{name}: {parameter['name']}", parameter["example"], parameter["schema"]
        for place, part in (("body", operation.get("requestBody")), ("answer", success(operation))):
            for content in (part or {}).get("content", {}).values():
                if "example" in content:
                    yield f"{name}: {place}", content["example"], content["schema"]


def test_every_operation_has_examples(operations: dict[str, Any]) -> None:
    shown = {place for place, _, _ in examples(operations)}
    for name, (path, _, operation) in operations.items():
        needed = {f"{name}: {part}" for part in re.findall(r"{(\w+)", path)}
        needed |= {f"{name}: {p['name']}" for p in operation.get("parameters", []) if p["required"]}
        needed |= {f"{name}: answer"} if name not in NO_EXAMPLE else set()
        needed |= {f"{name}: body"} if "requestBody" in operation else set()
        assert needed <= shown, f"say them in server/api/openapi/examples.yaml: {sorted(needed - shown)}"


def test_every_example_fits_its_schema(document: dict[str, Any], operations: dict[str, Any]) -> None:
    wrong = {}
    for place, example, schema in examples(operations):
        validator = Draft202012Validator({**schema, "components": document["components"]})
        if errors := [error.message for error in validator.iter_errors(example)]:
            wrong[place] = errors
    assert wrong == {}


def test_no_example_is_left_over(operations: dict[str, Any]) -> None:
    for name, parts in yaml.safe_load(EXAMPLES.read_text(encoding="utf-8")).items():
        parameters = {p["name"] for p in operations[name][2].get("parameters", [])}
        assert set(parts.get("parameters", {})) <= parameters, name
        assert set(parts) <= {"parameters", "body", "answer"}, name
