"""The fleet on the admin page: its servers, one of which is lost, and nothing where there is none."""

import asyncio

import pytest
from pydantic import SecretStr

from server.core.settings import Settings
from server.storage.shared.fleet import RedisFleet
from server.storage.shared.fleet_state import Member
from tests.e2e.serving import served
from tests.e2e.test_admin import VERSION, opened

pytestmark = pytest.mark.integration


async def leave_a_trace(settings: Settings) -> None:
    """Of a server that came for a millisecond."""
    assert settings.fleet is not None
    store = RedisFleet(settings.storage, settings.fleet)
    await store.look("gone", Member("10.0.0.9:8000", 0, (), None, "the disk is full"), 1)
    await store.close()


def test_the_servers_of_a_fleet_are_shown_with_what_is_wrong(chromium_driver, settings: Settings) -> None:
    secret = (SecretStr("0123456789abcdef"),)
    given = settings.model_copy(update={"open_admin": True, "fleet": "browsers", "cursor_secret": secret})
    asyncio.run(leave_a_trace(given))
    with served(given) as shop:
        page = opened(chromium_driver, shop.url)
        page.wait(lambda: page.all("#fleet table"))
        served_now = page.text("#fleet .facts")
        assert "browsers" in served_now
        assert f"{VERSION} (100%)" in served_now
        assert "nothing" in served_now
        gone, here = sorted(page.texts("#fleet tbody tr"), key=lambda row: "(this one)" in row)
        assert gone == "10.0.0.9:8000 lost 0 none the disk is full"
        assert "live, lease of" in here
        assert here.endswith(f"1 {VERSION} –")
        assert page.complaints() == []
