"""What a shop sets by hand: synonyms and overrides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gemserve_client import responses
from gemserve_client.endpoints.call import Call, given, quoted, reading
from gemserve_client.values.plain import plain, plain_list, plain_record

__all__ = [
    "delete_override",
    "delete_synonyms",
    "override",
    "overrides",
    "put_override",
    "put_synonyms",
    "synonym_set",
    "synonyms",
]


def put_synonyms(
    set_id: str | int, synonyms: Iterable[str], *, root: str | None = None
) -> Call[responses.SynonymsWritten]:
    """Has searches read words and phrases as each other, or only `root` as the others, in every server."""
    body: dict[str, Any] = {"synonyms": plain_list(synonyms, "synonyms", plain)}
    if root is not None:
        body["root"] = plain(root, "root")
    path = f"/synonyms/{quoted(set_id, 'set_id')}"
    return Call("PUT", path, reading(responses.SynonymsWritten), body=body)


def synonyms(
    *, limit: int | None = None, cursor: str | None = None, q: str | None = None
) -> Call[responses.SynonymsPage]:
    """The sets of synonyms by their ids; `cursor`: `next_cursor` of the page before. `q`: only those that have these
    letters in their id or in what they are about."""
    query = given(limit=limit, cursor=cursor, q=q)
    return Call("GET", "/synonyms", reading(responses.SynonymsPage), query)


def synonym_set(set_id: str | int) -> Call[responses.SynonymSet]:
    """One set of synonyms."""
    return Call("GET", f"/synonyms/{quoted(set_id, 'set_id')}", reading(responses.SynonymSet))


def delete_synonyms(set_id: str | int) -> Call[responses.SynonymsDeleted]:
    """Takes a set of synonyms away. Raises NotFound also where a first attempt did it and its answer got lost."""
    return Call("DELETE", f"/synonyms/{quoted(set_id, 'set_id')}", reading(responses.SynonymsDeleted))


def put_override(override_id: str | int, override: Mapping[str, Any]) -> Call[responses.OverrideWritten]:
    """Pins, hides, filters or boosts items in the answers to queries that meet a rule, in every server.

    override: `rule`, and of `includes`, `excludes`, `filter_by`, `boost`, `replace_query`, `remove_matched_tokens`,
    `stop_processing`, `priority`, `starts_at`, `ends_at` what is wanted, as in
    {"rule": {"query": "tent"}, "includes": [{"id": "CAM-0011", "position": 1}]}.
    """
    path = f"/overrides/{quoted(override_id, 'override_id')}"
    return Call("PUT", path, reading(responses.OverrideWritten), body=plain_record(override, "override"))


def overrides(
    *, limit: int | None = None, cursor: str | None = None, q: str | None = None
) -> Call[responses.OverridesPage]:
    """The overrides by their ids; `cursor`: `next_cursor` of the page before. `q`: only those that have these
    letters in their id or in what they are about."""
    query = given(limit=limit, cursor=cursor, q=q)
    return Call("GET", "/overrides", reading(responses.OverridesPage), query)


def override(override_id: str | int) -> Call[responses.Override]:
    """One override."""
    return Call("GET", f"/overrides/{quoted(override_id, 'override_id')}", reading(responses.Override))


def delete_override(override_id: str | int) -> Call[responses.OverrideDeleted]:
    """Takes an override away. Raises NotFound also where a first attempt did it and its answer got lost."""
    return Call("DELETE", f"/overrides/{quoted(override_id, 'override_id')}", reading(responses.OverrideDeleted))
