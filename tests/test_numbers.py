"""The ledger of measured numbers: rows, quotations, and tables of results."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab.ledger.requote import like

from exuvia.errors import DataError
from lab.__main__ import main as lab_main
from lab.ledger.numbers import KEYS, check_documents, quotation_problem, read_rows, record_number, rounds_to

ROOT = Path(__file__).resolve().parents[1]


def row(name: str = "a.b", value: float = 1.925, unit: str = "s", **others: Any) -> dict[str, Any]:
    return dict.fromkeys(KEYS) | {"name": name, "value": value, "unit": unit} | others


def problem(text: str, **others: Any) -> str | None:
    return quotation_problem("a.b", text, {"a.b": row(**others)})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a README, a page of results and a ledger of one row."""
    (tmp_path / "docs" / "results").mkdir(parents=True)
    (tmp_path / "docs" / "results" / "numbers.jsonl").write_text(json.dumps(row()) + "\n")
    return tmp_path


def check(project: Path, readme: str) -> tuple[str, ...]:
    (project / "README.md").write_text(readme)
    return check_documents(project, project / "docs/results/numbers.jsonl").problems


@given(value=st.floats(-1e6, 1e6), decimals=st.integers(0, 6))
def test_a_rounded_number_is_its_rounding(value: float, decimals: int) -> None:
    assert rounds_to(value, f"{value:.{decimals}f}")
    assert rounds_to(value, f"{value:,.{decimals}f}")
    assert not rounds_to(value + 2 * 10.0**-decimals, f"{value:.{decimals}f}")


@pytest.mark.parametrize("text", ["1.9", "1.92", "1.93", "1.925", "**1.9**", " 2 ", "1.925e0"])
def test_quotations_that_hold(text: str) -> None:
    assert problem(text) is None


@pytest.mark.parametrize("text", ["1.8", "1.924", "3", "19"])
def test_quotations_that_differ(text: str) -> None:
    assert "its row says 1.925" in str(problem(text))


def test_intervals_and_half_widths_are_compared() -> None:
    assert problem("1.9 [1.8, 2.1]", low=1.81, high=2.06) is None
    assert problem("1.9 ± 0.1", low=1.81, high=2.06) is None
    assert "quotes high 2.2" in str(problem("1.9 [1.8, 2.2]", low=1.81, high=2.06))
    assert "has none" in str(problem("1.9 ± 0.1"))


def test_percentages() -> None:
    assert problem("51.2 %", value=0.5123, unit="1") is None
    assert problem("51.2 %", value=51.23, unit="%") is None
    assert problem("51.2", value=0.5123, unit="1") is not None


def test_words_are_no_quotation() -> None:
    assert "expected a number" in str(problem("about two"))
    assert "no row has measured it" in str(quotation_problem("x", "1", {}))


@pytest.mark.parametrize(
    ("old", "new", "others"),
    [
        ("1.8", "1.9", {}),
        ("**3.00**", "**1.93**", {}),
        ("2.2 [1.0, 3.0]", "1.9 [1.8, 2.1]", {"low": 1.81, "high": 2.06}),
        ("2.2 ± 0.3", "1.9 ± 0.1", {"low": 1.81, "high": 2.06}),
        ("12 %", "51 %", {"value": 0.5123, "unit": "1"}),
        ("1,000", "12,345", {"value": 12345.4}),
        ("−1.0", "−2.5", {"value": -2.5}),
        ("+1.0", "+2.5", {"value": 2.5}),
        ("1.0e-3", "2.5e-05", {"value": 2.5e-5}),
    ],
)
def test_fixing_keeps_the_form_of_a_quotation(project: Path, old: str, new: str, others: dict[str, Any]) -> None:
    (project / "docs/results/numbers.jsonl").write_text(json.dumps(row(**others)) + "\n")
    (project / "README.md").write_text(f"| speed | <!--n:a.b-->{old}<!--/n--> s |\n")
    assert lab_main(["numbers", "--fix", "--root", str(project)]) == 0
    assert (project / "README.md").read_text() == f"| speed | <!--n:a.b-->{new}<!--/n--> s |\n"


