"""How the text-motion evaluator is trained."""

from pathlib import Path

from exuvia.data.store import Store
from exuvia.judges.tasks import EvaluatorTask
from exuvia.recipes.settings import EvaluatorRecipe
from exuvia.text.word_vectors import MiniLMWords
from exuvia.train import fit


def train_evaluator(recipe: EvaluatorRecipe) -> dict[str, float]:
    """Train, continue or return an evaluator run: captions and motions into one space.

    Examples:
        exuvia train evaluator --data stores/mocap --out runs/evaluator --train.steps 4000

    Raises as `train.fit` does.
    """
    stores = [Store.open(Path(folder)) for folder in recipe.data]
    facts = {"data": [{"store": store.name, "hash": store.data_hash} for store in stores]}
    return fit(EvaluatorTask(stores, MiniLMWords(), recipe.task), recipe.train, recipe.out, facts)
