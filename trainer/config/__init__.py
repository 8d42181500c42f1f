"""All settings of a training run: recipes (`recipe`), with the settings of GEMS (`gems`). It does not import torch."""

from trainer.config.gems import GemsConfig
from trainer.config.recipe import Recipe, complete_recipe, load_recipe

__all__ = ["GemsConfig", "Recipe", "complete_recipe", "load_recipe"]
