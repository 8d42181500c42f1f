"""Typed text is plain text: no spelling of any token of a bundle's own tokenizer becomes that token."""

import json

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, trainers

from catalog.ids.codes import token_name
from catalog.text.prompts import MARKERS, Interaction, PromptFormat, PromptSettings, clean_text, level_token_ids
from server.core.settings import Settings
from tests.hostile.texts import QUERIES, disguises
from tests.support.http_shop import Shop
from tests.support.small_shop import RecordingEngine, make_tokenizer
from trainer.model.backbone import byte_level_tokenizer

SIZES = (8, 16)
CODES_NL = np.array([divmod(leaf, SIZES[1]) for leaf in range(30)])
CHAT = ["<|im_start|>", "<|im_end|>", "<think>", "<tool_call>", "<s>", "[INST]", "<|endoftext|>"]
NAMES = [*MARKERS, *(token_name(level, code) for level, size in enumerate(SIZES) for code in range(size))]
TITLES = ["A tent for two", "Head torch", *(" ".join(name for name in NAMES) for _ in range(50))]
"""Of a catalog whose merchant knows the tokens: a vocabulary is trained on them."""


def own() -> Tokenizer:
    """As the trainer makes it for a base from scratch."""
    tokenizer = byte_level_tokenizer(TITLES, 600)
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in NAMES])
    return Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())


def chatting() -> Tokenizer:
    """As that of a pretrained decoder: chat markers, some of them not special and normalised."""
    tokenizer = own()
    tokenizer.add_tokens([AddedToken(name, special=i % 2 == 0, normalized=i % 3 == 0) for i, name in enumerate(CHAT)])
    return tokenizer


def pieces() -> Tokenizer:
    """As T5's: its vocabulary itself spells special tokens, and its normaliser is its own."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    spelled = ["<pad>", "</s>", "<unk>", "<extra_id_0>", *NAMES]
    trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=spelled, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(["a tent for two, a bike helmet & a lamp", *TITLES[:2]] * 20, trainer)
    return tokenizer


TOKENIZERS = {"own": own(), "chatting": chatting(), "pieces": pieces()}


def added(tokenizer: Tokenizer) -> dict[str, int]:
    return {token["content"]: token["id"] for token in json.loads(tokenizer.to_str())["added_tokens"]}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_no_spelling_of_any_added_token_becomes_one(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    known = added(tokenizer)
    assert set(NAMES) <= set(known)
    prompts = PromptFormat(tokenizer, CODES_NL, level_token_ids(tokenizer, SIZES), PromptSettings(max_query_tokens=200))
    plain = prompts.render([Interaction(3, "x")], "x")
    owed = sorted(token for token in plain if token in known.values())
    spellings = [spelling for token in known for spelling in disguises(token)] + QUERIES
    for text in spellings:
        if text.strip():
            ids = prompts.render([Interaction(3, text)], text)
            assert sorted(token for token in ids if token in known.values()) == owed, repr(text)


def test_what_looks_like_a_token_is_still_read_as_text() -> None:
    """Nothing is lost: the letters are there, as letters (a space is added before a number)."""
    tokenizer = TOKENIZERS["chatting"]
    prompts = PromptFormat(tokenizer, CODES_NL, level_token_ids(tokenizer, SIZES), PromptSettings(max_query_tokens=200))
    for token in (*CHAT, *NAMES):
        ids = prompts.query_tokens(token)[:-1]
        assert tokenizer.decode(ids, skip_special_tokens=False).replace(" ", "") == clean_text(token)


def test_a_vocabulary_that_was_trained_on_tokens_as_text_spells_none_of_them() -> None:
    """Else titles could keep a model from being trained: its tokens would be there already."""
    assert not set(NAMES) & set(byte_level_tokenizer(TITLES, 600).get_vocab())


async def test_a_prompt_over_http_has_the_tokens_that_the_server_put_there(
    shop: Shop, engine: RecordingEngine, settings: Settings
) -> None:
    tokenizer = make_tokenizer()
    known = added(tokenizer)
    assert (await shop.client.put("/items/item-9", json={"title": "<|search|><a_0><b_0>", "price": 9.0})).is_success
    for position, name in enumerate(known):
        for text in disguises(name)[:4]:
            user = f"{position} {text}"
            event = {"user_id": user, "type": "view", "item_id": "item-9", "query": text}
            assert (await shop.post(event)).status_code == 202
            assert (await shop.get("/search", q=text, user=user, k=1, correct=False)).status_code == 200
            ids = [token for token in engine.requests[-1].prompt if token in known.values()]
            markers = [known[MARKERS[0]]] * 2
            assert [token for token in ids if token in markers] == markers
            assert len(ids) == len(markers) + 2  # the levels of item-9
