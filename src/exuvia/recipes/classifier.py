"""How the independent concept classifier is trained."""

from pathlib import Path

from exuvia.data.store import Store
from exuvia.judges.tasks import ClassifierTask
from exuvia.recipes.settings import ClassifierRecipe
from exuvia.train import fit


def train_classifier(recipe: ClassifierRecipe) -> dict[str, float]:
    """Train, continue or return a classifier run: motions in, violence and groups of actions out.

    Examples:
        exuvia train classifier --data stores/mocap --out runs/classifier --train.steps 2000

    Raises as `train.fit` does.
    """
    stores = [Store.open(Path(folder)) for folder in recipe.data]
    facts = {"data": [{"store": store.name, "hash": store.data_hash} for store in stores]}
    return fit(ClassifierTask(stores, recipe.task), recipe.train, recipe.out, facts)
