"""`python -m lab selectivity`: planted relations are found, models are measured, a stopped study continues."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch

from exuvia.errors import ConfigError
from exuvia.run_folder import CHECKPOINT
from exuvia.train import WEIGHTS
from lab.experiments.selectivity import SelectivityConfig, bench_selectivity
from lab.ledger.quotes import Quotes
from lab.ledger.tables import selectivity_table
from lab.selectivity.markov import Insertions, markov
from lab.selectivity.measure import MEASURES, SKIP, LayerFinding, measure_model
from lab.selectivity.model import LanguageModelConfig, model_information, new_model
from lab.selectivity.plot import Panel, draw_panels
from lab.selectivity.relation import any_curve_r2, linear_r2, relate, token_r2, within_correlation
from lab.selectivity.study import StudyConfig, run_study
from lab.selectivity.summary import best_layer, over_seeds, quoted, summarise, verdict

TINY = StudyConfig(
    sources=("markov", "insertions"), seeds=(0, 1), width=16, state=4, length=40, batch_size=4, steps=4, held_out=6,
    resamples=50,
)  # fmt: skip
MODEL = LanguageModelConfig(vocabulary=20, width=16, layers=2, state=4)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class TestRelations:
    def test_a_planted_line_is_found_and_shuffling_removes_it(self) -> None:
        random = rng()
        x = random.exponential(2.0, (60, 200))
        y = 0.3 + 0.05 * x + random.normal(0, 0.1, x.shape)  # R² = .01/(.01 + .01) = 0.5
        found = relate(x, y, random.integers(0, 10, x.shape), random)
        assert found.slope == pytest.approx(0.05, abs=0.002)
        assert found.intercept == pytest.approx(0.3, abs=0.01)
        assert found.r2 == pytest.approx(0.5, abs=0.03)
        assert found.r2_low < found.r2 < found.r2_high
        assert found.r2_high - found.r2_low < 0.06
        assert found.shuffled_r2 < 0.002
        assert found.within_r**2 == pytest.approx(0.5, abs=0.03)
        assert found.any_curve_r2 == pytest.approx(found.r2, abs=0.03)

    def test_the_interval_covers_the_truth_about_as_often_as_it_says(self) -> None:
        inside = 0
        for seed in range(60):
            random = rng(seed)
            x = random.normal(size=(30, 50))
            y = x + random.normal(size=x.shape)
            found = relate(x, y, np.zeros(x.shape, np.int64), random, resamples=200)
            inside += found.r2_low <= 0.5 <= found.r2_high
        assert inside >= 50

    def test_ranks_see_what_a_line_does_not(self) -> None:
        x = rng().uniform(0, 10, (20, 100))
        found = relate(x, np.exp(x), np.zeros(x.shape, np.int64), rng())
        assert found.spearman == pytest.approx(1.0)
        assert found.r2 < 0.7
        assert any_curve_r2(x.ravel(), np.abs(x - 5).ravel()) > 0.95
        assert relate(x, np.abs(x - 5), np.zeros(x.shape, np.int64), rng()).r2 < 0.02

    def test_what_is_only_the_tokens_is_told_from_what_is_more(self) -> None:
        random = rng()
        tokens = random.integers(0, 12, (40, 100))
        by_token = random.normal(size=12)
        x = by_token[tokens] + random.normal(size=tokens.shape)
        only_token = 2 * by_token[tokens] + random.normal(0, 0.1, tokens.shape)
        assert token_r2(only_token, tokens) > 0.98
        assert abs(within_correlation(x, only_token, tokens)) < 0.05
        assert within_correlation(x, only_token + x, tokens) > 0.95
        assert token_r2(random.normal(size=tokens.shape), tokens) < 0.01
        assert np.isnan(within_correlation(by_token[tokens], x, tokens)), "a function of the token is nothing beyond it"

    def test_a_linear_map_of_channels(self) -> None:
        random = rng()
        channels = random.normal(size=(20, 100, 6)).astype(np.float32)
        assert linear_r2(channels, channels[..., 1] - 2.0 * channels[..., 4] + 7.0) > 0.999
        assert linear_r2(channels, random.normal(size=(20, 100))) < 0.01

    def test_things_that_do_not_vary_explain_nothing(self) -> None:
        flat, x, tokens = np.full((8, 20), 0.02), rng().normal(size=(8, 20)), np.zeros((8, 20), np.int64)
        for found in (relate(x, flat, tokens, rng()), relate(flat, x, tokens, rng())):
            assert found.r2 == found.spearman == found.any_curve_r2 == found.slope == 0
        assert token_r2(flat, tokens) == 0


class TestModel:
    def test_step_sizes_are_positive_causal_and_those_of_every_channel(self) -> None:
        model, tokens = new_model(MODEL, 0).eval(), torch.from_numpy(rng().integers(0, 20, (2, 30)))
        found = model.step_sizes(tokens)
        assert [tuple(layer.shape) for layer in found] == [(2, 30, 32)] * 2
        assert all((layer > 0).all() for layer in found)
        other = tokens.clone()
        other[:, 20] = (other[:, 20] + 1) % 20
        for before, after in zip(found, model.step_sizes(other), strict=True):
            torch.testing.assert_close(before[:, :20], after[:, :20])
            assert not torch.equal(before[:, 20], after[:, 20])

    def test_a_model_is_a_function_of_its_seed_and_leaves_the_generator_alone(self) -> None:
        state = torch.get_rng_state()
        first, again, other = (new_model(MODEL, seed).head.weight for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert torch.equal(state, torch.get_rng_state())

    def test_its_own_information_is_its_cross_entropy(self) -> None:
        model, tokens = new_model(MODEL, 0).eval(), rng().integers(0, 20, (5, 30))
        information, entropy = model_information(model, tokens, at_once=2)
        logits = model(torch.from_numpy(tokens))
        nats = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), torch.from_numpy(tokens)[:, 1:].flatten()
        )
        assert information[:, 1:].mean() == pytest.approx(float(nats.detach()) / np.log(2), abs=1e-5)
        assert np.isnan(information[:, 0]).all()
        assert (entropy <= np.log2(20) + 1e-6).all()

    def test_a_planted_step_size_is_reported_as_such(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Step sizes replaced by 0.01 + 0.002 · information: the line, every control and every kind must say so."""
        source = Insertions(8, 0)
        sample = source.held_out(16, 80, rng())
        model = new_model(dataclasses.replace(MODEL, vocabulary=source.vocabulary, layers=1), 0).eval()
        planted = 0.01 + 0.002 * torch.from_numpy(sample.information)[..., None].expand(-1, -1, 3)
        monkeypatch.setattr(model, "step_sizes", lambda tokens: [planted])
        found = measure_model(model, source, sample, seed=0, trained=True, resamples=50)
        by_measure = {row.measure: row for row in found.layers}
        assert list(by_measure) == list(MEASURES)
        row = by_measure["information"]
        assert row.relation.r2 == pytest.approx(1)
        assert row.relation.slope == pytest.approx(0.002)
        assert row.all_channels_r2 == pytest.approx(1, abs=1e-3)
        assert row.channels_rising == 1
        assert row.exact
        assert not by_measure["model_information"].exact
        for kind in found.kinds:
            assert kind.delta == pytest.approx(0.01 + 0.002 * kind.information)
        assert sum(kind.share for kind in found.kinds) == pytest.approx(1)
        assert found.information.shape == found.deltas[0].shape == (16 * (80 - SKIP),)


