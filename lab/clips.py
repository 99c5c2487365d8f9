"""Clips of a store that an experiment looks at."""

from collections.abc import Sequence
from typing import Any

from exuvia.data.store import Store
from exuvia.errors import ConfigError


def chosen_clips(store: Store, split: str, sensors: Sequence[str]) -> list[int]:
    """Numbers of a split's clips of some sensors; of all without any. Raises ConfigError if there is none."""
    wanted: dict[str, Any] = {"split": split} | ({"sensor": list(sensors)} if sensors else {})
    numbers = [int(number) for number in store.select(**wanted)]
    if not numbers:
        raise ConfigError(f"{store.folder} has no {split} clips of {', '.join(sensors) or 'any sensor'}")
    return numbers


def clips_name(split: str, sensors: Sequence[str]) -> str:
    """How names of rows say which clips: `optical_test`, `all_test`."""
    return f"{'_'.join(sensors) or 'all'}_{split}"
