"""What stands in for a server where a test is about the client alone: answers in a row, pauses that take no time."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from gemserve_client import AsyncClient, Client

Outcome = httpx.Response | Exception
ANSWER = {
    "request_id": "r1",
    "items": [{"id": "A", "title": "Tent", "score": -1.5, "relevance": 1.0, "price": 80.0}],
    "next_cursor": None,
    "model": "m1",
    "catalog_version": 3,
    "took_ms": 1.25,
    "degraded": False,
}


def problem(status: int, code: str, *, headers: dict[str, str] | None = None, **members: Any) -> httpx.Response:
    body = {"type": f"urn:gemserve:problem:{code}", "title": "T", "status": status, "detail": f"because of {code}"}
    body |= {"code": code, "request_id": "r9"} | members
    return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json"} | (headers or {}))


@dataclass
class MockServer:
    """Answers with the outcomes in turn, the last one again and again."""

    outcomes: list[Outcome]
    requests: list[httpx.Request] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        outcome = self.outcomes[min(len(self.requests), len(self.outcomes) - 1)]
        self.requests.append(request)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def client(self, **options: Any) -> Client:
        transport = httpx.MockTransport(self.answer)
        return Client("http://shop/api", sleep=self.pauses.append, random=lambda: 0.5, transport=transport, **options)

    def async_client(self, **options: Any) -> AsyncClient:
        async def sleep(seconds: float) -> None:
            self.pauses.append(seconds)

        transport = httpx.MockTransport(self.answer)
        return AsyncClient("http://shop/api", sleep=sleep, random=lambda: 0.5, transport=transport, **options)


def mock_server(*outcomes: Outcome | dict[str, Any]) -> MockServer:
    return MockServer([httpx.Response(200, json=o) if isinstance(o, dict) else o for o in outcomes])