def finding(seed: int = 0, layer: int = 1, slope: float = 0.01, r2: float = 0.6, **others: object) -> LayerFinding:
    random = rng(seed)
    x = random.normal(size=(10, 50))
    noise = random.normal(size=x.shape) * abs(slope) * np.sqrt(1 / r2 - 1)
    relation = relate(x, slope * x + noise, random.integers(0, 3, x.shape), random, 50)
    facts = {"source": "s", "seed": seed, "model": "trained", "layer": layer, "measure": "information", "exact": True}
    values = dict.fromkeys(("delta_mean", "delta_std", "token_r2", "channels_rising", "log_r2", "all_channels_r2"), 0.1)
    return LayerFinding(**(facts | values | others), relation=relation)  # type: ignore[arg-type]


def everything(**others: object) -> list[LayerFinding]:
    return [finding(seed, measure=measure, **others) for seed in range(3) for measure in MEASURES]  # type: ignore[arg-type]


class TestSummary:
    def test_a_mean_over_seeds_with_students_interval(self) -> None:
        found = over_seeds([0.1, 0.2, 0.3])
        half = 4.3027 * 0.1 / 3**0.5
        assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.2 - half, 0.2 + half), abs=1e-4)
        assert over_seeds([0.0, 0.5], (0, 1)).low == 0
        assert over_seeds([0.4]).low is None

    def test_one_seed_keeps_the_interval_of_the_bootstrap(self) -> None:
        one = finding()
        summary = summarise([one])[0]
        assert summary.statistics["r2"].low == one.relation.r2_low

    def test_the_best_layer_rises(self) -> None:
        rows = everything(layer=1, r2=0.2) + everything(layer=2, slope=-0.01, r2=0.9)
        assert best_layer(summarise(rows), "s").layer == 1

    @pytest.mark.parametrize(
        ("settings", "answer"),
        [
            ({"r2": 0.8}, "the claim holds; layer 1 rises"),
            ({"r2": 0.25}, "holds weakly"),
            ({"r2": 0.01}, "does not hold; layer"),
            ({"slope": -0.01, "r2": 0.9}, "Delta falls with information"),
        ],
    )
    def test_the_answer_in_words(self, settings: dict[str, float], answer: str) -> None:
        assert answer in verdict(summarise(everything(**settings)), "s")

    def test_numbers_for_the_ledger(self) -> None:
        rows = everything() + [finding(seed, model="untrained") for seed in range(3)]
        numbers = quoted(summarise(rows), {"s": [0.1, 0.2, 0.15]})
        layer = {f"{name}.s.layer1" for name in ("r2", "slope", "spearman", "untrained_r2", "next_entropy_r2")}
        assert {"r2.s", "best_layer.s", "gap_bits.s"} | layer <= set(numbers)
        assert numbers["gap_bits.s"].value == pytest.approx(0.15)


