"""How the independent concept classifier is trained."""

from dataclasses import dataclass, field
from pathlib import Path

from exuvia.data.store import Store
from exuvia.judges.tasks import ClassifierTask, ClassifierTaskConfig
from exuvia.train import TrainConfig, fit


@dataclass(frozen=True)
class ClassifierRecipe:
    """Everything that decides a classifier training."""

    out: str = "runs/classifier"
    """Run folder."""
    data: tuple[str, ...] = ()
    """Folders made by `exuvia prepare`."""
    task: ClassifierTaskConfig = field(default_factory=ClassifierTaskConfig)
    """Sizes and augmentation."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Steps and rates."""


def train_classifier(recipe: ClassifierRecipe) -> dict[str, float]:
    """Train, continue or return a classifier run: motions in, violence and groups of actions out.

    Examples:
        exuvia train classifier --data stores/mocap --out runs/classifier --train.steps 2000

    Raises as `train.fit` does.
    """
    stores = [Store.open(Path(folder)) for folder in recipe.data]
    facts = {"data": [{"store": store.name, "hash": store.data_hash} for store in stores]}
    return fit(ClassifierTask(stores, recipe.task), recipe.train, recipe.out, facts)
