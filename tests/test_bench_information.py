"""LCR with and without information weights: rows of every edit, pairs of equal k, bad settings end early."""

import json
from pathlib import Path

import pytest

from exuvia.data.prepare import prepare
from lab.__main__ import main
from lab.experiments.information import numbers
from lab.ledger.names import Edit
from lab.ledger.quotes import Quotes
from lab.ledger.tables import information_table
from made_informant import run_folder
from tiny import tiny_pipeline


@pytest.mark.slow
def test_the_command_fills_the_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = prepare("synthetic", tmp_path / "store", count=80)
    tiny_pipeline().save_pretrained(tmp_path / "pipe")
    informant = run_folder(tmp_path / "informant")
    ledger = tmp_path / "numbers.jsonl"
    words = f"information --informant {informant} --pipeline {tmp_path}/pipe --data {store.folder}"
    words += f" --sensors synthetic --seeds 0 1 --out {tmp_path}/bench --workers 0 --record {ledger}"
    code = main(f"{words} --concepts violence --codes 2 4".split())
    assert code == 0, capsys.readouterr().err
    rows = {row["name"]: row for row in map(json.loads, ledger.read_text(encoding="utf-8").splitlines())}
    main_row = rows["lcr.information_weighted.violence.retain_fid"]
    plain = rows["lcr.information_weighted.violence.k4_both_plain.retain_fid"]
    gap = rows["lcr.information_weighted.violence.retain_fid.minus_plain"]
    assert gap["value"] == pytest.approx(main_row["value"] - plain["value"])
    assert main_row["low"] <= main_row["value"] <= main_row["high"]
    assert "lcr.information_weighted.violence.k2_frequency_surprisal.forget_violence_rate" in rows
    assert "lcr.information_weighted.violence.k2_frequency_plain.retain_fid.minus_plain" not in rows
    assert 0 <= rows["lcr.information_weighted.violence.shared_codes"]["value"] <= 4
    assert "lcr.information_weighted.violence.k4_both_plain.shared_codes" not in rows
    quotes = Quotes(rows.values())
    information_table(quotes, "violence", [2, 4], "intervals surprisal shuffled")
    assert not quotes.problems, "two numbers of codes, two criteria, plain and three measures"
    assert {name for name in set(rows) - quotes.used if "retain_r3" not in name} == set()
    edits = json.loads((tmp_path / "bench/violence/plan.json").read_text(encoding="utf-8"))["methods"]
    assert [one["settings"].get("num_codes") for one in edits[1:]] == 8 * [2] + 8 * [4]
    assert main(f"{words} --concepts violence --codes 2 4 --tag .other".split()) == 0, (
        "what is measured is not made again"
    )
    tagged = json.loads(ledger.read_text(encoding="utf-8").splitlines()[-1])
    assert tagged["name"].startswith("lcr.information_weighted.violence.other.k4_frequency_shuffled.")


def test_what_cannot_be_compared_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_pipeline().save_pretrained(tmp_path / "pipe")
    words = f"information --informant {tmp_path}/nowhere --pipeline {tmp_path}/pipe --out {tmp_path}/bench"
    assert main(f"{words} --concepts violence --codes 4 4".split()) == 2
    assert "each once" in capsys.readouterr().err
    assert main(f"{words} --codes 4".split()) == 2
    assert "nowhere" in capsys.readouterr().err
    assert not (tmp_path / "bench").exists()


def test_a_difference_is_taken_seed_by_seed() -> None:
    plain, weighed = Edit(8, "both", ""), Edit(8, "both", "intervals")
    values = {
        plain: {"retain_fid": (4.0, 4.2, 4.1), "retain_r3": (0.5, 0.6, 0.7)},
        weighed: {"retain_fid": (3.0, 3.21, 3.1), "retain_r3": (0.6, 0.5, 0.72), "shared_codes": (7.0,)},
    }
    rows = dict(numbers("kick", values, 8))
    gap = rows["lcr.information_weighted.kick.retain_fid.minus_plain"]
    assert gap.value == pytest.approx(-0.99667, abs=1e-4)
    assert gap.low is not None
    assert gap.low < gap.value < (gap.high or 0) < 0
    assert "lcr.information_weighted.kick.k8_both_plain.retain_fid.minus_plain" not in rows
    assert weighed.name("kick", 8) == "lcr.information_weighted.kick"
    assert weighed.name("kick", 16) == "lcr.information_weighted.kick.k8_both_intervals"
