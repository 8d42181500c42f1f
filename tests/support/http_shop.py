"""A client of the application, with shorthands for what most tests do."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx


@dataclass
class Shop:
    client: httpx.AsyncClient

    async def get(self, path: str, **parameters: object) -> httpx.Response:
        return await self.client.get(path, params=parameters or None)

    async def ids(self, path: str, **parameters: object) -> list[str]:
        response = await self.get(path, **parameters)
        assert response.status_code == 200, response.text
        return [item["id"] for item in response.json()["items"]]

    async def post(self, body: object, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.client.post("/events", json=body, headers=headers)

    async def saw(self, user: str, *items: str) -> None:
        start = 1_700_000_000_000
        events = [
            {"user_id": user, "type": "view", "item_id": item, "timestamp": start + i} for i, item in enumerate(items)
        ]
        assert (await self.post(events)).status_code == 202
