"""How the models that judge generators are trained: evaluator, violence classifier and retrieval model."""

from collections.abc import Callable
from pathlib import Path

from exuvia.data.store import Store
from exuvia.judges.retrieval_task import RetrievalTask
from exuvia.judges.tasks import ClassifierTask, EvaluatorTask
from exuvia.recipes.settings import ClassifierRecipe, EvaluatorRecipe, RetrievalRecipe
from exuvia.text.word_vectors import MiniLMWords
from exuvia.train import Task, fit


def train_classifier(recipe: ClassifierRecipe) -> dict[str, float]:
    """Train, continue or return a classifier run: motions in, violence and groups of actions out.

    Examples:
        exuvia train classifier --data stores/mocap --out runs/classifier --train.steps 2000

    Raises as `train.fit` does.
    """
    return _fitted(recipe, lambda stores: ClassifierTask(stores, recipe.task))


def train_evaluator(recipe: EvaluatorRecipe) -> dict[str, float]:
    """Train, continue or return an evaluator run: captions and motions into one space.

    Examples:
        exuvia train evaluator --data stores/mocap --out runs/evaluator --train.steps 4000

    Raises as `train.fit` does.
    """
    return _fitted(recipe, lambda stores: EvaluatorTask(stores, MiniLMWords(), recipe.task))


def train_retrieval(recipe: RetrievalRecipe) -> dict[str, float]:
    """Train, continue or return a retrieval run: either of motion and caption finds the other.

    Examples:
        exuvia train retrieval --data stores/mocap --out runs/retrieval --train.steps 4000

    Raises as `train.fit` does.
    """
    return _fitted(recipe, lambda stores: RetrievalTask(stores, recipe.task))


def _fitted(
    recipe: ClassifierRecipe | EvaluatorRecipe | RetrievalRecipe, task: Callable[[list[Store]], Task]
) -> dict[str, float]:
    stores = [Store.open(Path(folder)) for folder in recipe.data]
    facts = {"data": [{"store": store.name, "hash": store.data_hash} for store in stores]}
    return fit(task(stores), recipe.train, recipe.out, facts)
