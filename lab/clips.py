"""Selects the clips of a store for an experiment."""

from collections.abc import Sequence
from typing import Any

from exuvia.data.store import Store
from exuvia.errors import ConfigError


def chosen_clips(store: Store, split: str, sensors: Sequence[str]) -> list[int]:
    """Return the indices of a split's clips of the given sensors (default: all). Raises ConfigError without clips."""
    wanted: dict[str, Any] = {"split": split} | ({"sensor": list(sensors)} if sensors else {})
    numbers = [int(number) for number in store.select(**wanted)]
    if not numbers:
        raise ConfigError(f"{store.folder} has no {split} clips of {', '.join(sensors) or 'any sensor'}")
    return numbers


def clips_name(split: str, sensors: Sequence[str]) -> str:
    """Return the part of a row's name that says which clips: `optical_test`, `all_test`."""
    return f"{'_'.join(sensors) or 'all'}_{split}"
