"""How the motion-text retrieval model is trained."""

from dataclasses import dataclass, field
from pathlib import Path

from exuvia.data.store import Store
from exuvia.judges.retrieval_task import RetrievalTask, RetrievalTaskConfig
from exuvia.train import TrainConfig, fit


@dataclass(frozen=True)
class RetrievalRecipe:
    """Everything that decides a retrieval training."""

    out: str = "runs/retrieval"
    """Run folder."""
    data: tuple[str, ...] = ()
    """Folders made by `exuvia prepare`."""
    task: RetrievalTaskConfig = field(default_factory=RetrievalTaskConfig)
    """Sizes and losses."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Steps and rates."""


def train_retrieval(recipe: RetrievalRecipe) -> dict[str, float]:
    """Train, continue or return a retrieval run: either of motion and caption finds the other.

    Examples:
        exuvia train retrieval --data stores/mocap --out runs/retrieval --train.steps 4000

    Raises as `train.fit` does.
    """
    stores = [Store.open(Path(folder)) for folder in recipe.data]
    facts = {"data": [{"store": store.name, "hash": store.data_hash} for store in stores]}
    return fit(RetrievalTask(stores, recipe.task), recipe.train, recipe.out, facts)