class TestPicture:
    def test_it_is_a_well_formed_drawing_with_a_panel_a_layer(self) -> None:
        x = rng().exponential(2, 4000)
        panels = [Panel(f"layer <{n}>", "R² & more", x, 0.02 + 0.001 * x, 0.001, 0.02) for n in (1, 2)]
        root = ET.fromstring(draw_panels(panels, "bits", "Δ", "a title"))
        texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
        assert {"layer <1>", "layer <2>", "a title"} <= set(texts)
        assert texts.count("R² & more") == 2

    @pytest.mark.parametrize("y", [np.full(50, 0.02), np.linspace(0, 1e-7, 50)])
    def test_values_that_hardly_vary_can_be_drawn(self, y: np.ndarray) -> None:
        text = draw_panels([Panel("a", "b", np.zeros(50), y, 0.0, 0.02)], "x", "y", "t")
        assert "nan" not in text
        ET.fromstring(text)


class TestStudy:
    def test_it_writes_tables_and_pictures_and_a_second_call_changes_nothing(self, tmp_path: Path) -> None:
        found = run_study(TINY, tmp_path)
        files = {path.name: path.read_text() for path in found.files}
        assert set(files) == {"relations.csv", "kinds.csv", "summary.json", "markov.svg", "insertions.svg"}
        rows = list(csv.DictReader(files["relations.csv"].splitlines()))
        assert len(rows) == 2 * 2 * 2 * 2 * len(MEASURES)  # sources, seeds, trained or not, layers
        assert {row["source"] for row in rows} == {"markov", "insertions"}
        summary = json.loads(files["summary.json"])
        assert set(summary["gap_bits"]) == {"markov", "insertions"}
        weights = [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob(WEIGHTS))]
        assert len(weights) == 4
        run_study(TINY, tmp_path)
        assert {path.name: path.read_text() for path in found.files} == files
        assert [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob(WEIGHTS))] == weights

    def test_other_settings_in_the_same_folder_are_refused(self, tmp_path: Path) -> None:
        config = dataclasses.replace(TINY, sources=("markov",), seeds=(0,))
        run_study(config, tmp_path)
        with pytest.raises(ConfigError, match="other settings"):
            run_study(dataclasses.replace(config, width=24), tmp_path)

    def test_learning_brings_the_loss_towards_the_entropy_rate(self, tmp_path: Path) -> None:
        config = dataclasses.replace(TINY, sources=("markov2",), seeds=(0,), steps=1)
        first = run_study(config, tmp_path / "a").gaps["markov2"][0]
        last = run_study(dataclasses.replace(config, steps=60, lr=1e-2), tmp_path / "b").gaps["markov2"][0]
        assert 0 < last < first

    @pytest.mark.skipif(os.name == "nt", reason="SIGKILL is a POSIX signal")
    def test_a_killed_study_continues_and_gives_what_an_uninterrupted_one_gives(self, tmp_path: Path) -> None:
        torch.set_num_threads(1)
        config = dataclasses.replace(TINY, sources=("markov",), seeds=(0,), steps=40)
        run_study(config, tmp_path / "whole")
        _run_and_kill(tmp_path / "killed")
        run_study(config, tmp_path / "killed")
        for name in ("relations.csv", "summary.json", "markov.svg", "markov-seed0/metrics.jsonl"):
            assert (tmp_path / "whole" / name).read_text() == (tmp_path / "killed" / name).read_text()

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"sources": ("markow",)}, "did you mean 'markov'"),
            ({"sources": ("text",)}, "needs a file of text"),
            ({"length": 10}, "found length 10"),
            ({"seeds": ()}, "0 seeds"),
        ],
    )
    def test_bad_settings_are_one_sentence(self, changes: dict[str, object], sentence: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=sentence):
            run_study(dataclasses.replace(TINY, **changes), tmp_path / "out")  # type: ignore[arg-type]
        assert not (tmp_path / "out").exists()


