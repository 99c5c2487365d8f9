"""Tables as Markdown, CSV and LaTeX: the same numbers in each, intervals in the cells, the winners bold."""

import csv
import io

import pytest

from exuvia.errors import ConfigError
from exuvia.judges.metrics import interval
from exuvia.tables import Column, Interval, Table, cell_text, number

TABLE = Table(
    [Column("method"), Column("fid", "lower", 1), Column("speed", "closer"), Column("r|3", "higher", 2)],
    [
        ["real", 1.0, 0.5, 0.9],
        ["a, b", Interval(20.0, 18.0, 22.0), 0.7, 0.61],
        ["c_d", Interval(21.5, 20.0, 23.0), 0.4, None],
        ["e", Interval(30.0, 29.0, 31.0), 0.9, 0.5],
    ],
    target="real",
)


def test_markdown_has_intervals_and_bold_winners() -> None:
    lines = TABLE.markdown().splitlines()
    cells = [[cell.strip() for cell in line.replace(r"\|", "/").strip("|").split("|")] for line in lines]
    assert cells[0] == ["method", "fid ↓", "speed →", "r/3 ↑"]
    assert cells[2] == ["real", "1.0", "0.500", "0.90"]
    assert cells[3] == ["a, b", "**20.0 ± 2.0**", "0.700", "**0.61**"]
    assert cells[4] == ["c_d", "**21.5 ± 1.5**", "**0.400**", ""]  # 21.5 lies within [18, 22]
    assert cells[5] == ["e", "30.0 ± 1.0", "0.900", "0.50"]


def test_turned_tables_have_a_line_a_column() -> None:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.markdown(turned=True).splitlines()]
    assert lines[0] == ["method", "real", "a, b", "c_d", "e"]
    assert lines[2] == ["fid ↓", "1.0", "**20.0 ± 2.0**", "**21.5 ± 1.5**", "30.0 ± 1.0"]


def test_nothing_is_bold_where_all_are_level_or_nobody_competes() -> None:
    columns = [Column("m"), Column("fid", "lower")]
    level = Table(columns, [["a", Interval(2.0, 1.0, 3.0)], ["b", Interval(2.5, 2.0, 3.0)]])
    alone = Table(columns, [["none", 1.0], ["b", 2.0]], aside=("none",))
    no_target = Table([Column("m"), Column("speed", "closer")], [["a", 1.0], ["b", 2.0]], target="real")
    assert not any("**" in table.markdown() for table in (level, alone, no_target))


def test_csv_keeps_every_digit_and_names_with_commas() -> None:
    rows = list(csv.DictReader(io.StringIO(TABLE.csv())))
    assert [row["method"] for row in rows] == ["real", "a, b", "c_d", "e"]
    assert (rows[1]["fid"], rows[1]["fid low"], rows[1]["fid high"]) == ("20.0", "18.0", "22.0")
    assert (rows[0]["fid low"], rows[2]["r|3"]) == ("", "")
    third = interval([0.1, 0.2, 0.4])
    exact = Table([Column("a"), Column("x")], [["b", third]])
    assert next(csv.DictReader(io.StringIO(exact.csv())))["x"] == repr(third.mean)


def test_latex_is_escaped_and_has_rules() -> None:
    text = TABLE.latex()
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")
    assert r"c\_d" in text
    assert r"$\mathbf{20.0} \pm 2.0$" in text
    assert r"fid $\downarrow$" in text
    assert r"\hline" not in text


def test_cells_show_limits_that_are_not_alike_in_brackets() -> None:
    assert cell_text(Interval(0.1, 0.05, 0.4)) == "0.100 [0.0500, 0.400]"
    assert cell_text(Interval(0.1, 0.05, 0.4), 2) == "0.10 [0.05, 0.40]"
    assert cell_text(Interval(0.5, 0.5, 0.5)) == "0.500"
    assert cell_text(Interval(0.0, -1.5e308, 1.5e308)) == "0 [-1.5e+308, 1.5e+308]"
    assert (number(1234.5), number(7), number(float("nan")), number(2.5e-7)) == ("1234", "7", "nan", "2.5e-07")


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ConfigError, match="a row of 1 cells in a table of 2 columns"):
        Table([Column("a"), Column("b")], [["x"]])
