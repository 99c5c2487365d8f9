"""The report of a benchmark: numbers, tables, plots, and the page in a real browser."""

import csv
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from exuvia.__main__ import main
from exuvia.errors import DataError
from exuvia.evaluation.metric_table import Scale
from exuvia.evaluation.report import Example, Method, Report, Row, read_report, side_by_side
from exuvia.files import write_json
from exuvia.judges.metrics import interval
from exuvia.report.page import read_clips, write_report
from exuvia.report.pareto import Point, draw, front
from exuvia.tables import Interval

METHODS = ("none", "retrain", "uce", "lcr", "odd")
SCALES = {
    "violence_rate": Scale("lower", "share", "seen as <violent>"),
    "r_precision@3": Scale("higher", "share", "those that were named"),
    "kid": Scale("lower", "1", "distance"),
    "mean_joint_speed_m_per_s": Scale("closer", "m/s", "speed"),
}


def made(seeds: int = 3, methods: tuple[str, ...] = METHODS) -> Report:
    """A made-up report whose last method failed."""
    rng = np.random.default_rng(0)
    rows = [
        Row(part, method, metric, tuple((number / 10 + 0.01 * rng.standard_normal(seeds)).tolist()))
        for part in ("forget", "retain", "implicit")
        for number, method in enumerate(("real", *methods[:-1]))
        if method != "real" or part != "implicit"
        for metric in SCALES
    ]
    costs = [Method(label, label, {}, edit_s=1.0, evaluation_s=2.0) for label in methods[:-1]]
    costs.append(Method(methods[-1], methods[-1], {}, "failed", "found <script> in the weights"))
    example = Example("forget", "a man </script> kicks", 0, {m: f"0.{m}" for m in methods[:-1]})
    about = {"concept": "violence", "data": "made up", "prompts": {"forget": 18}, "seeds": list(range(seeds))}
    return Report(about, tuple(costs), SCALES, tuple(rows), ("a note",), (example,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A benchmark's folder."""
    write_json(tmp_path / "run" / "report.json", made().to_dict())
    joints = np.random.default_rng(0).random((30, 22, 3)).astype(np.float16)
    save_file({f"0.{m}": joints for m in METHODS[:-1]}, tmp_path / "run" / "examples.safetensors")
    return tmp_path / "run"


def page_of(folder: Path) -> Path:
    """Its page."""
    return write_report(read_report(folder), folder / "report", read_clips(folder))


@pytest.mark.parametrize(("values", "pale"), [((0.0, 0.0), False), ((0.7, 0.8), True), ((0.0,), True)])
def test_a_difference_is_pale_where_it_may_be_none(tmp_path: Path, values: tuple[float, ...], pale: bool) -> None:
    """Equal on all seeds it is a certain one; with one seed nobody knows."""
    untouched = Row("forget", "none", "violence_rate", (0.75,) * len(values))
    rows = (untouched, Row("forget", "uce", "violence_rate", values))
    report = Report({"concept": "violence"}, tuple(Method(m, m, {}) for m in ("none", "uce")), SCALES, rows)
    page = write_report(report, tmp_path / "report", {}).read_text(encoding="utf-8")
    assert ('<small class="same">' in page) is pale
    assert "<small" in page


def test_differences_are_taken_seed_by_seed() -> None:
    report = made()
    values = {(r.set, r.method, r.metric): np.asarray(r.values) for r in report.rows}
    assert report.at("forget", "uce", "kid") == interval(values["forget", "uce", "kid"])
    for yardstick in ("none", "retrain"):
        gap = interval(values["forget", "uce", "kid"] - values["forget", yardstick, "kid"])
        assert report.difference("forget", "uce", "kid", yardstick) == gap
    assert report.difference("forget", "none", "kid", "none") is None
    assert report.difference("forget", "real", "kid", "none") is None
    assert report.difference("forget", "uce", "kid", "lcr9") is None


def test_one_seed_has_no_limits() -> None:
    report = made(seeds=1)
    assert {row["low"] for row in report.to_dict()["rows"]} == {None}
    assert "±" not in str(report)
    assert r"\pm" not in report.latex()


def test_values_that_are_all_alike_have_no_limits() -> None:
    same = Row("forget", "real", "kid", (0.1,) * 5)
    assert (same.estimate.low, same.estimate.mean, same.estimate.high) == (0.1, 0.1, 0.1)


def test_the_files_hold_the_same_numbers(folder: Path) -> None:
    report = read_report(folder)
    assert report == made()
    out = page_of(folder).parent
    rows = list(csv.DictReader((out / "report.csv").open(encoding="utf-8")))
    assert len(rows) == len(report.rows)
    for line, row in zip(rows, report.rows, strict=True):
        assert (line["set"], line["method"], line["metric"]) == (row.set, row.method, row.metric)
        assert float(line["value"]) == row.estimate.mean
        gap = report.difference(row.set, row.method, row.metric, "none")
        assert line["minus none"] == ("" if gap is None else repr(gap.mean))
    assert read_report(out) == report
    tex = (out / "report.tex").read_text(encoding="utf-8")
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 3
    assert r"violence\_rate" in tex
    assert r"\mathbf" in tex


def test_a_name_with_a_comma_is_one_cell(tmp_path: Path) -> None:
    report = made(methods=("none", 'a, "b"', "odd"))
    (tmp_path / "t.csv").write_text(report.csv(), encoding="utf-8")
    rows = list(csv.DictReader((tmp_path / "t.csv").open(encoding="utf-8")))
    assert {row["method"] for row in rows} == {"real", "none", 'a, "b"'}


def test_yardsticks_do_not_compete() -> None:
    table = made().table("forget")
    kid = 1 + list(SCALES).index("kid")
    best = {table.rows[i][0] for i in table.best(kid)}
    assert best == {"uce"}  # none and retrain have less


def test_redrawing_gives_the_same_bytes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder), "--out", str(tmp_path / "page")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "page" / "index.html")
    page = page_of(folder)
    for path in page.parent.iterdir():
        assert path.read_bytes() == (tmp_path / "page" / path.name).read_bytes()


