"""How the motion-text retrieval model is trained."""

from pathlib import Path

from exuvia.data.store import Store
from exuvia.judges.retrieval_task import RetrievalTask
from exuvia.recipes.settings import RetrievalRecipe
from exuvia.train import fit


def train_retrieval(recipe: RetrievalRecipe) -> dict[str, float]:
    """Train, continue or return a retrieval run: either of motion and caption finds the other.

    Examples:
        exuvia train retrieval --data stores/mocap --out runs/retrieval --train.steps 4000

    Raises as `train.fit` does.
    """
    stores = [Store.open(Path(folder)) for folder in recipe.data]
    facts = {"data": [{"store": store.name, "hash": store.data_hash} for store in stores]}
    return fit(RetrievalTask(stores, recipe.task), recipe.train, recipe.out, facts)
