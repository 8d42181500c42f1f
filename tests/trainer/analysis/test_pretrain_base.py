import numpy as np
import pytest

from tests.support import world
from trainer.analysis.perplexity import TextModel, predict_text, read_text
from trainer.analysis.pretrain_base import main, pretrain_base
from trainer.config.recipe import load_recipe
from trainer.core.errors import SettingsError, TrainerError
from trainer.data.corpus import read_corpus


def test_a_base_has_learned_its_text_and_fits_the_prompts(base, corpus):
    text = TextModel.load(base)
    loss_T = predict_text(text, read_text(read_corpus(corpus), base)).loss_T
    assert loss_T.mean() < 0.7 * np.log(text.rows)
    recipe = load_recipe("small", world.TINY)
    assert text.model.config.max_position_embeddings == recipe.prompt.max_positions(levels=2)


def test_what_cannot_be_pretrained_is_explained(base, corpus, tmp_path, capsys):
    assert main(["--corpus", str(corpus), "--out", str(base), "--recipe", "small"]) == 2
    assert "exists already" in capsys.readouterr().err
    with pytest.raises(TrainerError, match="does not exist"):
        pretrain_base(tmp_path / "none.txt", tmp_path / "out", load_recipe("small", world.TINY))
    with pytest.raises(SettingsError, match="pretrain_steps"):
        pretrain_base(corpus, tmp_path / "out", load_recipe("small", []))
