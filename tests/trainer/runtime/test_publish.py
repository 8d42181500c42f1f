"""Golden queries of published bundles: rounding passes, whatever does not belong to the bundle fails. Typed words."""

import dataclasses
import json
import shutil
from collections import Counter, defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from catalog.bundle.bundle import open_bundle
from catalog.data.items import Items
from catalog.search.calibration import UNCALIBRATED, Calibration, TaskCalibration
from catalog.search.transformers import TransformersRanker
from catalog.suggestions import key_of
from catalog.text.compounds import words_of
from catalog.text.prompts import PromptFormat, level_token_ids
from catalog.text.query_terms import MIN_PEOPLE
from tests.support import world
from trainer.config.recipe import Recipe
from trainer.evaluation.bundle import bundle_settings, held_out
from trainer.runtime.publish import publish_run
from trainer.runtime.step_log import FILE_NAME
from trainer.runtime.workspace import Workspace


@pytest.fixture(scope="module")
def files(trained):
    return trained.files()


@pytest.fixture(scope="module")
def bundles(trained):
    """Two runs over one shop, which differ in their seed."""
    return [trained.bundle(*world.LEARNING, *other) for other in ((), ("seed=1",))]


@pytest.fixture(scope="module")
def bundle(bundles):
    return bundles[0]


