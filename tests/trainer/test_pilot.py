"""A pilot shop: some titles, few events or none with a query, one user. It is trained by `demo` and served."""

from pathlib import Path

import httpx
import numpy as np
import pytest

from catalog.bundle.bundle import open_bundle
from catalog.bundle.folder import current_bundle
from server.core.settings import Settings
from server.engine.transformers import TransformersEngine
from server.serving.manager import DeploymentManager
from tests.support.memory_app import create_memory_app
from tests.support.pilot import STEPS, titles, views, write
from trainer.config.recipe import load_recipe
from trainer.core.errors import TrainerError
from trainer.data.corpus import MIN_TEXT_TOKENS, token_rows
from trainer.gems.nullspace.estimate import NullSpaceError
from trainer.pipeline import run

PILOTS = {
    "60 titles": (60, 12, 6, True),
    "20 titles and few events": (20, 3, 2, True),
    "one user": (20, 1, 12, True),
    "no searches": (20, 8, 5, False),
    "two events": (20, 1, 2, False),
}


@pytest.mark.parametrize("pilot", PILOTS)
async def test_a_pilot_shop_is_trained_by_demo_and_served(pilot: str, tmp_path: Path) -> None:
    count, users, each, searches = PILOTS[pilot]
    items = titles(count)
    files = write(tmp_path, items, views(items, users, each, searches=searches))
    run(*files, tmp_path / "bundles", load_recipe("demo", STEPS), resume=False)
    assert len(open_bundle(current_bundle(tmp_path / "bundles")).items) == count

    settings = Settings(bundles=tmp_path / "bundles", guidance_timeout_ms=60_000)
    deployments = DeploymentManager(settings, make_engine=lambda bundle, _: TransformersEngine(bundle))
    app = create_memory_app(settings, lambda _: deployments)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as shop:
            for path in (
                "/search?q=red%20tent&k=200",
                "/recommend?user=0&k=200&exclude_seen=false",
                "/search?q=Tant&user=0&k=200",
            ):
                answer = await shop.get(path)
                assert answer.status_code == 200, answer.text
                assert {item["id"] for item in answer.json()["items"]} == {item["item_id"] for item in items}
            similar = (await shop.get("/items/S001/similar?k=5")).json()["items"]
            assert len(similar) == 5


def test_the_advice_for_a_catalog_too_small_for_a_null_space_helps(tmp_path: Path) -> None:
    items = titles(20)
    files = write(tmp_path, items, views(items, 3, 4, searches=True))
    asked = (*STEPS, "gems.null_space=true")
    with pytest.raises(NullSpaceError) as refused:
        run(*files, tmp_path / "refused", load_recipe("demo", asked), resume=False)
    assert "null_space.corpus=FILE" in str(refused.value)
    assert "gems.null_space=false" in str(refused.value)
    run(*files, tmp_path / "without", load_recipe("demo", (*asked, "gems.null_space=false")), resume=False)
    corpus = tmp_path / "general.txt"
    corpus.write_text("\n\n".join(f"Some general text, number {number}, of no shop." for number in range(400)))
    larger = (*asked, f"null_space.corpus={corpus}")
    run(*files, tmp_path / "larger", load_recipe("demo", larger), resume=False)


def test_a_base_is_pretrained_on_sixty_titles(tmp_path: Path) -> None:
    items = titles(60)
    files = write(tmp_path, items, views(items, 6, 4, searches=True))
    pretrained = (*STEPS, "backbone.pretrain_steps=2")
    assert run(*files, tmp_path / "bundles", load_recipe("demo", pretrained), resume=False).exists()


@pytest.mark.parametrize("tokens", [2 * MIN_TEXT_TOKENS, 100, 255, 256, 5_000])
def test_a_short_corpus_has_shorter_pieces(tokens: int) -> None:
    rows_NT = token_rows(np.arange(tokens), 128, 1_000, seed=0)
    assert rows_NT.shape[1] == (128 if tokens >= 256 else max(MIN_TEXT_TOKENS, tokens // 8))
    assert rows_NT.numel() >= tokens / 2 - 1
    assert len(rows_NT.flatten().unique()) == rows_NT.numel()


@pytest.mark.parametrize("tokens", [0, 1, 2 * MIN_TEXT_TOKENS - 1])
def test_a_corpus_of_next_to_nothing_is_told_what_to_do(tokens: int) -> None:
    with pytest.raises(
        TrainerError, match=r"null_space\.corpus=FILE, or do without general text by gems\.null_space=false"
    ):
        token_rows(np.arange(tokens), 128, 1_000, seed=0)
