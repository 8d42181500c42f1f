from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from catalog.ids.codes import atomic_codes
from catalog.text.prompts import MARKERS, Interaction, PromptFormat, PromptSettings, level_token_ids
from tests.support import world
from trainer.config.recipe import BackboneRecipe, IdentifierRecipe, TrainingRecipe
from trainer.data.batches import Batches
from trainer.data.examples import EventSampler, HistoryPrompts, HistoryWindows, SyntheticSearchWindows
from trainer.data.histories import Histories
from trainer.data.synthetic_queries import synthetic_query
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.model.backbone import add_item_tokens, build_backbone
from trainer.model.semantic_ids import identify


@pytest.fixture(scope="module")
def parts():
    items = world.items()
    histories = Histories.from_events(world.event_table(), items)
    identifiers = identify(items, histories, IdentifierRecipe(code_sizes=(8, 8)), seed=0)
    recipe = BackboneRecipe(hidden=32, layers=1, heads=1, vocabulary=400)
    backbone = build_backbone(recipe, items.texts(), 256, seed=0)
    add_item_tokens(backbone, identifiers.codebooks, seed=0)
    tokenizer = backbone.text_tokenizer
    tokens = level_token_ids(tokenizer, identifiers.index.sizes)
    prompts = PromptFormat(tokenizer, identifiers.codes_NL, tokens, PromptSettings(max_history=4, history_block=2))
    renumbered = Histories.from_events(world.event_table(), identifiers.items)
    return SimpleNamespace(
        identifiers=identifiers, histories=renumbered, prompts=prompts, tokens=tokens, tokenizer=tokenizer
    )


def make_batches(parts, histories, recipe, group=SINGLE_PROCESS):
    known = parts.identifiers
    return Batches(
        histories, known.items, known.codes_NL, parts.prompts, recipe, seq2seq=False, pad=0, seed=1, group=group
    )


def sequences_of(batches, step):
    """Every sequence of a step's batch, with its task and the items to predict."""
    return [
        (part.task, tuple(part.ids_BT[row][part.mask_BT[row] > 0].tolist()), part.codes_PL[part.rows_P == row].tolist())
        for parts in batches.micro_batches(step)
        for part in parts
        if not part.dummy
        for row in range(len(part.ids_BT))
    ]


@pytest.mark.parametrize("task", ["search", "recommendation"])
def test_a_window_predicts_every_item_of_its_task_behind_its_marker(parts, task):
    marker = parts.tokenizer.token_to_id(MARKERS[0] if task == "search" else MARKERS[1])
    windows = HistoryWindows(parts.histories, parts.prompts, task, item_dropout=0.3)
    sequences = list(windows.draw(30, np.random.default_rng(0)))
    assert len(sequences) == 30
    for sequence in sequences:
        assert sequence.leaves
        assert sequence.ids.count(marker) == len(sequence.leaves)
        for leaf, position in zip(sequence.leaves, sequence.positions, strict=True):
            assert sequence.ids[position - 1] == marker
            assert sequence.ids[position : position + 2] == parts.prompts.item_tokens(leaf)


def test_a_window_reads_like_the_prompt_that_a_server_renders(parts):
    windows = HistoryWindows(parts.histories, parts.prompts, "search", item_dropout=0.0)
    for sequence in windows.draw(20, np.random.default_rng(1)):
        begin = sequence.positions[-1]
        shown = {tuple(parts.histories.items_E[a:b]): range(a, b) for a, b in _spans(parts.histories)}
        asked = [r for r in shown.values() if _ends_with(parts.histories, r, sequence.leaves[-1])]
        asked_for = [(parts.histories.interactions(r[:-1]), parts.histories.query(r[-1])) for r in asked]
        assert sequence.ids[:begin] in [parts.prompts.render(history, query) for history, query in asked_for]


@pytest.mark.parametrize("queries", [0, 1, 3, None])
@pytest.mark.parametrize("task", ["search", "recommendation"])
def test_a_window_shows_the_queries_that_a_prompt_for_its_last_item_shows(parts, task, queries):
    prompts = PromptFormat(
        parts.tokenizer,
        parts.identifiers.codes_NL,
        parts.tokens,
        PromptSettings(max_history=4, history_block=1, history_queries=queries),
    )
    windows = HistoryWindows(parts.histories, prompts, task, item_dropout=0.0)
    rendered = [
        prompts.render(parts.histories.interactions(range(a, b - 1)), parts.histories.query(b - 1))
        for a, b in _spans(parts.histories)
    ]
    search = parts.tokenizer.token_to_id(MARKERS[0])
    for sequence in windows.draw(30, np.random.default_rng(1)):
        assert sequence.leaves, "the drawn event is predicted"
        assert sequence.ids[:-2] in rendered
        before = [sequence.ids[: position - 1] for position in sequence.positions]
        with_words = [ids[-1] not in np.concatenate(parts.tokens) for ids in before if ids]
        assert task == "recommendation" or all(with_words), "a search without words is not predicted"
        assert sequence.ids.count(search) <= 5


