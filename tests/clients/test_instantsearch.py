"""The InstantSearch adapter keeps to strict types, and its own tests pass; tests/e2e runs Algolia's widgets on it."""

from tests.support.node_clients import INSTANTSEARCH, TYPESCRIPT, build, npm


def test_its_own_tests_pass() -> None:
    build(TYPESCRIPT)
    npm(INSTANTSEARCH, "test")