def test_fixing_leaves_what_it_cannot_mend(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "<!--n:a.b-->1.92<!--/n--> <!--n:a.b-->9 ± 1<!--/n--> <!--n:nowhere-->1<!--/n--> <!--n:a.b-->few<!--/n-->"
    (project / "README.md").write_text(text)
    assert lab_main(["numbers", "--fix", "--root", str(project)]) == 1
    assert (project / "README.md").read_text() == text
    assert "3 problems" in capsys.readouterr().out


@given(value=st.floats(-1e6, 1e6), text=st.sampled_from(["1", "1.25", "1,000.0", "−0.5", "+3.1", "2.50e-3"]))
def test_a_number_in_the_form_of_another_is_its_rounding(value: float, text: str) -> None:
    assert rounds_to(value, like(value, text))


def test_a_page_with_matching_numbers_passes(project: Path) -> None:
    assert check(project, "| speed | <!--n:a.b-->1.9<!--/n--> s |\n") == ()


def test_the_last_row_of_a_name_counts(project: Path) -> None:
    with (project / "docs/results/numbers.jsonl").open("a") as stream:
        stream.write(json.dumps(row(value=5.0)) + "\n")
    assert check(project, "<!--n:a.b-->5.0<!--/n-->") == ()
    assert len(check(project, "<!--n:a.b-->1.9<!--/n-->")) == 1


@pytest.mark.parametrize(
    ("readme", "message"),
    [
        ("| FID | 0.045 |\n", "README.md:1: table cell holds 0.045"),
        ("text\n\n<!--n:a.b-->9.9<!--/n-->", "README.md:3: a.b: quotes value 9.9"),
        ("<!--n:c.d-->1<!--/n-->", "no row has measured it"),
        ("<!--n:a.b-->1.9", "without its <!--/n-->"),
    ],
)
def test_problems_name_their_place(project: Path, readme: str, message: str) -> None:
    (found,) = check(project, readme)
    assert message in found


@pytest.mark.parametrize(
    "cell",
    ["0.045 <!--q:guo2024momask, Tab. 1-->", "`--lr 0.1`", "version 1.2.3", "22 joints", "[0, 1]"],
)
def test_cells_that_need_no_row(project: Path, cell: str) -> None:
    assert check(project, f"| a | {cell} |\n") == ()


def test_decimals_in_prose_and_code_are_left_alone(project: Path) -> None:
    assert check(project, "Python 3.11 or newer\n\n```\n| 0.5 |\n```\n") == ()


def test_pages_of_results_are_checked_and_other_pages_only_for_quotations(project: Path) -> None:
    (project / "docs" / "data.md").write_text("| a | 0.5 |\n\n<!--n:a.b-->9<!--/n-->\n")
    (project / "docs" / "results" / "forget.md").write_text("| a | 0.5 |\n")
    places = [text.split(":")[0] for text in check(project, "")]
    assert places == ["docs/data.md", "docs/results/forget.md"]


@pytest.mark.parametrize("key", KEYS)
def test_rows_need_every_key(project: Path, key: str) -> None:
    path = project / "numbers.jsonl"
    path.write_text(json.dumps({k: v for k, v in row().items() if k != key}) + "\n")
    rows, problems = read_rows(path)
    assert not rows
    assert problems == [f"{path}:1: the row lacks {key}"]


@pytest.mark.parametrize("line", ["{", "[1]", json.dumps(row(value="fast")), json.dumps(row()).replace("1.925", "NaN")])
def test_broken_rows_are_problems(project: Path, line: str) -> None:
    path = project / "numbers.jsonl"
    path.write_text(line + "\n")
    assert len(read_rows(path)[1]) == 1


def test_record_appends_a_whole_row(tmp_path: Path) -> None:
    path = tmp_path / "results" / "numbers.jsonl"
    for value in (1.0, 2.0):
        record_number(path, "speed.x_s", value, unit="s", command="python -m lab x", low=0.5, high=3.0, seed=1)
    rows, problems = read_rows(path)
    assert not problems
    assert [one["value"] for one in rows] == [1.0, 2.0]
    assert list(rows[0]) == list(KEYS)
    assert all(rows[0][key] for key in ("commit", "machine", "date"))


def test_record_refuses_what_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="finite"):
        record_number(tmp_path / "n.jsonl", "a", float("nan"), unit="s", command="x")
    with pytest.raises(DataError, match="without blanks"):
        record_number(tmp_path / "n.jsonl", "a b", 1.0, unit="s", command="x")
    assert not list(tmp_path.iterdir())


def test_command_exits_with_one_on_a_problem(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "README.md").write_text("| FID | 0.045 |\n")
    assert lab_main(["numbers", "--root", str(project)]) == 1
    assert "0.045" in capsys.readouterr().err


def test_the_documents_of_this_project_quote_what_was_measured() -> None:
    report = check_documents(ROOT, ROOT / "docs/results/numbers.jsonl")
    assert not report.problems
