"""Training of the models that judge motion: evaluator, violence classifier and retrieval model."""

from collections.abc import Callable
from functools import partial

from exuvia.data.clips import open_corpus
from exuvia.judges.retrieval_task import RetrievalTask
from exuvia.judges.tasks import ClassifierTask, EvaluatorTask
from exuvia.recipes.settings import ClassifierRecipe, EvaluatorRecipe, RetrievalRecipe
from exuvia.text.word_vectors import MiniLMWords
from exuvia.train import Task, fit


def train_judge(recipe: ClassifierRecipe | EvaluatorRecipe | RetrievalRecipe) -> dict[str, float]:
    """Train the model of a recipe, or continue or return its run. Raises the errors of `train.fit`."""
    clips, facts = open_corpus(recipe.corpus)
    make: Callable[[], Task]
    if isinstance(recipe, ClassifierRecipe):
        make = partial(ClassifierTask, clips, recipe.task)
    elif isinstance(recipe, EvaluatorRecipe):
        make = partial(EvaluatorTask, clips, MiniLMWords(), recipe.task)
    else:
        make = partial(RetrievalTask, clips, recipe.task)
    return fit(make, recipe.train, recipe.out, facts)
