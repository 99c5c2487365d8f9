"""`exuvia train PART`: trains one part of a generator, or a model that judges motions, into a run folder."""

from typing import Any

from exuvia.recipes import settings as recipes

JUDGES = (recipes.EvaluatorRecipe, recipes.RetrievalRecipe, recipes.ClassifierRecipe)
PARTS = (recipes.MaskRecipe, recipes.BAMMRecipe, recipes.CausalRecipe, recipes.ResidualRecipe, recipes.LengthRecipe)
RECIPE: dict[str, type] = {
    one.__name__.removesuffix("Recipe").lower(): one for one in (recipes.TokenizerRecipe, *PARTS, *JUDGES)
}
"""Part -> settings class of its training."""


def recipe_type(command: str) -> type:
    """The settings class of `train PART`."""
    return RECIPE[command.split()[-1]]


def train(recipe: Any) -> None:
    """Train this part of a generator, or this model that judges motions, into a run folder.

    The same settings and data give the same weights on the same machine, with the same number of threads and without a
    GPU. A stopped training continues; a finished one returns at once.
    """
    from exuvia.recipes.generator import train_judge, train_part
    from exuvia.recipes.tokenizer import train_tokenizer

    if isinstance(recipe, recipes.TokenizerRecipe):
        train_tokenizer(recipe)
    elif isinstance(recipe, JUDGES):
        train_judge(recipe)
    else:
        train_part(recipe)
