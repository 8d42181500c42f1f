"""Every setting of a training run: recipes, and among their sections the settings of GEMS. Free of torch."""

from trainer.config.gems import GemsConfig
from trainer.config.recipe import Recipe, complete_recipe, load_recipe

__all__ = ["GemsConfig", "Recipe", "complete_recipe", "load_recipe"]