def _run_and_kill(out: Path) -> None:
    """Start the study with slow steps and frequent checkpoints, and kill it in the middle."""
    code = (
        "import sys, time, dataclasses, torch; sys.path.insert(0, sys.argv[1]); torch.set_num_threads(1)\n"
        "import test_bench_selectivity as t\n"
        "from exuvia.train import Trainer\n"
        "save, advance = Trainer.save, Trainer._advance\n"
        "def slow(self):\n"
        "    found = advance(self); save(self) if self.step == 10 else None; time.sleep(0.05); return found\n"
        "Trainer._advance = slow\n"
        "config = dataclasses.replace(t.TINY, sources=('markov',), seeds=(0,), steps=40)\n"
        "t.run_study(config, t.Path(sys.argv[2]))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(Path(__file__).parent), str(out)])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and child.poll() is None and not (out / "markov-seed0" / CHECKPOINT).exists():
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert child.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    assert not (out / "summary.json").exists()


class TestCommand:
    def test_it_prints_answers_and_records_numbers(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        ledger, pictures = tmp_path / "numbers.jsonl", tmp_path / "pictures"
        config = SelectivityConfig(study=TINY, out=tmp_path / "out", record=ledger, pictures=pictures)
        bench_selectivity(config)
        shown = capsys.readouterr().out
        assert "markov: the claim" in shown
        assert "first of padding" in shown
        rows = {row["name"]: row for row in map(json.loads, ledger.read_text().splitlines())}
        assert {"selectivity.r2.markov", "selectivity.gap_bits.insertions", "selectivity.r2.markov.layer2"} <= set(rows)
        assert rows["selectivity.r2.markov"]["low"] <= rows["selectivity.r2.markov"]["value"]
        quotes = Quotes(rows.values())
        selectivity_table(quotes, "markov insertions", 2)
        assert not quotes.problems
        assert {path.name for path in pictures.iterdir()} == {"markov.svg", "insertions.svg"}

    def test_quick_numbers_are_not_recorded(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="--quick"):
            bench_selectivity(SelectivityConfig(quick=True, record=tmp_path / "n.jsonl", out=tmp_path / "out"))

    def test_a_chain_and_its_seed_are_in_the_run_folder(self, tmp_path: Path) -> None:
        config = dataclasses.replace(TINY, sources=("markov",), seeds=(1,))
        bench_selectivity(SelectivityConfig(study=config, out=tmp_path, quick=False))
        about = json.loads((tmp_path / "markov-seed1" / "config.json").read_text())
        assert about["source"] == markov(1, 64, 1).describe()
