"""The report of a benchmark: numbers, tables, plots, and the page in a real browser."""

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from exuvia.__main__ import main
from exuvia.errors import DataError
from exuvia.files import read_json, write_json
from exuvia.judges.metrics import Interval, interval
from exuvia.report.export import to_csv, to_latex
from exuvia.report.page import write_report
from exuvia.report.pareto import Point, draw, front
from exuvia.report.summary import read_results, summarise

METHODS = ("none", "retrain", "uce", "lcr", "odd")
METRICS = {
    "violence_rate": {"better": "lower", "unit": "share", "meaning": "seen as <violent>"},
    "r_precision@3": {"better": "higher", "unit": "share", "meaning": "found"},
    "kid": {"better": "lower", "unit": "1", "meaning": "distance"},
    "mean_joint_speed_m_per_s": {"better": "closer", "unit": "m/s", "meaning": "speed"},
}


def results(seeds: int = 3) -> dict[str, Any]:
    """Made-up results of five methods, one of which failed."""
    rng = np.random.default_rng(0)
    rows = []
    for part in ("forget", "retain", "implicit"):
        for number, method in enumerate(("real", *METHODS[:-1])):
            if method == "real" and part == "implicit":
                continue
            for metric in METRICS:
                values = (number / 10 + 0.01 * rng.standard_normal(seeds)).tolist()
                rows.append({"set": part, "method": method, "metric": metric, "values": values})
    methods = [
        {"label": m, "name": m, "settings": {}, "status": "ok", "message": "", "edit_s": 1.0, "evaluation_s": 2.0}
        for m in METHODS
    ]
    methods[-1] |= {"status": "failed", "message": "found <script> in the weights"}
    examples = [
        {"set": "forget", "prompt": "a man </script> kicks", "seed": 0, "motions": {m: f"0.{m}" for m in METHODS[:-1]}}
    ]
    about = {"concept": "violence", "data": "made up", "prompts": {"forget": 18}, "seeds": list(range(seeds))}
    return {"about": about, "methods": methods, "metrics": METRICS, "rows": rows, "examples": examples}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A benchmark's folder."""
    write_json(tmp_path / "run" / "results.json", results())
    joints = np.random.default_rng(0).random((30, 22, 3)).astype(np.float16)
    save_file({f"0.{m}": joints for m in METHODS[:-1]}, tmp_path / "run" / "examples.safetensors")
    return tmp_path / "run"


def test_differences_are_taken_seed_by_seed() -> None:
    found = results()
    summary = summarise(found)
    rows = {(r["set"], r["method"], r["metric"]): np.asarray(r["values"]) for r in found["rows"]}
    line = summary.at("forget", "uce", "kid")
    assert line is not None
    assert line.estimate == interval(rows["forget", "uce", "kid"])
    for yardstick in ("none", "retrain"):
        assert line.against[yardstick] == interval(rows["forget", "uce", "kid"] - rows["forget", yardstick, "kid"])
    assert line.differs("none")
    none = summary.at("forget", "none", "kid")
    assert none is not None
    assert "none" not in none.against


def test_one_seed_has_no_limits() -> None:
    summary = summarise(results(seeds=1))
    line = summary.at("forget", "uce", "kid")
    assert line is not None
    assert not line.differs("none")
    rows = list(csv.DictReader(io.StringIO(to_csv(summary))))
    assert {row["low"] for row in rows} == {""}
    assert r"\pm" not in to_latex(summary)


def test_the_exports_hold_the_same_numbers(folder: Path, tmp_path: Path) -> None:
    write_report(folder, tmp_path / "out")
    summary = read_results(folder)
    rows = list(csv.DictReader((tmp_path / "out" / "table.csv").open(encoding="utf-8")))
    nested = read_json(tmp_path / "out" / "table.json")["sets"]
    assert len(rows) == len(summary.lines)
    for row, line in zip(rows, summary.lines, strict=True):
        assert float(row["mean"]) == line.estimate.mean
        assert nested[line.set][line.metric][line.method]["value"] == line.estimate.mean
    tex = (tmp_path / "out" / "table.tex").read_text(encoding="utf-8")
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 3
    assert r"violence\_rate" in tex
    assert r"\mathbf" in tex


def test_redrawing_gives_the_same_bytes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report" / "index.html")
    write_report(folder, tmp_path / "again")
    for path in (folder / "report").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_texts_are_escaped_and_failures_are_told(folder: Path) -> None:
    page = write_report(folder).read_text(encoding="utf-8")
    assert "odd failed: found &lt;script&gt; in the weights" in page
    assert "a man </script> kicks" not in page
    assert "seen as &lt;violent&gt;" in page


def test_the_front_is_what_nothing_beats() -> None:
    def point(label: str, x: float, y: float) -> Point:
        return Point(label, Interval(x, x, x), Interval(y, y, y))

    points = [point("a", 0, 1), point("b", 1, 0), point("c", 0.5, 0.5), point("d", 0.4, 0.4), point("e", 0.5, 0.5)]
    assert [p.label for p in front(points)] == ["a", "c", "e", "b"]
    picture = draw(points, "a & b", "x", "y")
    assert picture.count("<circle") == 5
    assert "a &amp; b" in picture
    assert draw([], "", "", "") == ""


def test_ticks_are_round_and_names_keep_apart() -> None:
    def point(label: str, x: float, y: float) -> Point:
        return Point(label, Interval(x, x, x), Interval(y, y, y))

    picture = draw([point("none", 0.80, 0.2), point("retrain", 0.93, 1.0), point("twin", 0.931, 1.0)], "t", "x", "y")
    texts = re.findall(r">([^<>]+)</text>", picture)
    ticks = [text for text in texts if re.fullmatch(r"-?[\d.]+", text)]
    assert {"0.8", "0.2", "1"} <= set(ticks)
    assert all(len(text) <= 4 for text in ticks)
    found = re.findall(r'<text x="([-\d.]+)" y="([-\d.]+)" text-anchor="(\w+)">(retrain|twin)</text>', picture)
    (x1, y1, anchor1, _), (x2, y2, anchor2, _) = found
    assert (anchor1 != anchor2 and abs(float(x1) - float(x2)) > 10) or abs(float(y1) - float(y2)) > 10


def test_damaged_results_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=r"has no results\.json"):
        write_report(tmp_path)
    write_json(tmp_path / "results.json", {"about": {}})
    assert main(["report", str(tmp_path)]) == 2
    assert "has no 'methods'" in capsys.readouterr().err
    write_json(tmp_path / "results.json", results() | {"rows": [{"set": "forget"}]})
    with pytest.raises(DataError, match="a row of the results"):
        write_report(tmp_path)
    assert not (tmp_path / "report").exists()


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
    page = write_report(folder)
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
