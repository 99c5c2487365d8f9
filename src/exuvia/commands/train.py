"""`exuvia train PART`: a run folder of one part of a generator, or of a judge of motions.

Every training is deterministic, goes on where it was killed, and returns at once where it is finished. They raise as
`train.fit` does.
"""

from exuvia.recipes.settings import (
    BAMMRecipe,
    CausalRecipe,
    ClassifierRecipe,
    EvaluatorRecipe,
    LengthRecipe,
    MaskRecipe,
    ResidualRecipe,
    RetrievalRecipe,
    TokenizerRecipe,
)


def train_tokenizer(recipe: TokenizerRecipe) -> None:
    """Train the motion tokenizer: windows of motion in, the same motion out, through a few codes."""
    from exuvia.recipes import tokenizer

    tokenizer.train_tokenizer(recipe)


def train_mask(recipe: MaskRecipe) -> None:
    """Train the masked transformer: captions and some base codes in, the hidden base codes out."""
    from exuvia.recipes.generator import train_part

    train_part(recipe)


def train_bamm(recipe: BAMMRecipe) -> None:
    """Train BAMM, which writes base codes from left to right, revises them, and finds its own lengths."""
    from exuvia.recipes.generator import train_part

    train_part(recipe)


def train_causal(recipe: CausalRecipe) -> None:
    """Train the state-space generator, which writes base codes one after the other from a carried state."""
    from exuvia.recipes.generator import train_part

    train_part(recipe)


def train_residual(recipe: ResidualRecipe) -> None:
    """Train the transformer that adds the residual codes, level by level."""
    from exuvia.recipes.generator import train_part

    train_part(recipe)


def train_length(recipe: LengthRecipe) -> None:
    """Train the estimator of a motion's length from its caption."""
    from exuvia.recipes.generator import train_part

    train_part(recipe)


def train_evaluator(recipe: EvaluatorRecipe) -> None:
    """Train the text-motion evaluator: captions and motions into one space, in which metrics are measured."""
    from exuvia.recipes.judges import train_judge

    train_judge(recipe)


def train_retrieval(recipe: RetrievalRecipe) -> None:
    """Train the motion-text retrieval model: either of motion and caption finds the other."""
    from exuvia.recipes.judges import train_judge

    train_judge(recipe)


def train_classifier(recipe: ClassifierRecipe) -> None:
    """Train the classifier that tells violence and groups of actions from motion alone."""
    from exuvia.recipes.judges import train_judge

    train_judge(recipe)
