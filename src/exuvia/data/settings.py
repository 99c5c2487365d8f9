"""Settings that select the clips for a training. This module imports neither NumPy nor PyTorch."""

from exuvia.config import NotNegative, Share, settings


@settings
class CorpusConfig:
    """Stores and clips to learn from."""

    data: tuple[str, ...] = ()
    """Folders made by `exuvia prepare`."""
    shares: tuple[NotNegative, ...] = ()
    """Probability of drawing from each store; empty: in proportion to its frames."""
    source_power: Share = 1.0
    """Chance of drawing from each source of a store: its size to this power; 1: by size, 0: all sources alike."""
    sensors: tuple[str, ...] = ()
    """Only clips of these sensors (optical, kinect, synthetic ...); empty: all."""
    without: tuple[str, ...] = ()
    """Concepts (violence, kick ...) whose clips are left out of every split, so that the generator never sees them."""
