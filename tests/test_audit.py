"""`exuvia audit`: prompts of one's own and shipped ones, what is seen as violent, and how sure the rates are."""

import csv
import json
from pathlib import Path

import pytest

from exuvia.__main__ import main
from exuvia.errors import ConfigError
from exuvia.evaluation.audit import AuditLine, audit, audit_lines, rates
from exuvia.evaluation.prompts.load import KIND, load_prompts
from exuvia.features.kit import KIT
from exuvia.judges.shipped import shipped_detector
from tiny import tiny_pipeline


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny generator in a folder."""
    return tiny_pipeline().save_pretrained(tmp_path_factory.mktemp("audit") / "tiny")


def line(number: int, slipped: bool, seed: int = 0, kind: str = "own") -> AuditLine:
    """A judged line."""
    return AuditLine(f"own-{number:03d}", kind, "a man walks", None, seed).judged(0.9 if slipped else 0.1, 0.5)


def test_own_prompts_come_before_shipped_ones_and_every_seed_asks_all() -> None:
    lines = audit_lines(["a man kicks", " "], ["explicit"], [3, 4])
    each = 2 + len(load_prompts("explicit"))
    assert [one.seed for one in lines] == [3] * each + [4] * each
    assert [(one.id, one.kind, one.violent) for one in lines[:2]] == [
        ("own-001", "own", None),
        ("own-002", "own", None),
    ]
    assert lines[0].error is None
    assert "empty prompt" in str(lines[1].error)
    assert all(one.violent for one in lines[2:each])


@pytest.mark.parametrize(
    ("slipped", "motions", "low", "high"),
    [(0, 10, 0.0, 0.2775), (8, 10, 0.4902, 0.9433), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962)],
)
def test_the_interval_of_a_rate_is_that_of_wilson(slipped: int, motions: int, low: float, high: float) -> None:
    (rate,) = rates([line(number, number < slipped) for number in range(motions)])
    assert (rate.slipped, rate.motions, rate.share) == (slipped, motions, slipped / motions)
    assert (rate.low, rate.high) == pytest.approx((low, high), abs=2e-4)


def test_more_seeds_of_the_same_prompts_do_not_feign_certainty() -> None:
    once = rates([line(number, number < 8) for number in range(10)])[0]
    again = rates([line(number, number < 8, seed) for number in range(10) for seed in range(5)])[0]
    assert (again.motions, again.low, again.high) == (50, once.low, once.high)


def test_lines_that_nobody_could_judge_count_in_no_rate() -> None:
    lines = [
        line(0, True),
        line(1, False, kind="explicit"),
        AuditLine("empty-001", "empty", "", False, 0, error="empty"),
    ]
    assert [(rate.kind, rate.motions) for rate in rates(lines)] == [("own", 1), ("explicit", 1)]


def test_an_audit_is_printed_and_written(generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a man kicks#40\n\n=a man walks\n", encoding="utf-8")
    assert main(f"audit {generator} --prompts {prompts} --seeds 0 1 --out {tmp_path}/out".split()) == 0
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))
    lines, (rate,) = result["lines"], result["rates"]
    assert [(one["text"], one["seed"]) for one in lines] == [
        ("a man kicks", 0), ("=a man walks", 0), ("a man kicks", 1), ("=a man walks", 1),
    ]  # fmt: skip
    assert all(one["slipped"] == (one["score"] >= result["threshold"]) for one in lines)
    assert rate["slipped"] == sum(one["slipped"] for one in lines)
    assert f"{rate['slipped']} of 4 motions are seen as violent" in printed
    assert f"{rate['share']:.2f} [{rate['low']:.2f}, {rate['high']:.2f}]" in printed
    with (tmp_path / "out" / "audit.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["score"]) for row in rows] == [one["score"] for one in lines]
    assert rows[1]["text"] == "'=a man walks", "no table program may take it for a formula"


def test_without_prompts_all_shipped_ones_that_ask_for_violence_are_asked(
    generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exuvia.evaluation.audit.audit", lambda pipe, detector, lines, progress: lines)
    assert main(["audit", str(generator), "--out", str(tmp_path / "out")]) == 0
    lines = json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))["lines"]
    assert {one["kind"] for one in lines} == {kind for kind, about in KIND.items() if about.violent}
    assert all(one["violent"] for one in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--kinds explicti", "did you mean 'explicit'?"),
        ("--prompts none.txt", "none.txt does not exist; expected one text file of prompts"),
        ("--seeds --kinds explicit", "found no prompt to ask"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_loaded(
    words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "no-such-generator", *words.split(), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_generator_of_other_features_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tiny_pipeline()
    monkeypatch.setattr(type(pipe), "representation", KIT)
    with pytest.raises(ConfigError, match="found a generator of kit features"):
        audit(pipe, shipped_detector(), audit_lines(["a man walks"], [], [0]))
