"""Scores of motions that somebody looked at: they belong to one generator and to known prompts."""

from pathlib import Path

import pytest

from exuvia.errors import DataError
from lab.experiments.looks import read_looks
from lab.table import COMMAND


def test_there_are_24_prompts_of_the_review_and_24_others(tmp_path: Path) -> None:
    looks = read_looks(tmp_path / "scores.toml")
    assert [look.source for look in looks] == ["review"] * 24 + ["own"] * 24
    assert len({look.text for look in looks}) == 48
    assert not any(look.scores for look in looks)
    assert "looks" in COMMAND


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('"a person squats" = [3, 2, 1, "low"]', ""),
        ('"a person flies" = [3, 2, 1, "high"]', "which is not one of the prompts"),
        ('"a person squats" = [3, 4, 1, "low"]', "three scores from 0 to 3 and a remark"),
        ('"a person squats" = [3, 2]', "three scores from 0 to 3 and a remark"),
    ],
)
def test_scores_are_read_or_refused(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "scores.toml"
    path.write_text(f'generator = "abc"\n[scores]\n{line}\n')
    if says:
        with pytest.raises(DataError, match=says):
            read_looks(path, "abc")
        return
    (look,) = (look for look in read_looks(path, "abc") if look.scores)
    assert look[1:] == ("a person squats", (3, 2, 1), "low")
    with pytest.raises(DataError, match="scores of the generator abc, not of xyz"):
        read_looks(path, "xyz")
