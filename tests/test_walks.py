"""A caption, a clip and a row of the benchmark go down the floors of the house: at most three places call back up."""

from pathlib import Path

import pytest
import walk


@pytest.mark.parametrize("name", walk.WALKS)
def test_at_most_three_places_of_a_walk_call_back_up(name: str, tmp_path: Path) -> None:
    taken = walk.WALKS[name](tmp_path)
    assert len(taken.steps) > 10
    places = {lower for lower, _ in taken.climbs}  # one that builds what it is handed counts once
    assert len(places) <= 3, taken.climbs
