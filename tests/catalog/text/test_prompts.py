import gzip
import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from catalog.errors import PromptError
from catalog.ids.codes import token_name
from catalog.text.prompts import (
    MARKERS,
    Interaction,
    PlainText,
    PromptFormat,
    PromptSettings,
    clean_text,
    cleaned_as_known,
    level_token_ids,
)
from tests.support.paths import SHARED

SIZES = (8, 4)
CHAT_MARKERS = ("<|im_start|>", "<|im_end|>", "<think>")
CODES = np.array([[i // 4, i % 4] for i in range(32)])


def make_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        ["a tent for two, a bike helmet"] * 20,
        trainers.BpeTrainer(vocab_size=300, special_tokens=["<|pad|>"], initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.add_tokens([AddedToken(name, special=name != "<think>") for name in CHAT_MARKERS])
    names = [token_name(level, code) for level, size in enumerate(SIZES) for code in range(size)]
    tokenizer.add_tokens([AddedToken(name, special=True) for name in (*MARKERS, *names)])
    return tokenizer


TOKENIZER = make_tokenizer()
LEVELS = level_token_ids(TOKENIZER, SIZES)
ADDED = {i for i, token in TOKENIZER.get_added_tokens_decoder().items()}


def make_format(**settings):
    return PromptFormat(TOKENIZER, CODES, LEVELS, PromptSettings(**settings))


def test_a_prompt_reads_instruction_history_query_marker():
    prompts = make_format(instruction="a tent")
    ids = prompts.render([Interaction(5), Interaction(6, "bike")], "helmet")
    search, recommend = (TOKENIZER.token_to_id(marker) for marker in MARKERS)
    item = [[int(LEVELS[0][1]), int(LEVELS[1][c])] for c in (1, 2)]
    text = {word: TOKENIZER.encode(word, add_special_tokens=False).ids for word in ("a tent", "bike", "helmet")}
    assert ids == [*text["a tent"], recommend, *item[0], *text["bike"], search, *item[1], *text["helmet"], search]


def test_search_and_recommendation_of_a_user_share_their_beginning():
    prompts = make_format()
    history = [Interaction(i) for i in range(6)]
    search, recommend = prompts.render(history, "tent"), prompts.render(history)
    shared = len(prompts.render(history)) - 1
    assert search[:shared] == recommend[:shared]


@given(st.text(max_size=60))
@example("<a_1><b_2>")
@example("<|search|> <|im_start|>system <think>")
@example("<A_1> <|PAD|>")
@example("\ud800 lone surrogate")
@example("\x00\x1f\u202e<\u200ba_1>")
def test_typed_text_never_becomes_an_added_token(text):
    prompts = make_format()
    try:
        ids = prompts.render([Interaction(3, text or "x")], text)
    except PromptError:
        assert not text.strip()
        return
    own = prompts.render([Interaction(3, "x")], "x")
    assert sorted(i for i in ids if i in ADDED) == sorted(i for i in own if i in ADDED)
    assert len(ids) <= prompts.max_tokens


@pytest.mark.parametrize("text", ["</s>", "<pad>", "<unk>", "<extra_id_0>", "a </s> b", "☃ snow", "</S>"])
def test_a_vocabulary_that_spells_special_tokens_cannot_be_tricked(text):
    file = SHARED / "tokenizers/t5_tokenizer.json.gz"
    if not file.exists():
        pytest.skip(f"{file} is not here")
    tokenizer = Tokenizer.from_str(gzip.decompress(file.read_bytes()).decode())
    special = {token["id"] for token in _described(tokenizer)}
    tokenizer.add_tokens([AddedToken(n, special=True) for n in (*MARKERS, "<a_0>", "<b_0>")])
    prompts = PromptFormat(tokenizer, np.zeros((1, 2), int), level_token_ids(tokenizer, (1, 1)), PromptSettings())
    assert not special & set(prompts.render([], text))


def _described(tokenizer):
    return json.loads(tokenizer.to_str())["added_tokens"]


def test_a_long_query_is_cut():
    prompts = make_format(max_query_tokens=5)
    assert len(prompts.render([], "tent " * 10_000)) == 6


def test_a_blank_query_is_refused():
    for blank in ("", " \t\n"):
        with pytest.raises(PromptError, match="empty"):
            make_format().render([], blank)


@given(total=st.integers(0, 60), kept=st.integers(1, 60))
def test_a_bounded_history_gives_the_prompt_of_the_whole_one(total, kept):
    prompts = make_format(max_history=8, history_block=3)
    history = [Interaction(i % 32) for i in range(total)]
    first = max(0, total - max(kept, 8))
    assert prompts.render(history[first:], first=first) == prompts.render(history)


def test_the_window_moves_in_blocks():
    prompts = make_format(max_history=8, history_block=3)
    starts = [prompts.window_start(length) for length in range(20)]
    assert starts == sorted(starts)
    assert {start % 3 for start in starts} == {0}
    assert all(length - start <= 8 for length, start in enumerate(starts))


def test_only_the_latest_searches_of_a_history_have_their_words():
    prompts = make_format(max_history=8, history_block=3, history_queries=4)
    search, text = TOKENIZER.token_to_id(MARKERS[0]), TOKENIZER.encode("tent", add_special_tokens=False).ids
    for length in range(1, 20):
        ids = prompts.render([Interaction(i, "tent") for i in range(length)], "tent")
        shown = length - prompts.window_start(length)
        with_words = min(shown, length - prompts.queries_start(length))
        assert 0 <= with_words <= 4
        assert ids.count(search) == shown + 1, "every search has its marker"
        assert len(ids) == (shown + 1) * 1 + 2 * shown + (with_words + 1) * len(text)
        assert ids[: 3 * (shown - with_words) : 3] == [search] * (shown - with_words)
        assert len(ids) <= prompts.max_tokens


@given(total=st.integers(0, 60), kept=st.integers(1, 60), queries=st.integers(0, 9))
def test_a_bounded_history_shows_the_queries_of_the_whole_one(total, kept, queries):
    prompts = make_format(max_history=8, history_block=3, history_queries=queries)
    history = [Interaction(i % 32, "tent" if i % 3 else None) for i in range(total)]
    first = max(0, total - max(kept, 8))
    assert prompts.render(history[first:], first=first) == prompts.render(history)


def test_queries_are_dropped_in_blocks_so_that_prompts_begin_alike():
    prompts = make_format(max_history=8, history_block=3, history_queries=5)
    starts = [prompts.queries_start(length) for length in range(20)]
    assert starts == sorted(starts)
    assert {start % 3 for start in starts} == {0}
    assert {length - start for length, start in enumerate(starts) if length > 5} == {3, 4, 5}


def test_prompts_of_bundles_of_before_are_what_they_were(tmp_path):
    file = tmp_path / "prompt.json"
    PromptSettings(max_history=4, history_block=2).save(file)
    values = json.loads(file.read_text())
    del values["history_queries"]
    file.write_text(json.dumps(values))
    settings = PromptSettings.open(file)
    assert settings.history_queries is None
    prompts = PromptFormat(TOKENIZER, CODES, LEVELS, settings)
    history = [Interaction(i, "tent") for i in range(4)]
    words = TOKENIZER.encode("tent", add_special_tokens=False).ids
    assert len(prompts.render(history)) == 4 * (len(words) + 1 + 2) + 1


def test_a_negative_number_of_queries_is_refused():
    with pytest.raises(PromptError, match="history_queries is -1"):
        PromptSettings(history_queries=-1)


def test_settings_survive_saving(tmp_path):
    settings = PromptSettings(instruction="find", max_history=7, history_block=2, history_queries=3)
    settings.save(tmp_path / "prompt.json")
    assert PromptSettings.open(tmp_path / "prompt.json") == settings


def test_a_prompt_version_of_another_code_is_refused(tmp_path):
    PromptSettings(version=99).save(tmp_path / "prompt.json")
    with pytest.raises(PromptError, match="version 99"):
        PromptSettings.open(tmp_path / "prompt.json")


def test_a_tokenizer_without_item_tokens_is_refused():
    with pytest.raises(PromptError, match="<a_8>"):
        level_token_ids(TOKENIZER, (9, 4))


def test_clean_text_keeps_words_and_drops_what_cannot_be_read():
    assert clean_text("  Zelt\u00a0für\t2 \u202ePersonen\u202c\x07 ") == "zelt für 2 personen"
    assert clean_text("ﬁsh") == "fish"


def test_prompts_of_bundles_of_before_keep_their_case(tmp_path):
    file = tmp_path / "prompt.json"
    PromptSettings(version=1).save(file)
    before = PromptFormat(TOKENIZER, CODES, LEVELS, PromptSettings.open(file))
    now = PromptFormat(TOKENIZER, CODES, LEVELS, PromptSettings())
    plain = PlainText(TOKENIZER)
    for query, lower, folded in (
        ("Straße", "straße", "strasse"),
        ("ΣΚΗΝΕΣ", "σκηνες", "σκηνεσ"),
        ("Tent", "tent", "tent"),
    ):
        marker = now.marker("search")
        assert before.query_tokens(query) == PlainText(TOKENIZER, 1).encode(lower, 24) + marker
        assert now.query_tokens(query) == plain.encode(folded, 24) + marker
        assert clean_text(query, version=1) == lower
        assert clean_text(query) == folded


@pytest.mark.parametrize(
    "texts", [("Ruck\u00adsack", "rucksack"), ("İZNİK", "iznik"), ("cafe\u0301", "CAFÉ"), ("ςς", "ΣΣ"), ("ﬁn", "FIN")]
)
def test_what_reads_the_same_is_the_same_prompt(texts):
    assert len({clean_text(text) for text in texts}) == 1


def test_a_query_that_is_known_from_before_is_found_under_its_old_text():
    assert cleaned_as_known("Straße", {"straße"}) == "straße"
    assert cleaned_as_known("Straße", {"straße", "strasse"}) == "strasse"
    assert cleaned_as_known("Straße", set()) == "strasse"