def _spans(histories):
    for user in range(len(histories.users)):
        span = histories.span(user)
        yield from ((a, b) for a in range(span.start, span.stop) for b in range(a + 1, min(a + 6, span.stop + 1)))


def _ends_with(histories, events, leaf):
    return histories.items_E[events[-1]] == leaf and histories.query(events[-1]) is not None


def test_encoder_decoder_prompts_hold_one_question(parts):
    questions = HistoryPrompts(parts.histories, parts.prompts, "search", item_dropout=0.2)
    for sequence in questions.draw(20, np.random.default_rng(2)):
        assert len(sequence.leaves) == 1
        assert sequence.ids[-1] == parts.tokenizer.token_to_id(MARKERS[0])
        assert len(sequence.ids) <= parts.prompts.max_tokens


def test_synthetic_searches_use_the_items_own_words(parts):
    generator = np.random.default_rng(3)
    record = parts.identifiers.items.record(7)
    words = " ".join([record["title"], record["brand"] or "", *record["categories"]]).lower().split()
    queries = [synthetic_query(record, generator).lower().split() for _ in range(200)]
    exact = sum(all(word in words for word in query) for query in queries)
    assert 100 < exact < 200  # most are exact, some are misspelt
    assert "k" in synthetic_query({"item_id": "sku-1", "title": None}, generator)  # an item without words is its id
    for sequence in SyntheticSearchWindows(parts.identifiers.items, parts.prompts).draw(5, generator):
        assert 1 <= len(sequence.leaves) <= parts.prompts.max_history


def test_a_step_gives_the_same_batch_again_and_another_step_another(parts):
    recipe = TrainingRecipe(search_sequences=6, recommendation_sequences=5, micro_batch=4)

    def batches():
        return make_batches(parts, parts.histories, recipe)

    def ids(task_batches):
        return [task_batch.ids_BT.tolist() for part in task_batches for task_batch in part]

    assert ids(batches().micro_batches(5)) == ids(batches().micro_batches(5)) != ids(batches().micro_batches(6))
    search, recommendation = batches().micro_batches(5)
    for task_batches, sequences in ((search, 6), (recommendation, 5)):  # divided as their lengths make it cheapest
        rows = [len(task_batch.ids_BT) for task_batch in task_batches]
        assert (sum(rows), len(rows), max(rows) <= 4) == (sequences, 2, True)
    for task_batch in (*search, *recommendation):
        begins = task_batch.ids_BT[task_batch.rows_P, task_batch.starts_P]
        assert (begins == torch.from_numpy(parts.tokens[0])[task_batch.codes_PL[:, 0]]).all()
        assert task_batch.tokens == 2 * len(task_batch.rows_P)


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("shard", [False, True])
def test_a_batch_has_no_more_tokens_than_it_may(parts, ranks, shard):
    settings = {"search_sequences": 12, "recommendation_sequences": 20, "shard": shard}
    free = make_batches(parts, parts.histories, TrainingRecipe(**settings))
    bound = [
        make_batches(parts, parts.histories, TrainingRecipe(**settings, max_tokens=300), ProcessGroup(rank, ranks))
        for rank in range(ranks)
    ]
    for step in range(10):
        whole = sequences_of(free, step)
        kept = [sequence for batches in bound for sequence in sequences_of(batches, step)]
        assert sum(len(ids) for _, ids, _ in whole) > 300
        assert 200 < sum(len(ids) for _, ids, _ in kept) <= 300
        assert {task for task, _, _ in kept} == {"search", "recommendation"}
        left = list(whole)
        for sequence in kept:
            left.remove(sequence)  # each is one of the batch, none is there twice
        if ranks == 1:
            assert kept != whole[: len(kept)]
            assert kept == sequences_of(bound[0], step), "a step gives the same batch again"


def test_a_batch_within_the_bound_is_as_it_was(parts):
    settings = {"search_sequences": 12, "recommendation_sequences": 20}
    free = make_batches(parts, parts.histories, TrainingRecipe(**settings))
    bound = make_batches(parts, parts.histories, TrainingRecipe(**settings, max_tokens=5000))
    assert sequences_of(free, 3) == sequences_of(bound, 3)


def test_a_bound_below_one_sequence_leaves_one_of_each_task(parts):
    recipe = TrainingRecipe(search_sequences=12, recommendation_sequences=0, alignment_share=0.0, max_tokens=1)
    assert len(sequences_of(make_batches(parts, parts.histories, recipe), 0)) == 1


