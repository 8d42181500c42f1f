"""Every request that the client can make, as data: where it goes, whether it may be repeated, how its answer is read.

Nothing here does any I/O. The functions make up the methods of both clients, which take their signatures and
docstrings from here.
"""

from gemserve_client.endpoints.analytics import (
    analytics_experiment,
    analytics_metrics,
    analytics_no_clicks,
    analytics_no_results,
    analytics_queries,
)
from gemserve_client.endpoints.call import Call, Repeat, describe
from gemserve_client.endpoints.catalog import delete_item, item, patch_item, patch_schema, put_item, put_items, schema
from gemserve_client.endpoints.curation import (
    delete_override,
    delete_synonyms,
    override,
    overrides,
    put_override,
    put_synonyms,
    synonym_set,
    synonyms,
)
from gemserve_client.endpoints.events import events, joined
from gemserve_client.endpoints.keys import audit, create_key, keys, revoke_key
from gemserve_client.endpoints.models import activate, clear_traffic, fleet, model, models, roll_back, set_traffic
from gemserve_client.endpoints.questions import (
    ask,
    bought_together,
    browse,
    following,
    latest,
    popular,
    recommend,
    rerank,
    search,
    similar,
    similar_to_basket,
    suggest,
    trending,
)
from gemserve_client.endpoints.status import ready, version
from gemserve_client.endpoints.users import erase, history, merge

__all__ = [
    "Call",
    "Repeat",
    "activate",
    "analytics_experiment",
    "analytics_metrics",
    "analytics_no_clicks",
    "analytics_no_results",
    "analytics_queries",
    "ask",
    "audit",
    "bought_together",
    "browse",
    "clear_traffic",
    "create_key",
    "delete_item",
    "delete_override",
    "delete_synonyms",
    "describe",
    "erase",
    "events",
    "fleet",
    "following",
    "history",
    "item",
    "joined",
    "keys",
    "latest",
    "merge",
    "model",
    "models",
    "override",
    "overrides",
    "patch_item",
    "patch_schema",
    "popular",
    "put_item",
    "put_items",
    "put_override",
    "put_synonyms",
    "ready",
    "recommend",
    "rerank",
    "revoke_key",
    "roll_back",
    "schema",
    "search",
    "set_traffic",
    "similar",
    "similar_to_basket",
    "suggest",
    "synonym_set",
    "synonyms",
    "trending",
    "version",
]
