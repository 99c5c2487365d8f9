"""Training of the models that judge motion: evaluator, violence classifier and retrieval model."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from exuvia.data.store import Store
from exuvia.judges.retrieval_task import RetrievalTask
from exuvia.judges.tasks import ClassifierTask, EvaluatorTask
from exuvia.recipes.settings import ClassifierRecipe, EvaluatorRecipe, RetrievalRecipe
from exuvia.text.word_vectors import MiniLMWords
from exuvia.train import Task, fit


def train_judge(recipe: ClassifierRecipe | EvaluatorRecipe | RetrievalRecipe) -> dict[str, float]:
    """Train the model of a recipe, or continue or return its run. Raises the errors of `train.fit`."""
    stores = [Store.open(Path(folder)) for folder in recipe.data]
    make: Callable[[], Task]
    if isinstance(recipe, ClassifierRecipe):
        make = partial(ClassifierTask, stores, recipe.task)
    elif isinstance(recipe, EvaluatorRecipe):
        make = partial(EvaluatorTask, stores, MiniLMWords(), recipe.task)
    else:
        make = partial(RetrievalTask, stores, recipe.task)
    facts = {"data": [{"store": store.name, "hash": store.data_hash} for store in stores]}
    return fit(make, recipe.train, recipe.out, facts)