@pytest.mark.parametrize("shard", [False, True])
def test_micro_batches_have_few_tokens_and_the_same_sequences(parts, shard):
    settings = {"search_sequences": 12, "recommendation_sequences": 20, "shard": shard}
    whole = sequences_of(make_batches(parts, parts.histories, TrainingRecipe(**settings)), 2)
    divided = [
        make_batches(parts, parts.histories, TrainingRecipe(**settings, micro_tokens=80), ProcessGroup(rank, 2))
        for rank in range(2)
    ]
    micro_batches = [[part for task_parts in batches.micro_batches(2) for part in task_parts] for batches in divided]
    for part in micro_batches[0] + micro_batches[1]:
        assert part.ids_BT.numel() <= 80 or len(part.ids_BT) == 1
    assert sorted(sequences_of(divided[0], 2) + sequences_of(divided[1], 2)) == sorted(whole)
    assert len(micro_batches[0]) > 4
    if shard:
        tasks = [[part.task for part in parts_of_rank] for parts_of_rank in micro_batches]
        assert tasks[0] == tasks[1], "all ranks make as many passes"


def test_without_searches_the_search_batch_is_synthetic(parts):
    browsing = parts.histories.keep(parts.histories.queries_E < 0)
    recipe = TrainingRecipe(alignment_share=0.5, search_sequences=4)
    task_batches = make_batches(parts, browsing, recipe).micro_batches(0)
    assert {task_batch.task for part in task_batches for task_batch in part} == {"search", "recommendation"}


def test_atomic_identifiers_have_one_level():
    items = world.items()
    histories = Histories.from_events(world.event_table(), items)
    identifiers = identify(items, histories, IdentifierRecipe(scheme="atomic"), seed=0)
    np.testing.assert_array_equal(identifiers.codes_NL, atomic_codes(30))
    assert identifiers.items.ids == items.ids
    assert Interaction(1).task == "recommendation"


def test_a_window_never_shows_an_item_twice_in_a_row(parts):
    burst = Histories(
        ("u",),
        np.array([0, 9]),
        np.array([1, 2, 2, 2, 3, 3, 1, 1, 2]),
        np.array([-1, 0, 1, -1, -1, 2, -1, 3, -1]),
        np.arange(9),
        parts.histories.texts,
    )
    for task in ("search", "recommendation"):
        windows = HistoryWindows(burst, parts.prompts, task, item_dropout=0.3)
        for sequence in windows.draw(100, np.random.default_rng(0)):
            assert sequence.leaves
            items = [sequence.ids[i : i + 2] for i, t in enumerate(sequence.ids) if t in parts.tokens[0]]
            assert all(a != b for a, b in pairwise(items))


def uneven_histories(counts):
    """Users with so many recommendations each, and as many searches before each of those."""
    queries = np.concatenate([np.r_[np.zeros(n, int), np.full(n, -1)] for n in counts])
    starts = np.r_[0, np.cumsum([2 * n for n in counts])]
    events = np.arange(len(queries))
    return Histories(tuple(f"u{n}" for n in counts), starts, events % 30, queries, events, ("tent",))


@pytest.mark.parametrize(("by", "power"), [("events", 1.0), ("root", 0.5), ("uniform", 0.0)])
def test_users_are_drawn_by_a_power_of_the_number_of_their_events(by, power):
    counts = np.array([1, 4, 0, 16, 64])
    histories = uneven_histories(counts)
    sampler = EventSampler(histories, "recommendation", by)
    drawn = np.array(sampler.draw(40_000, np.random.default_rng(0)))
    assert len(sampler) == counts.sum()
    assert (histories.queries_E[drawn] < 0).all()
    share_U = np.bincount(histories.user_E[drawn], minlength=len(counts)) / len(drawn)
    expected_U = np.where(counts > 0, counts**power, 0)
    np.testing.assert_allclose(share_U, expected_U / expected_U.sum(), atol=0.01)
    of_last = np.bincount(drawn[histories.user_E[drawn] == 4] - histories.starts_U1[4] - 64, minlength=64)
    np.testing.assert_allclose(of_last / of_last.sum(), 1 / 64, atol=0.01)


def test_drawing_by_events_is_what_it_was():
    histories = uneven_histories([3, 9])
    events = histories.events_of("search")
    expected = np.random.default_rng(7).choice(events, 20).tolist()
    assert EventSampler(histories, "search", "events").draw(20, np.random.default_rng(7)) == expected


@pytest.mark.parametrize("by", ["root", "uniform"])
def test_a_step_draws_the_same_users_again(parts, by):
    recipe = TrainingRecipe(user_sampling=by)
    first, second = (make_batches(parts, parts.histories, recipe) for _ in range(2))
    assert sequences_of(first, 3) == sequences_of(second, 3) != sequences_of(first, 4)
