"""What POST /v1/rerank takes and answers: the names are those of Cohere's, Jina's and vLLM's endpoint."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from server.api.schemas.queries.bounded_lists import at_most
from server.api.schemas.queries.parameters import HistorySession, HistoryUser
from server.api.schemas.requests import RequestModel
from server.api.schemas.types import Identifier, QueryText, WholeNumber
from server.query.listing.rerank import Document, Reranked, RerankResult
from server.query.types import Query

__all__ = ["RerankAnswerBody", "RerankBody", "rerank_body"]

MAX_DOCUMENTS = 1_000
DOCUMENT_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "description": "a text, the id of an item, or its exact title"},
        {"type": "integer", "description": "the id of an item"},
        {
            "type": "object",
            "properties": {
                "id": {"type": ["string", "integer"], "description": "of an item"},
                "text": {"type": "string", "description": "what is read where no item has the id, or there is none"},
            },
            "additionalProperties": False,
        },
    ]
}


def document_of(value: object) -> object:
    if isinstance(value, str):
        return {"text": value}
    return {"id": value} if isinstance(value, int | float) else value


class DocumentBody(RequestModel):
    """One document, as an object."""

    id: Identifier | None = None
    text: str | None = None

    @model_validator(mode="after")
    def _is_something(self) -> DocumentBody:
        if self.id is None and self.text is None:
            raise PydanticCustomError("empty_document", "has neither an id nor a text: give it one of them, or both")
        return self


class RerankBody(RequestModel):
    """What is asked of documents."""

    query: Annotated[QueryText, Field(description="what they shall fit")]
    documents: Annotated[
        list[Annotated[DocumentBody, BeforeValidator(document_of), WithJsonSchema(DOCUMENT_SCHEMA)]],
        Field(
            min_length=1,
            max_length=MAX_DOCUMENTS,
            description="what is put in order: ids or exact titles of items, which the model scores, and any other"
            " texts, which are scored by their words; of a text the first 2,000 characters are read",
        ),
        at_most(MAX_DOCUMENTS),
    ]
    top_n: Annotated[
        WholeNumber | None, Field(ge=0, description="how many results, the most relevant; all where it is 0 or absent")
    ] = None
    return_documents: Annotated[bool, Field(description="repeat each document in its result")] = True
    user: HistoryUser = None
    session: HistorySession = None
    timeout_ms: Annotated[
        WholeNumber | None, Field(ge=1, description="longest wait; then 504, or 503 at once where it cannot be met")
    ] = None
    model: Annotated[
        str | None,
        Field(max_length=256, description="for clients that have to name one: not read, `model` of the answer says"),
    ] = None
    max_tokens_per_doc: Annotated[WholeNumber | None, Field(ge=1, description="for clients that send it: not read")] = (
        None
    )

    def to_query(self, request_id: str) -> Query:
        return Query(
            request_id=request_id,
            kind="rerank",
            text=self.query,
            user=self.user,
            session=self.session,
            exclude_seen=frozenset(),
            correct=True,
            understand=True,
            prefix=False,
            timeout_ms=self.timeout_ms,
        )

    def to_documents(self) -> list[Document]:
        return [Document(one.text, one.id) for one in self.documents]


class ResultDocumentBody(BaseModel):
    text: str = Field(
        description="as it was sent; of an item that was named by its `id` alone, its title, and of none that id"
    )


class RerankedBody(BaseModel):
    index: int = Field(description="of the document among those that were sent, from 0")
    relevance_score: float = Field(
        ge=0,
        le=1,
        description="how likely it is what the query wants, whatever other documents there are; see `calibrated`",
    )
    item_id: str | None = Field(description="of the item that it names; null where it is scored by its words")
    document: ResultDocumentBody | None = Field(None, description="where `return_documents` asks for it")


class UsageBody(BaseModel):
    prompt_tokens: int = Field(description="that the model has read; 0 where no document names an item")
    total_tokens: int = Field(description="the same")


class RerankAnswerBody(BaseModel):
    id: str = Field(description="of the request, as events name it in `request_id`")
    results: list[RerankedBody] = Field(description="the most relevant first; of equals the one that was sent first")
    usage: UsageBody
    unknown: list[int] = Field(
        description="indexes of the documents with an `id` that no item has, and without a text: they come last, with 0"
    )
    corrected_query: str | None = Field(description="what the model read, if not what was sent")
    calibrated: bool = Field(
        description="whether scores are probabilities, as people chose in the bundle's validation questions; false: the"
        " bundle has not learned it, and they say the order only"
    )
    model: str = Field(description="version of the bundle that answered")
    catalog_version: int = Field(description="of that bundle's items: 0 as published, one more after every change")
    took_ms: float
    degraded: bool = Field(
        description="true: something was not used that should have been: the user's history could not be read, or what"
        " words and people say took too long or lacks the newest events"
    )


def rerank_body(request_id: str, asked: RerankBody, result: RerankResult, seconds: float) -> dict[str, Any]:
    """The shape of RerankAnswerBody. seconds: how long it took."""
    scored, tokens = result.scored, result.scored.prompt_tokens
    return {
        "id": request_id,
        "results": [_reranked_body(one, asked) for one in scored.documents[: asked.top_n or None]],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "unknown": scored.unknown,
        "corrected_query": result.corrected_query,
        "calibrated": scored.calibrated,
        "model": result.model,
        "catalog_version": result.catalog_version,
        "took_ms": round(seconds * 1000, 2),
        "degraded": result.degraded,
    }


def _reranked_body(one: Reranked, asked: RerankBody) -> dict[str, Any]:
    body: dict[str, Any] = {
        "index": one.index,
        "relevance_score": round(one.relevance, 6),
        "item_id": one.item_id,
    }
    if asked.return_documents:
        sent = asked.documents[one.index]
        body["document"] = {"text": next(text for text in (sent.text, one.title, sent.id) if text is not None)}
    return body