def model_of(bundle, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(bundle.model_dir, dtype=dtype)


def wrong(bundle, model, *, index=None, tokens=None):
    """What golden queries say about answers, one by one as a server asks."""
    ranker = TransformersRanker(model, index or bundle.index, tokens or bundle.level_tokens)
    answers = [ranker.rank([question.tokens], bundle.golden.width)[0] for question in bundle.golden.queries]
    return [
        bundle.golden.check(q, *map(np.ndarray.tolist, a)) for q, a in zip(bundle.golden.queries, answers, strict=True)
    ]


def wrong_prompts(bundle, prompts, items):
    return [bundle.golden.check_prompt(question, prompts, items) for question in bundle.golden.queries]


def test_the_file_is_sealed_with_the_bundle(bundle):
    assert "catalog/golden.json" in bundle.manifest.files
    assert not any(wrong_prompts(bundle, bundle.prompts, bundle.items))


def test_what_people_typed_is_sealed_with_it_as_far_as_it_was_trained_on(bundle, files):
    assert "catalog/typed_words.json" in bundle.manifest.files
    split, _ = held_out(bundle, [files[1]], bundle_settings(bundle))
    train = split.train
    users = defaultdict(set)
    for event in train.events_of("search"):
        for word in words_of(train.query(event)):
            users[word].add(train.user_E[event])
    assert bundle.typed_words.people == {word: len(them) for word, them in users.items() if len(them) >= MIN_PEOPLE}
    assert any(question.query is not None for question in split.test)
    assert "catalog/typed_queries.json" in bundle.manifest.files
    typed = {(train.user_E[event], key_of(train.query(event))) for event in train.events_of("search")}
    people = Counter(key for _, key in typed)
    shared = {key: count for key, count in people.items() if count >= MIN_PEOPLE}
    assert {key_of(query.text): query.people for query in bundle.typed_queries.queries} == shared


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_right_model_passes_in_any_precision(bundle, dtype):
    assert not any(wrong(bundle, model_of(bundle, dtype)))


def test_another_model_fails(bundles):
    assert all(wrong(bundles[0], model_of(bundles[1])))
    assert all(wrong(bundles[0], model_of(bundles[1], torch.bfloat16)))


def test_another_index_fails(bundles):
    assert all(wrong(bundles[0], model_of(bundles[0]), index=bundles[1].index))


def test_shuffled_codes_fail(bundle):
    codes = np.random.default_rng(0).permutation(bundle.codes_NL)
    shuffled = PromptFormat(bundle.tokenizer, codes, bundle.level_tokens, bundle.prompts.settings)
    assert any("other tokens" in (said or "") for said in wrong_prompts(bundle, shuffled, bundle.items))


def test_shuffled_items_fail(bundle):
    order = np.random.default_rng(0).permutation(len(bundle.items))
    assert all(wrong_prompts(bundle, bundle.prompts, Items(bundle.items.table.take(order))))


def swap_codes(description):
    tokens = {token["content"]: token for token in description["added_tokens"]}
    one, two = tokens["<a_0>"], tokens["<a_1>"]
    one["content"], two["content"] = two["content"], one["content"]


def drop_merges(description):
    description["model"]["merges"] = description["model"]["merges"][:60]


@pytest.mark.parametrize("change", [swap_codes, drop_merges])
def test_another_tokenizer_fails(bundle, change):
    description = json.loads(bundle.tokenizer.to_str())
    change(description)
    tokenizer = Tokenizer.from_str(json.dumps(description))
    tokens = level_token_ids(tokenizer, bundle.manifest.code_sizes)
    prompts = PromptFormat(tokenizer, bundle.codes_NL, tokens, bundle.prompts.settings)
    assert any(wrong_prompts(bundle, prompts, bundle.items))


def test_other_prompt_settings_fail(bundle):
    settings = dataclasses.replace(bundle.prompts.settings, instruction="find")
    prompts = PromptFormat(bundle.tokenizer, bundle.codes_NL, bundle.level_tokens, settings)
    assert all(wrong_prompts(bundle, prompts, bundle.items))


class StaleCache:
    """A model behind the keys and values that another one has left for all but the last token of a prompt."""

    def __init__(self, model, old):
        self._model, self._old = model, old

    def __getattr__(self, name):
        return getattr(self._model, name)

    def base_model(self, input_ids, past_key_values, **rest):
        if past_key_values.get_seq_length() > 0 or input_ids.shape[1] == 1:
            return self._model.base_model(input_ids=input_ids, past_key_values=past_key_values, **rest)
        before = self._old.base_model(input_ids=input_ids[:, :-1], past_key_values=past_key_values, **rest)
        output = self._model.base_model(input_ids=input_ids[:, -1:], past_key_values=past_key_values, **rest)
        output.last_hidden_state = torch.cat([before.last_hidden_state, output.last_hidden_state], 1)
        return output


def test_a_stale_prefix_cache_fails(bundles):
    new, old = map(model_of, bundles)
    assert not any(wrong(bundles[0], StaleCache(new, new)))
    assert any(wrong(bundles[0], StaleCache(new, old)))


def published_with(bundle, files, tmp_path, calibration):
    """The bundle once more, of a run whose report says this."""
    root = tmp_path / "work"
    shutil.copytree(bundle.catalog_dir, root / "catalog", ignore=shutil.ignore_patterns("priors", "calibration.json"))
    shutil.copy(bundle.path / FILE_NAME, root)
    workspace = Workspace(root, dict.fromkeys(files, "0" * 64))
    backbone = SimpleNamespace(
        is_seq2seq=False, name="tiny", save=lambda folder: shutil.copytree(bundle.model_dir, folder)
    )
    split = held_out(bundle, [files[1]], bundle_settings(bundle))[0]
    report = json.loads((bundle.path / "report.json").read_text()) | {"calibration": calibration}
    recipe = Recipe.model_validate(bundle.manifest.settings)
    inputs = dict(zip(("items", "events"), files, strict=True))
    return open_bundle(publish_run(tmp_path / "bundles", backbone, workspace, split, report, recipe, (8, 8), inputs))


def test_how_likely_scores_are_right_is_sealed_with_the_bundle(bundle, files, tmp_path):
    own = Calibration(1.25, -0.5, 0.125, 0.0625)
    report = {"search": {"guided": own.as_json() | {"test": {"items": 7}}}, "recommendation": {}}
    again = published_with(bundle, files, tmp_path, report)
    assert "catalog/calibration.json" in again.manifest.files
    assert again.calibrations == {"search": TaskCalibration(own), "recommendation": TaskCalibration()}


@pytest.mark.parametrize("report", [{}, {"search": {}}, {"search": {}, "recommendation": {}}], ids=str)
def test_a_run_that_learned_no_calibration_publishes_none(bundle, files, tmp_path, report):
    again = published_with(bundle, files, tmp_path, report)
    assert not (again.catalog_dir / "calibration.json").exists()
    assert again.calibrations == UNCALIBRATED
