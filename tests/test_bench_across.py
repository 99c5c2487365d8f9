"""The same methods on several generators: rows and pages of each; failures are printed and left out."""

import json
from pathlib import Path

import pytest
import torch

from exuvia.data.prepare import prepare
from lab.__main__ import main
from lab.ledger.quotes import Quotes
from lab.ledger.tables import across_table
from made_informant import causal_net
from tiny import tiny_pipeline


@pytest.mark.slow
def test_the_command_fills_ledger_and_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = prepare("synthetic", tmp_path / "store", count=80)
    tiny_pipeline().save_pretrained(tmp_path / "masked" / "packed")
    other = tiny_pipeline()
    other.base = causal_net("serpent", text_dim=64)
    other.save_pretrained(tmp_path / "causal")
    ledger = tmp_path / "numbers.jsonl"
    words = f"across --pipelines {tmp_path}/masked {tmp_path}/causal --data {store.folder} --sensors synthetic"
    words += f" --seeds 0 1 --out {tmp_path}/bench --workers 0 --record {ledger}"
    torch.manual_seed(0)
    code = main(f"{words} --methods lcr:num_codes=2,min_count=1 far=lcr:min_count=100000".split())
    shown = capsys.readouterr()
    assert code == 0, shown.err
    rows = {row["name"]: row for row in map(json.loads, ledger.read_text(encoding="utf-8").splitlines())}
    for name in ("masked", "causal"):
        assert (tmp_path / f"bench/{name}/report/index.html").is_file()
        assert f"{name}, far: " in shown.out, "a failed method is printed"
        assert f"across.{name}.far.violence.retain_fid" not in rows
        assert f"across.{name}.none.violence.edit_s" not in rows
        assert rows[f"across.{name}.lcr.violence.edit_s"]["unit"] == "s"
        row = rows[f"across.{name}.lcr.violence.retain_fid"]
        assert row["low"] <= row["value"] <= row["high"]
    quotes = Quotes(rows.values())
    across_table(quotes, "violence", "masked causal", "none lcr")
    assert not quotes.problems
    assert quotes.used == set(rows)
    assert main(f"{words} --methods no-such".split()) == 2
    assert "no-such" in capsys.readouterr().err
