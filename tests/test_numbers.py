"""The ledger of measured numbers: rows as they were observed, and documents rendered from templates."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.checkpoint import command_line
from exuvia.errors import DataError
from exuvia.evaluation.metric_table import METRICS as METRIC_TABLE
from exuvia.evaluation.report import Method, Report, Row
from lab.__main__ import main as lab_main
from lab.ledger.numbers import KEYS, Number, read_rows, record_number, record_numbers
from lab.ledger.quotes import Quotes, written
from lab.ledger.render import check_documents
from lab.ledger.tables import (
    across_table,
    backbones_table,
    benchmark_table,
    frames_table,
    leaderboard_table,
    scan_table,
    selectivity_table,
    sequence_table,
)

ROOT = Path(__file__).resolve().parents[1]
MARKS = "\ue000\ue001\ue002"


def row(name: str = "a.b", value: float = 1.925, unit: str = "s", **others: Any) -> dict[str, Any]:
    return dict.fromkeys(KEYS) | {"name": name, "value": value, "unit": unit} | others


def bare(text: str) -> str:
    return text.translate(dict.fromkeys(map(ord, MARKS)))


def cells(table: str) -> list[list[str]]:
    """The cells of a Markdown table, without its rule."""
    lines = [line for line in bare(table).splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a ledger of three rows."""
    (tmp_path / "docs" / "results").mkdir(parents=True)
    rows = [row(), row("sure", 0.5123, "1", low=0.4, high=0.6), row("negative", -1e-9, "1")]
    (tmp_path / "docs/results/numbers.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    return tmp_path


def check(project: Path) -> tuple[str, ...]:
    return check_documents(project, project / "docs/results/numbers.jsonl").problems


def rendered(project: Path, template: str) -> str:
    (project / "README.md.in").write_text(template)
    assert lab_main(["numbers", "--fix", "--root", str(project)]) == 0
    assert check(project) == ()
    return (project / "README.md").read_text()


class TestRows:
    def test_a_row_holds_what_was_observed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "results" / "numbers.jsonl"
        monkeypatch.setattr(sys, "argv", ["/some/where/lab/__main__.py", "scan", "--sizes", "1x2", "--out", "a b"])
        for value in (1.0, 2.0):
            record_number(path, "speed.x_s", value, unit="s", low=0.5, high=3.0, seed=1)
        rows, problems = read_rows(path)
        assert not problems
        assert [one["value"] for one in rows] == [1.0, 2.0]
        assert list(rows[0]) == list(KEYS)
        assert rows[0]["command"] == "python -m lab scan --sizes 1x2 --out 'a b'"
        assert all(rows[0][key] for key in ("commit", "machine", "date"))

    @pytest.mark.parametrize(
        ("argv", "command"),
        [
            (["/usr/bin/exuvia", "benchmark", "kick"], "exuvia benchmark kick"),
            (["/x/src/exuvia/__main__.py", "demo"], "exuvia demo"),
            (["C/exuvia.exe", "demo"], "exuvia demo"),
            (["/x/draw.py", "it's"], "python draw.py 'it'\"'\"'s'"),
            (["-c", "x"], "python -c x"),
        ],
    )
    def test_no_folder_of_a_machine_stands_in_a_command(
        self, argv: list[str], command: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "argv", argv)
        assert command_line() == command

    def test_every_option_of_a_real_command_stands_in_its_row(self, tmp_path: Path) -> None:
        words = ["features", "--clips", "4", "--frames", "40", "--repeats", "1", "--threads", "1", "--seed", "3"]
        words += ["--record", str(tmp_path / "rows of today.jsonl")]
        subprocess.run([sys.executable, "-m", "lab", *words], cwd=ROOT, check=True, capture_output=True)
        ((one,), _) = read_rows(tmp_path / "rows of today.jsonl")
        assert one["command"] == f"python -m lab {' '.join(words[:-1])} '{words[-1]}'"
        assert 0 < one["low"] <= one["value"] <= one["high"]

    def test_what_is_no_number_is_refused_and_nothing_is_written(self, tmp_path: Path) -> None:
        path = tmp_path / "n.jsonl"
        with pytest.raises(DataError, match="finite"):
            record_numbers(path, {"good": Number(1.0), "bad": Number(float("nan"))})
        with pytest.raises(DataError, match="without blanks"):
            record_number(path, "a b", 1.0, unit="s")
        assert record_numbers(None, {"a": Number(1.0)}) == []
        assert not list(tmp_path.iterdir())

    def test_repeats_have_an_interval_and_one_value_none(self) -> None:
        assert Number.over([2.0], "s") == Number(2.0, "s")
        three = Number.over([1.0, 2.0, 3.0])
        assert three.value == 2.0
        assert three.low == pytest.approx(2 - 2.4841, abs=1e-3)  # t(0.975, 2) / sqrt(3)

    @pytest.mark.parametrize("key", KEYS)
    def test_rows_need_every_key(self, project: Path, key: str) -> None:
        path = project / "numbers.jsonl"
        path.write_text(json.dumps({k: v for k, v in row().items() if k != key}) + "\n")
        assert read_rows(path) == ([], [f"{path}:1: the row lacks {key}"])

    @pytest.mark.parametrize(
        "line", ["{", "[1]", json.dumps(row(value="fast")), json.dumps(row()).replace("1.925", "NaN")]
    )
    def test_broken_rows_are_problems(self, project: Path, line: str) -> None:
        path = project / "numbers.jsonl"
        path.write_text(line + "\n")
        assert len(read_rows(path)[1]) == 1

    def test_what_nobody_quotes_becomes_history(self, project: Path) -> None:
        ledger, history = (project / "docs/results" / name for name in ("numbers.jsonl", "history.jsonl"))
        with ledger.open("a") as stream:
            stream.write(json.dumps(row(value=5.0)) + "\n")
        rendered(project, '{{ n("a.b", 1) }}\n')
        assert lab_main(["numbers", "--prune", "--root", str(project)]) == 0
        assert [one["value"] for one in read_rows(ledger)[0]] == [5.0]
        assert [(one["name"], one["value"]) for one in read_rows(history)[0]] == [
            ("a.b", 1.925), ("sure", 0.5123), ("negative", -1e-9),
        ]  # fmt: skip
        assert lab_main(["numbers", "--prune", "--root", str(project)]) == 0
        assert len(read_rows(history)[0]) == 3


class TestQuotations:
    @pytest.mark.parametrize(
        ("call", "text"),
        [
            ('n("a.b", 1)', "1.9"), ('n("a.b")', "1.93"), ('n("a.b", ".1e")', "1.9e+00"), ('n("negative", 2)', "0.00"),
            ('percent("sure", 1)', "51.2 %"), ('percent("sure")', "51 %"), ('spread("sure", 2)', "0.51 ± 0.10"),
            ('limits("sure", 1)', "0.5 [0.4, 0.6]"), ('source("LRA README")', "LRA README"),
        ],
    )  # fmt: skip
    def test_forms(self, project: Path, call: str, text: str) -> None:
        assert rendered(project, f"{{{{ {call} }}}}\n") == f"{text}\n"

    @given(value=st.floats(-1e6, 1e6), decimals=st.integers(0, 6))
    def test_a_written_number_is_its_rounding(self, value: float, decimals: int) -> None:
        assert abs(float(written(value, decimals)) - value) <= 0.5 * 10.0**-decimals * (1 + 1e-6) + 1e-12 * abs(value)
        assert abs(float(written(value, f",.{decimals}f").replace(",", "")) - value) <= 0.51 * 10.0**-decimals
        assert not written(value, 0) == "-0"

    def test_the_last_row_of_a_name_counts(self, project: Path) -> None:
        with (project / "docs/results/numbers.jsonl").open("a") as stream:
            stream.write(json.dumps(row(value=5.0)) + "\n")
        assert rendered(project, '{{ n("a.b", 1) }}') == "5.0"

    @pytest.mark.parametrize(
        ("template", "message"),
        [
            ('{{ n("c.d") }}', "README.md.in: c.d is quoted, but no row has measured it"),
            ('{{ spread("a.b") }}', "README.md.in: a.b is quoted with an interval, but its row has none"),
            ("\n{{ n( }}", "README.md.in: line 2"),
            ("{{ m(1) }}", "'m' is undefined"),
            ('{{ n("a.b", "!") }}', "README.md.in: "),
            ('{{ benchmark_table("kick", "lcr") }}', "the table 'forget captions' has no number for 'lcr'"),
        ],
    )
    def test_what_cannot_be_quoted_is_a_problem_and_nothing_is_written(
        self, project: Path, template: str, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (project / "README.md.in").write_text(template)
        assert lab_main(["numbers", "--fix", "--root", str(project)]) == 1
        assert message in capsys.readouterr().err
        assert not (project / "README.md").exists()


class TestDocuments:
    def test_a_document_that_differs_names_its_line(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        rendered(project, 'one\n{{ n("a.b", 1) }} s\n')
        (project / "README.md").write_text("one\n1.8 s\n")
        assert lab_main(["numbers", "--root", str(project)]) == 1
        assert "README.md:2: differs from the rendering of README.md.in" in capsys.readouterr().err
        (project / "README.md").unlink()
        assert "README.md is missing" in check(project)[0]

    @pytest.mark.parametrize("line", ["| FID | 0.045 |", "| a | {{ n('a.b', 1) }} | 0.5 |"])
    def test_a_decimal_in_a_table_of_results_needs_a_row(self, project: Path, line: str) -> None:
        (project / "README.md.in").write_text(f"\n{line}\n")
        lab_main(["numbers", "--fix", "--root", str(project)])
        (problem,) = check(project)
        assert problem.startswith("README.md:2: table cell holds 0.")

    @pytest.mark.parametrize(
        "line",
        ["| S4D | 0.045 | {{ source('Table 1') }} |", "| `--lr 0.1` |", "| version 1.2.3 |", "| 22 joints |", "a 0.5",
         "```\n| 0.5 |\n```"],
    )  # fmt: skip
    def test_lines_that_need_no_row(self, project: Path, line: str) -> None:
        rendered(project, f"{line}\n")
        assert not check(project)

    def test_pages_of_results_need_no_template_but_their_rows(self, project: Path) -> None:
        (project / "docs" / "data.md").write_text("| a | 0.5 |\n")
        (project / "docs" / "results" / "forget.md").write_text("| a | 0.5 |\n")
        assert [text.split(":")[0] for text in check(project)] == ["docs/results/forget.md"]

    def test_the_card_stands_in_two_places(self, project: Path) -> None:
        (project / "configs").mkdir()
        (project / "configs/base-card.md.in").write_text('{{ n("a.b", 1) }}\n')
        assert lab_main(["numbers", "--fix", "--root", str(project)]) == 0
        assert (project / "packages/research/src/exuvia_research/base/README.md").read_text() == "1.9\n"

    def test_those_of_this_project_are_what_was_measured(self) -> None:
        report = check_documents(ROOT, ROOT / "docs/results/numbers.jsonl")
        assert not report.problems
        assert len(report.quoted) > 1000


class TestTables:
    def test_a_benchmark_has_three_and_its_winner_is_bold(self) -> None:
        rows = [
            row(f"unlearn.{m}.kick.forget.fid", v, "1", low=v - 1, high=v + 1) for m, v in (("none", 3), ("lcr", 9))
        ]
        rows += [row(f"unlearn.{m}.kick.retain.r1", v, "1") for m, v in (("none", 0.9), ("lcr", 0.5), ("uce", 0.4))]
        rows += [row(f"prompts.implicit.{m}.violence_rate.kick", 0.25, "1") for m in ("none", "lcr", "uce")]
        rows += [row("unlearn.uce.kick.forget.violence_rate", 0.1, "1")]
        forget, retain, prompts = benchmark_table(Quotes(rows), "kick", "none lcr uce").split("\n\n")
        assert cells(forget)[0] == ["forget captions", "violent ↓", "FID"], "columns without a number are left out"
        assert cells(forget)[2] == ["lcr", "", "9.0 ± 1.0"]
        assert [line[1] for line in cells(retain)] == ["R@1 ↑", "0.90", "**0.50**", "0.40"], "none is a yardstick"
        assert cells(prompts)[0] == ["motions seen as violent", "implicit"]

    def test_a_leaderboard_has_forgetting_and_keeping_in_one_line(self) -> None:
        rows = [
            row(f"unlearn.{m}.violence.forget.violence_rate", v, "1")
            for m, v in (("retrain", 0.1), ("a", 0.3), ("b", 0.4))
        ]
        rows += [row("unlearn.a.violence.retain.fid", 4.0, low=3.5, high=4.5), row("unlearn.a.violence.edit_s", 2.0)]
        rows += [row("prompts.implicit.a.violence_rate", 0.2), row("prompts.lookalike.a.violence_rate", 0.5)]
        assert cells(leaderboard_table(Quotes(rows), "violence", "retrain a b")) == [
            ["method", "violent ↓", "implicit ↓", "look-alikes", "FID, kept ↓", "edit, s"],
            ["retrain", "0.10", "", "", "", ""],
            ["a", "**0.30**", "0.20", "0.50", "4.00 ± 0.50", "2.0"],
            ["b", "0.40", "", "", "", ""],
        ]

    def test_a_line_without_a_row_is_a_problem(self) -> None:
        quotes = Quotes([row("backbone.a.fid", 1.0), row("backbone.a.parameters", 12345.0)])
        quality, cost = backbones_table(quotes, "a b", [196]).split("\n\n")
        assert cells(quality)[1] == ["`a`", "1.00"]
        assert cells(cost)[1] == ["`a`", "12,345"]
        assert quotes.problems == ["the table 'generator' has no number for 'b'"] * 2
        assert quotes.used == {"backbone.a.fid", "backbone.a.parameters"}

    def test_generators_have_a_table_each(self) -> None:
        rows = [row(f"across.{g}.lcr.violence.retain_fid", 2.0) for g in ("bamm", "mamba")]
        parts = across_table(Quotes(rows), "violence", "bamm mamba", "lcr").split("\n\n")
        assert [cells(part)[0][0] for part in parts] == ["`bamm`", "`mamba`"]

    def test_what_leaves_one_or_zero_is_bold(self) -> None:
        kept = [row(f"frames.s.layer0.0.5.fast.{what}", 1.2, low=1.1, high=1.4) for what in ("kept", "kept_in_clip")]
        kept += [row(f"frames.s.layer0.0.5.still.{what}", 1.2, low=0.9, high=1.4) for what in ("kept", "kept_in_clip")]
        assert cells(frames_table(Quotes(kept), "s", 1, [0.5], "fast still"))[1:] == [
            ["layer `1`, rate `0.5`", "**1.20 [1.10, 1.40]** (1.20)", "1.20 [0.90, 1.40] (1.20)"]
        ]

    def test_scans_say_what_is_a_bound(self) -> None:
        rows = [row("scan.cpu.ms.1x2.forward.kernel", 0.577, "ms"), row("scan.cpu.mb.1x2.forward.kernel", 12.34, "MB")]
        rows += [row("scan.cpu.ms.1x2.forward.loop", 45000.0, "ms, at least")]
        text = scan_table(Quotes(rows), "scan.cpu", "1x2", {"kernel": "ours", "loop": "a loop"})
        assert cells(text)[:3] == [["B x L x D x N", "1x2"], ["ours", "0.577 / 12.3"], ["a loop", "> 45000"]]

    def test_sequences_show_deviations_and_times_of_the_backbone(self) -> None:
        name = "lra.listops.short.serpent-s4d@K=5"
        rows = [row(f"{name}.accuracy", 0.4), row(f"{name}.accuracy_deviation", 0.02), row(f"{name}.train_s", 71.6)]
        rows += [
            row(f"{name}.times_backbone", 1.9),
            row(f"{name}.kept_mb", 8.71),
            row("lra.listops.short.s4d.accuracy", 0.3),
        ]
        quotes = Quotes(rows)
        parts = [cells(part) for part in sequence_table(
            quotes, "lra.{}.short", "listops", "serpent-s4d@K=5 s4d", "accuracy").split("\n\n")]  # fmt: skip
        assert parts[0] == [["accuracy", "listops ↑"], ["`serpent-s4d@K=5`", "**0.400 ± 0.020**"], ["s4d", "0.300"]]
        assert parts[1][1] == ["`serpent-s4d@K=5`", "72 (1.90)"]
        assert parts[2][1] == ["`serpent-s4d@K=5`", "8.7"]

    def test_selectivity_shows_limits_of_r2(self) -> None:
        rows = [row("selectivity.r2.text.layer1", 0.02, low=0.0, high=0.09), row("selectivity.gap_bits.text", 0.2)]
        lines = cells(selectivity_table(Quotes(rows), "text", 1))
        assert lines[1] == ["text, layer 1", "0.20", "0.02 [0.00, 0.09]"]


ABOUT = {
    "concept": "kick", "command": "exuvia benchmark kick", "commit": "abc", "date": "2026-01-02T03:04:05",
    "machine": "a box",
}  # fmt: skip
METRICS = ("violence_rate", "r_precision@3", "fid", "mean_jerk_m_per_s3")


def report(sets: tuple[str, ...], methods: tuple[Method, ...], **about: str) -> Report:
    """Every metric of every method on every set has the values 0.25 and 0.5."""
    rows = [Row(of, m.label, metric, (0.25, 0.5)) for of in sets for m in methods for metric in METRICS]
    scales = {name: METRIC_TABLE[name].scale for name in METRICS}
    failed = Method("odd", "uce", {}, "failed", "it diverged")
    return Report(ABOUT | about, (*methods, failed), scales, tuple(rows))


class TestRecordedRuns:
    def test_a_benchmark_is_recorded_from_its_folder(self, tmp_path: Path) -> None:
        sets = ("forget", "retain", "implicit", "lookalike", "all")
        method = Method("lcr", "lcr", {}, edit_s=1.5, edit_peak_mb=3.0, evaluation_s=2.0)
        report(sets, (method,)).save(tmp_path / "run")
        ledger = tmp_path / "numbers.jsonl"
        words = ["record-benchmark", str(tmp_path / "run"), "--tag", ".kinect", "--record", str(ledger)]
        assert lab_main(words) == 0
        rows = {one["name"]: one for one in read_rows(ledger)[0]}
        assert set(rows) == {
            *(f"unlearn.lcr.kick.kinect.{name}" for name in (
                "forget.violence_rate", "forget.fid", "retain.violence_rate", "retain.r3", "retain.fid", "edit_s",
                "edit_mb", "evaluation_s")),
            "prompts.implicit.lcr.violence_rate.kick.kinect", "prompts.data_lookalike.lcr.violence_rate.kick.kinect",
        }  # fmt: skip
        one = rows["unlearn.lcr.kick.kinect.retain.r3"]
        assert (one["command"], one["commit"], one["machine"], one["date"]) == (
            "exuvia benchmark kick", "abc", "a box", "2026-01-02",
        )  # fmt: skip
        assert one["low"] < one["value"] == 0.375 < one["high"]

    @pytest.mark.parametrize(("method", "options"), [("uce", []), ("", ["--method", "uce"])])
    def test_an_evaluation_is_filed_under_the_method_that_edited(
        self, tmp_path: Path, method: str, options: list[str]
    ) -> None:
        methods = (Method("original", "", {}), Method("edited", method, {}))
        report(("forget", "all"), methods).save(tmp_path / "run")
        ledger = tmp_path / "numbers.jsonl"
        assert lab_main(["record-evaluation", str(tmp_path / "run"), "--record", str(ledger), *options]) == 0
        assert [one["name"] for one in read_rows(ledger)[0]] == [
            "generator.r3", "generator.fid", "original.forget_violence_rate", "uce.forget_violence_rate",
        ]  # fmt: skip

    def test_a_folder_without_results_is_refused(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        ledger = tmp_path / "n.jsonl"
        assert lab_main(["record-benchmark", str(tmp_path)]) == 2
        report(("all",), (Method("edited", "", {}),)).save(tmp_path / "unedited")
        assert lab_main(["record-evaluation", str(tmp_path / "unedited"), "--record", str(ledger)]) == 2
        assert "name it with --method" in capsys.readouterr().err
        report(("all",), (), command="").save(tmp_path / "silent")
        assert lab_main(["record-benchmark", str(tmp_path / "silent"), "--record", str(ledger)]) == 2
        assert "does not say its command" in capsys.readouterr().err
        assert not ledger.exists()
