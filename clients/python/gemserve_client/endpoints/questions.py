"""Questions that items answer, and those about what somebody types."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, ParamSpec

from gemserve_client import responses
from gemserve_client.endpoints.call import Call, given, quoted, reading
from gemserve_client.queries import (
    Basket,
    BoughtTogether,
    Browse,
    Latest,
    Popular,
    Question,
    Recommend,
    Search,
    Similar,
    Trending,
)
from gemserve_client.responses import Answer
from gemserve_client.values.plain import plain, plain_id, plain_list

__all__ = [
    "ask",
    "asking",
    "bought_together",
    "browse",
    "following",
    "latest",
    "popular",
    "recommend",
    "rerank",
    "search",
    "similar",
    "similar_to_basket",
    "suggest",
    "trending",
]

P = ParamSpec("P")


def asking(kind: Callable[P, Question], name: str | None = None) -> Callable[P, Call[Answer]]:
    """A function that takes what a kind of question takes. name: of the function; None for that of the kind."""

    def call(*arguments: P.args, **options: P.kwargs) -> Call[Answer]:
        return ask(kind(*arguments, **options))

    functools.update_wrapper(call, kind)
    call.__name__ = call.__qualname__ = name or call.__name__.lower()
    return call


def ask(question: Question) -> Call[Answer]:
    if isinstance(question, Similar):
        query = {name: value for name, value in question.parameters().items() if name != "item"}
        return Call("GET", f"/items/{quoted(question.item, 'item')}/similar", reading(Answer), query)
    if isinstance(question, BoughtTogether):
        query = {name: value for name, value in question.parameters().items() if name != "item"}
        return Call("GET", f"/items/{quoted(question.item, 'item')}/bought-together", reading(Answer), query)
    if isinstance(question, Popular | Trending | Latest):
        return Call("GET", f"/{question.kind}", reading(Answer), question.parameters())
    if isinstance(question, Basket):
        return Call("POST", "/similar", reading(Answer), body=question.parameters())
    if isinstance(question, Browse):
        return Call("GET", "/items", reading(Answer), question.parameters())
    return Call("POST", f"/{question.kind}", reading(Answer), body=question.parameters())


search = asking(Search)
recommend = asking(Recommend)
similar = asking(Similar)
browse = asking(Browse)
popular = asking(Popular)
trending = asking(Trending)
latest = asking(Latest)
bought_together = asking(BoughtTogether, "bought_together")
similar_to_basket = asking(Basket, "similar_to_basket")


def following(question: Question, answer: Answer) -> Question | None:
    """The question for the next page, if there is one."""
    return None if answer.next_cursor is None else replace(question, cursor=answer.next_cursor)


def suggest(
    q: str = "",
    *,
    k: int | None = None,
    kinds: Iterable[str] | None = None,
    filter: str | None = None,  # noqa: A002 the server's name
) -> Call[responses.Suggestions]:
    """What somebody may want who has begun to type; of nothing typed, what is popular.

    k: of each kind at most. kinds: those of `queries`, `categories` and `items` that are wanted.
    """
    query = given(q=q, k=k, filter=filter)
    if kinds is not None:
        query["kinds"] = ",".join(plain_list(kinds, "kinds", plain))
    return Call("GET", "/suggest", reading(responses.Suggestions), query)


def rerank(
    query: str,
    documents: Iterable[str | int | Mapping[str, Any]],
    *,
    top_n: int | None = None,
    return_documents: bool | None = None,
    user: str | int | None = None,
    session: str | int | None = None,
    timeout_ms: int | None = None,
) -> Call[responses.Reranking]:
    """1 to 1,000 documents in the order in which they fit a query: ids or titles of items, other texts, or mappings
    with an `id`, a `text` or both."""
    body = given(query=query, top_n=top_n, return_documents=return_documents, timeout_ms=timeout_ms)
    body |= {
        name: plain_id(value, name) for name, value in {"user": user, "session": session}.items() if value is not None
    }
    body["documents"] = plain_list(documents, "documents", ordered=True)
    return Call("POST", "/v1/rerank", reading(responses.Reranking), body=body)
