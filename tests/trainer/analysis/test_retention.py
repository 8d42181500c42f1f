import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.support import world
from trainer.analysis.held_out_hits import held_out_hits
from trainer.analysis.retention import TextRetention, compare_hits, main
from trainer.config.recipe import load_recipe
from trainer.core.errors import TrainerError
from trainer.pipeline import run


def measure(tmp_path, *options):
    out, image = tmp_path / "retention.json", tmp_path / "retention.png"
    assert main([*options, "--json", str(out), "--picture", str(image)]) == 0
    assert image.read_bytes().startswith(b"\x89PNG")
    return json.loads(out.read_text())


def test_a_model_keeps_all_of_itself(base, corpus, tmp_path):
    figures = measure(tmp_path, "--before", str(base), "--after", str(base), "--corpus", str(corpus))
    own = figures["after"][base.name]["text"]
    assert own["perplexity"] == figures["before"]["text"]["perplexity"]
    assert own["perplexity_ratio"] == {"value": 1, "low": 1, "high": 1}
    assert own["forgotten"]["value"] == own["gained"]["value"] == 0


def test_figures_are_those_of_one_pass_of_transformers(base, bundles, corpus, tmp_path):
    """The text is shorter than a window here, so one pass over it is the oracle."""
    after = [str(bundle.path) for bundle in bundles.values()]
    figures = measure(tmp_path, "--before", str(base), "--after", *after, "--corpus", str(corpus), "--tokens", "200")
    tokenizer = AutoTokenizer.from_pretrained(base)
    text = corpus.read_text().replace("\n\n", "\n") + "\n"
    ids = torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"][:200])[None]

    def predict(folder):
        logits = AutoModelForCausalLM.from_pretrained(folder)(input_ids=ids).logits[0, :-1, : len(tokenizer)]
        loss = torch.nn.functional.cross_entropy(logits, ids[0, 1:])
        return float(loss.exp().detach()), (logits.argmax(-1) == ids[0, 1:]).numpy()

    perplexity, right = predict(base)
    assert figures["before"]["text"]["perplexity"]["value"] == pytest.approx(perplexity, rel=1e-4)
    for bundle, measured in zip(bundles.values(), figures["after"].values(), strict=True):  # names may be the same
        perplexity, now = predict(bundle.model_dir)
        own = measured["text"]
        assert own["perplexity"]["value"] == pytest.approx(perplexity, rel=1e-4)
        assert own["forgotten"]["value"] == pytest.approx((right & ~now).sum() / right.sum(), abs=1e-6)
        assert own["gained"]["value"] == pytest.approx((~right & now).sum() / (~right).sum(), abs=1e-6)
        assert measured["ranking"] is None


def test_a_method_that_moves_everything_fast_forgets_more(base, bundles, corpus):
    retention = TextRetention(base, corpus)
    kept = {name: retention.after(bundle.path)["perplexity_ratio"]["value"] for name, bundle in bundles.items()}
    assert kept["full"] > kept["gems"] > 1


def test_a_model_with_another_tokenizer_is_refused(base, bundles, corpus, files, tmp_path):
    other = run(*files, tmp_path, load_recipe("small", [*world.TINY, "training.steps=1"]), resume=False)
    with pytest.raises(TrainerError, match="other text tokens"):
        TextRetention(base, corpus).after(other)


def test_rankings_of_two_bundles_are_compared_question_by_question(bundles, corpus, files, tmp_path):
    before, after = bundles["gems"], bundles["full"]
    figures = measure(
        tmp_path,
        *("--before", str(before.path), "--after", str(after.path), "--corpus", str(corpus), "--events", str(files[1])),
    )
    ranking = figures["after"][after.path.name]["ranking"]
    for task, own in ranking.items():
        for name, bundle in (("before", before), ("after", after)):
            report = json.loads((bundle.path / "report.json").read_text())
            assert own[name]["value"] == pytest.approx(report["tasks"][task]["model"]["recall@10"], abs=1e-6)
    right = {name: held_out_hits(bundle.path, [files[1]])["search"] for name, bundle in bundles.items()}
    then = [right["full"][question] for question, found in right["gems"].items() if found]
    assert ranking["search"]["forgotten"]["value"] == pytest.approx(1 - np.mean(then), abs=1e-6)


def test_answers_to_different_questions_cannot_be_compared():
    one = {"search": {("u", 3, "a"): True}}
    with pytest.raises(TrainerError, match="different questions"):
        compare_hits(one, {"search": {("u", 3, "b"): True}})
