"""docs/openapi.json is what a server does: Schemathesis makes requests of all kinds from it, and judges the answers.

Cases are the same in every run. For one operation: `pytest tests/integration/test_schemathesis.py -k search`.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from schemathesis import Case
from schemathesis.config import SchemathesisConfig

from tests.docs.serving import Store, locked_store
from tests.support.paths import ROOT

pytestmark = pytest.mark.integration

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_bytes())
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]
NOT_JUDGED = (
    "positive_data_acceptance",  # ids and queries have rules that a schema does not tell, such as no control characters
    "negative_data_rejection",  # more is understood than is documented: "5" for 5, an id that is a number
)
NO_FAULT = {"expected-statuses": ["2xx", "4xx", "504"]}  # 504: a `timeout_ms` of 1 is too short for any model


@schemathesis.serializer("application/x-ndjson")
def line_of(_: schemathesis.SerializationContext, value: object) -> bytes:
    """A body of one line."""
    return json.dumps(value).encode()


def schema_of(document: dict[str, Any], examples: int, *, quick: bool = False) -> schemathesis.BaseSchema:
    """examples: of every operation, beside those at the bounds of its parameters.

    quick: without the bounds of a batch's line, which has those of all questions (2,500 cases), and without asking
    everything three times more with bad keys, which tests/server/auth does.
    """
    left_out = {"ignored_auth": {"enabled": False}} if quick else {}
    batch = [{"include-path": "/batch", "phases": {"coverage": {"enabled": False}}}] if quick else []
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "generation": {"max-examples": examples, "deterministic": True, "database": "none"},
            "checks": {name: {"enabled": False} for name in NOT_JUDGED} | {"not_a_server_error": NO_FAULT} | left_out,
            "operations": batch,
            # PUT, PATCH and DELETE of an address that ends with /similar are of an item whose id does.
            "phases": {"coverage": {"unexpected-methods": ["trace"]}},
        }
    )
    return schemathesis.openapi.from_dict(document, config=config)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """With a fake engine. Everything else is real."""
    # An answer without a history, because a machine is busy, is documented; but whatever is written must get there.
    patience = ("--redis-write-timeout-ms", "20000", "--log-level", "warning")
    with locked_store(tmp_path_factory.mktemp("store"), *patience) as store:
        yield store
        assert_the_key_is_good(store.url, store.key)


def assert_the_key_is_good(url: str, key: str) -> None:
    """Else what came after its revocation was a row of 401."""
    assert httpx.get(f"{url}/admin/keys", headers=bearer(key)).status_code == 200


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(params=OPERATIONS, ids=lambda operation: f"{operation[1].upper()} {operation[0]}")
def operation(request: pytest.FixtureRequest) -> schemathesis.BaseSchema:
    """The document with one operation, whose cases are made when its test runs: not in every process that collects."""
    request.node._nodeid = request.node.nodeid  # Schemathesis 4.32 looks for it there, and pytest 9.2 keeps it no more
    path, method = request.param
    return schema_of(DOCUMENT | {"paths": {path: {method: DOCUMENT["paths"][path][method]}}}, 10, quick=True)


@schemathesis.pytest.from_fixture("operation").parametrize()
def test_the_document_is_kept(case: Case, store: Store) -> None:
    case.call_and_validate(base_url=store.url, headers=bearer(store.key))
