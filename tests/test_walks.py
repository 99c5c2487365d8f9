"""A caption, a clip and a row of the benchmark go down the floors of the house: at most three calls climb."""

from pathlib import Path

import pytest
import walk


@pytest.mark.parametrize("name", walk.WALKS)
def test_a_walk_climbs_at_most_three_times(name: str, tmp_path: Path) -> None:
    taken = walk.WALKS[name](tmp_path)
    assert len(taken.steps) > 10
    assert len(taken.climbs) <= 3, taken.climbs
