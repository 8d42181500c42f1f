import pytest

from trainer.config.recipe import RECIPES, load_recipe
from trainer.core.errors import TrainerError


@pytest.mark.parametrize("name", sorted(file.stem for file in RECIPES.glob("*.yaml")))
def test_bundled_recipes_are_valid(name):
    assert load_recipe(name).method == "gems"


def test_the_named_recipes_exist():
    assert {"demo", "small", "qwen2.5-3b", "t5-base"} <= {file.stem for file in RECIPES.glob("*.yaml")}


@pytest.mark.parametrize("name", sorted(file.stem for file in RECIPES.glob("*.yaml")))
def test_only_a_base_that_knows_something_has_a_null_space(name):
    recipe = load_recipe(name)
    assert recipe.gems.null_space == (recipe.backbone.path is not None or recipe.backbone.pretrain_steps > 0)


def test_a_file_and_overrides(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("training: {steps: 7}\n")
    recipe = load_recipe(
        str(file), ["training.dropout=0.5", "seed=3", "identifiers.code_sizes=[4, 5]", "gems.rank=9", "gems.lr=1e-3"]
    )
    assert (recipe.training.steps, recipe.training.dropout, recipe.seed) == (7, 0.5, 3)
    assert recipe.identifiers.code_sizes == (4, 5)
    assert recipe.gems.rank == 9


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.step=5"], "training.step is no setting, did you mean training.steps"),
        (["training.steps=0"], "training.steps"),
        (["training.steps=many"], "training.steps.*many"),
        (["gems.rang=3"], "did you mean gems.rank"),
        (["gems.lr=fast"], "gems.lr"),
        (["gems.rank=0"], "gems.rank is 0"),
        (["method=lorra"], "method: .*'lora'"),
        (["lora.rang=3"], "lora.rang is no setting, did you mean lora.rank"),
        (["lora.rank=0"], "lora.rank: .*greater than or equal to 1"),
        (["lora.dropout=1"], "lora.dropout"),
        (["lora_moe.experts=1"], "lora_moe.experts: .*greater than or equal to 2"),
        (["lora_moe.expert=4"], "did you mean lora_moe.experts"),
        (["training.steps=1", "training.steps.x=1"], "training.steps is a single value"),
        (["nonsense"], "section.key=value"),
        (["seed.deep=1"], "seed.*integer"),
        (["training.steps=["], r"training\.steps=\[ is not valid YAML"),
        (["seed=!!python/object:os.system x"], r"seed=!!python/object:os\.system x is not valid YAML"),
    ],
)
def test_wrong_settings_are_explained(overrides, message):
    with pytest.raises(TrainerError, match=message):
        load_recipe("small", overrides)


def test_an_unknown_recipe_lists_the_known_ones():
    with pytest.raises(TrainerError, match=r"demo.*small"):
        load_recipe("smal")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "is not valid YAML"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"- training", "holds a list"),
        (b"demo", "holds a str"),
    ],
)
def test_a_file_that_is_no_recipe_is_named(tmp_path, content, message):
    (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(TrainerError, match=rf"bad\.yaml {message}"):
        load_recipe(str(tmp_path / "bad.yaml"), ["seed=1"])