def test_reports_stand_side_by_side(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared = [row for row in made().rows if row.method in ("none", "real")]
    own = [replace(row, method="edited") for row in made().rows if row.method == "lcr"]
    other = replace(made(), rows=(*shared, *own), methods=(Method("none", "", {}), Method("edited", "lcr", {})))
    other.save(tmp_path / "safe")
    joined = side_by_side({"run": read_report(folder), "safe": read_report(tmp_path / "safe")})
    assert joined.labels("forget") == ["real", "none", "retrain", "run/uce", "run/lcr", "safe"]
    assert joined.value("forget", "safe", "kid") == joined.value("forget", "run/lcr", "kid")
    moved = replace(other, rows=tuple(replace(row, values=(1.0, 2.0, 4.0)) for row in other.rows))
    again = side_by_side({"run": read_report(folder), "moved": moved})
    assert {"none", "moved/none", "moved/real", "moved"} <= set(again.labels("forget"))
    assert main(["report", str(folder), str(tmp_path / "safe" / "report.json"), "--only", "forget.kid"]) == 0
    text = capsys.readouterr().out
    assert "safe" in text
    assert "retain" not in text.split("What")[0].split("- ")[0]


def test_tables_go_to_files_by_their_ending(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, part in (("t.md", "**forget** (18 prompts)"), ("t.csv", "set,method,metric"), ("t.tex", "% forget")):
        assert main(["report", str(folder), "--out", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(part)
    capsys.readouterr()
    assert main(["report", str(folder), "--out", str(tmp_path / "t.xls")]) == 2
    assert "expected a folder or a name in .md, .csv, .tex" in capsys.readouterr().err
    assert main(["report", str(folder), "--only", "nothing."]) == 2
    assert "no quantity that starts with nothing." in capsys.readouterr().err


def test_texts_are_escaped_and_failures_are_told(folder: Path) -> None:
    page = page_of(folder).read_text(encoding="utf-8")
    assert "odd failed: found &lt;script&gt; in the weights" in page
    assert "a man </script> kicks" not in page
    assert "seen as &lt;violent&gt;" in page
    assert "a note" in page


def test_a_page_without_matplotlib_says_how_to_get_charts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = page_of(folder).read_text(encoding="utf-8")
    assert "charts need matplotlib" in page
    assert "<svg" not in page


def test_the_front_is_what_nothing_beats() -> None:
    def point(label: str, x: float, y: float) -> Point:
        return Point(label, Interval(x, x, x), Interval(y, y, y))

    points = [point("a", 0, 1), point("b", 1, 0), point("c", 0.5, 0.5), point("d", 0.4, 0.4), point("e", 0.5, 0.5)]
    assert [p.label for p in front(points)] == ["a", "c", "e", "b"]
    picture = draw(points, "a & b", "x", "y")
    assert [label for label in "abcde" if re.search(rf">{label}</text>", picture)] == list("abcde")
    assert 'aria-label="a &amp; b"' in picture
    assert draw([], "", "", "") == ""


def test_names_of_a_chart_keep_apart() -> None:
    def point(label: str, x: float, y: float) -> Point:
        return Point(label, Interval(x, x, x), Interval(y, y, y))

    near = [point("none", 0.80, 0.2), *(point(f"twin {n}", 0.93 + n / 1000, 1.0) for n in range(4))]
    places = re.findall(r'x="([\d.]+)" y="([\d.]+)"[^>]*>twin', draw(near, "t", "x", "y"))
    assert len(set(places)) == 4
    heights = sorted(float(y) for _, y in places)
    sides = len({round(float(x)) for x, _ in places})
    assert sides > 1 or min(b - a for a, b in pairwise(heights)) > 8


def test_damaged_reports_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=r"has no report\.json"):
        read_report(tmp_path)
    write_json(tmp_path / "report.json", {"about": {}, "forget": {}})
    assert main(["report", str(tmp_path)]) == 2
    assert "is not a report of this version (None, expected 'exuvia-report/1')" in capsys.readouterr().err
    whole = made().to_dict()
    for key, value, message in (
        ("rows", [{"set": "forget"}], r"rows\.0\.method: Field required"),
        ("rows", [whole["rows"][0] | {"metric": "unknown"}], "unknown of real on the forget set"),
        ("rows", [whole["rows"][0] | {"values": []}], "cannot be read"),
        ("methods", None, "methods: Input should be a valid array"),
    ):
        write_json(tmp_path / "report.json", whole | {key: value})
        with pytest.raises(DataError, match=message):
            read_report(tmp_path)


PROBE = """
<script>
addEventListener('load', () => setTimeout(() => {
  const tab = document.querySelectorAll('.tabs button')[1];
  tab.click();
  const shown = [...document.querySelectorAll('.report section')].map(s => !s.hidden).join();
  const table = document.querySelectorAll('.report section')[1].querySelector('table');
  const head = table.tHead.rows[0].cells[1];
  const names = () => [...table.tBodies[0].rows].map(r => r.cells[0].textContent).join();
  head.click();
  const up = names();
  head.click();
  const canvas = document.querySelectorAll('canvas').length;
  const plot = document.querySelector('.pareto').getBoundingClientRect().width > 200;
  document.title = ['shown', shown, 'up', up, 'down', names(), 'canvas', canvas > 0, 'plot', plot].join('|');
}, 500));
</script></body>"""


def test_the_page_works_in_a_browser(folder: Path, tmp_path: Path) -> None:
    browser = next((b for b in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if b), None)
    if browser is None:
        pytest.skip("no Chromium on the PATH")
    page = page_of(folder)
    probed = tmp_path / "probed.html"
    probed.write_text(page.read_text(encoding="utf-8").replace("</body>", PROBE), encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --use-angle=swiftshader --enable-unsafe-swiftshader --dump-dom"
    flags += " --enable-logging=stderr --virtual-time-budget=4000 --window-size=1280,900"
    command = [browser, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", probed.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    title = re.findall(r"<title>(.*?)</title>", done.stdout)[0]
    facts = dict(zip(title.split("|")[::2], title.split("|")[1::2], strict=True))
    assert facts["shown"] == "false,true,false"
    assert facts["up"] == "real,none,retrain,uce,lcr"
    assert facts["down"] == "lcr,uce,retrain,none,real"
    assert facts["canvas"] == "true"
    assert facts["plot"] == "true"
