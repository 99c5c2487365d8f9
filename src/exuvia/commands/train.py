"""`exuvia train PART`: a run folder of one part of a generator, or of a judge of motions."""

from typing import Any

from exuvia.recipes import settings as recipes

JUDGES = (recipes.EvaluatorRecipe, recipes.RetrievalRecipe, recipes.ClassifierRecipe)
PARTS = (recipes.MaskRecipe, recipes.BAMMRecipe, recipes.CausalRecipe, recipes.ResidualRecipe, recipes.LengthRecipe)
RECIPE: dict[str, type] = {
    one.__name__.removesuffix("Recipe").lower(): one for one in (recipes.TokenizerRecipe, *PARTS, *JUDGES)
}
"""Part -> everything that decides its training."""


def recipe_type(command: str) -> type:
    """The settings class of `train PART`."""
    return RECIPE[command.split()[-1]]


def train(recipe: Any) -> None:
    """Train this part of a generator, or this judge of motions, into a run folder.

    The same settings and data give the same weights, on one machine with one number of threads and without a GPU. A
    training continues where it was stopped, and returns at once if it is finished.

    Args:
        recipe: of one of the classes in `RECIPE`
    Raises:
        ConfigError, DivergedError, OutputError: as `train.fit` does.
    """
    from exuvia.recipes.generator import train_part
    from exuvia.recipes.judges import train_judge
    from exuvia.recipes.tokenizer import train_tokenizer

    if isinstance(recipe, recipes.TokenizerRecipe):
        train_tokenizer(recipe)
    elif isinstance(recipe, JUDGES):
        train_judge(recipe)
    else:
        train_part(recipe)
