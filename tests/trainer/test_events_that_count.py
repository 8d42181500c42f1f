"""What a trainer draws from dislikes and impressions: the batches of a training, and the choices that weights fit.

Nothing is trained: of the model, which is untrained, nothing is asked but an order.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from catalog.data.items import Items
from catalog.priors.priors import Priors
from catalog.search.transformers import TransformersRanker
from catalog.text.prompts import PromptFormat, PromptSettings, level_token_ids
from tests.support import world
from trainer.config.recipe import BackboneRecipe, IdentifierRecipe, TrainingRecipe
from trainer.data.batches import Batches
from trainer.data.histories import Histories
from trainer.data.questions import left_beside
from trainer.data.splits import leave_one_out
from trainer.evaluation.baselines import training_events
from trainer.evaluation.guidance.choices import choices_of
from trainer.evaluation.guidance.conditional_logit import among_shown
from trainer.model.backbone import Backbone, add_item_tokens, build_backbone
from trainer.model.semantic_ids import Identifiers, identify

DISLIKED = "tent-red"
LATER = 1_700_000_100_000
Row = tuple[str, str, int, str, str | None]


class World:
    """The world's items with identifiers, and an untrained model of them."""

    def __init__(self) -> None:
        items = world.items()
        known = Histories.from_events(world.event_table(), items)
        self.identifiers: Identifiers = identify(items, known, IdentifierRecipe(code_sizes=(8, 8)), seed=0)
        self.items: Items = self.identifiers.items
        recipe = BackboneRecipe(hidden=32, layers=1, heads=1, vocabulary=400)
        self.backbone: Backbone = build_backbone(recipe, items.texts(), 256, seed=0)
        add_item_tokens(self.backbone, self.identifiers.codebooks, seed=0)
        self.tokens = level_token_ids(self.backbone.text_tokenizer, self.identifiers.index.sizes)
        settings = PromptSettings(max_history=4, history_block=2)
        self.prompts = PromptFormat(self.backbone.text_tokenizer, self.identifiers.codes_NL, self.tokens, settings)

    def batches(self, train: Histories, *, seq2seq: bool) -> Batches:
        recipe = TrainingRecipe(search_sequences=30, recommendation_sequences=30, alignment_share=0.0)
        return Batches(
            *(train, self.items, self.identifiers.codes_NL, self.prompts, recipe), seq2seq=seq2seq, pad=0, seed=1
        )


@pytest.fixture(scope="module")
def of_world() -> World:
    return World()


def with_events(rows: Sequence[Row], named: Sequence[str | None]) -> pa.Table:
    """The world's events, each with the answer that it names, and further ones: user, item, time, type and answer."""
    events = world.event_table().append_column("request_id", pa.array(named, pa.string()))
    names = ("user_id", "item_id", "timestamp", "type", "request_id")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    columns |= {"query": [None] * len(rows), "event_id": [f"m{n}" for n in range(len(rows))]}
    return pa.concat_tables([events, pa.table(columns).select(events.column_names).cast(events.schema)])


def drawn(batches: Batches, codes: Sequence[int], tokens: Sequence[int]) -> tuple[int, int]:
    """How often one item is a target in ten steps, and in how many sequences it stands."""
    targets = shown = 0
    for step in range(10):
        for parts in batches.micro_batches(step):
            for part in parts:
                targets += int((part.codes_PL.numpy() == np.array(codes)).all(1).sum())
                rows = [row.tolist() for row in part.ids_BT]
                shown += sum([*tokens] in [row[at : at + len(tokens)] for at in range(len(row))] for row in rows)
    return targets, shown


@pytest.mark.parametrize("seq2seq", [False, True])
def test_what_people_dislike_is_no_target_and_in_no_sequence(of_world: World, seq2seq: bool) -> None:
    """Neither as what a causal model or an encoder-decoder learns to say, nor as what it reads before that."""
    plain = world.event_table()
    users = sorted(set(plain["user_id"].to_pylist()))
    dislikes: list[Row] = [(user, DISLIKED, LATER, "dislike", None) for user in users]
    row = of_world.items.row_of(DISLIKED)
    assert row is not None
    told = of_world.identifiers.codes_NL[row].tolist(), of_world.prompts.item_tokens(row)
    counts = []
    for events in (plain, with_events(dislikes, [None] * len(plain))):
        split = leave_one_out(Histories.from_events(events, of_world.items))
        counts.append(drawn(of_world.batches(split.train, seq2seq=seq2seq), *told))
        asked = [question.item for part in (split.test, split.validation) for question in part]
        assert (row in asked) == (events is plain)
    assert min(counts[0]) >= 5, "it is drawn where nobody dislikes it"
    assert counts[1] == (0, 0)


def test_what_an_answer_showed_and_nobody_took_is_what_the_fit_chooses_against(of_world: World) -> None:
    """Of each question whose answer is known: its candidates have all that was shown, and among these alone the one
    that was taken is chosen, against the others."""
    plain = world.event_table().to_pylist()
    last = {row["user_id"]: row for row in plain}
    left = ("lamp-red", "boot-blue", "tent-grey")
    rows: list[Row] = [
        (user, item, row["timestamp"] - 1, "impression", f"r-{user}")
        for user, row in last.items()
        for item in (row["item_id"], *left)
    ]
    named = [f"r-{row['user_id']}" if row is last[row["user_id"]] else None for row in plain]
    histories = Histories.from_events(with_events(rows, named), of_world.items)
    split = leave_one_out(histories)
    asked = dict(enumerate(split.test))
    priors = Priors.fit(of_world.items, training_events(split.train, len(of_world.items)))
    ranker = TransformersRanker(of_world.backbone.model, of_world.identifiers.index, of_world.tokens)
    choices = choices_of(ranker, of_world.prompts, priors, histories, asked, exclude_seen=False)
    row_of = {item: of_world.items.row_of(item) for item in left}
    told = {number: question for number, question in asked.items() if len(left_beside(histories, question)) > 0}
    alone = among_shown(choices)
    assert len(alone) == len(told) > 20
    for (number, question), shown in zip(told.items(), alone, strict=True):
        choice = choices[number]
        against = {row for row in row_of.values() if row != question.item}
        assert set(left_beside(histories, question).tolist()) == against
        assert choice.shown_C is not None
        assert len(shown.value_CF) == choice.shown_C.sum() == 1 + len(against)
        assert choice.right is not None
        assert shown.right is not None
        np.testing.assert_array_equal(shown.value_CF[shown.right], choice.value_CF[choice.right])
