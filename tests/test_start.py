"""What a first motion costs: only what it uses is imported, drawn and hashed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from exuvia.checkpoint import load_into, undrawn
from exuvia.text import weights
from exuvia.text.minilm import MiniLM

UNUSED = (
    "accelerate",
    "transformers",
    "pandas",
    "sklearn",
    "matplotlib",
    "PIL",
    "torch._dynamo",
    "exuvia_ssm.s4d",
)


def test_a_motion_is_written_without_libraries_that_it_does_not_need(tmp_path: Path) -> None:
    code = (
        "import sys; from exuvia.__main__ import main; import os;"
        "assert main(['generate', 'a man walks', '--frames', '20', '--out', sys.argv[1]]) == 0;"
        "print([name for name in sys.argv[2:] if name in sys.modules], os.environ['OMP_WAIT_POLICY'])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "walk.npy"), *UNUSED]
    clean = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean)
    assert done.stdout.splitlines()[-1] == "[] passive"


def test_modules_that_are_filled_next_draw_nothing() -> None:
    torch.manual_seed(3)
    wanted = nn.Sequential(nn.Linear(4, 5), nn.Embedding(6, 5), nn.LayerNorm(5))
    before = torch.get_rng_state()
    with undrawn():
        made = nn.Sequential(nn.Linear(4, 5), nn.Embedding(6, 5), nn.LayerNorm(5))
        nn.init.trunc_normal_(made[1].weight, std=0.02)
    assert torch.equal(before, torch.get_rng_state())
    stored = {name: value.half().float() for name, value in wanted.state_dict().items()}
    load_into(made, stored, "a test", assign=True)
    assert all(torch.equal(made.state_dict()[name], value) for name, value in stored.items())
    made[0].weight.data.zero_()
    assert stored["0.weight"].any(), "the module has memory of its own"
    assert nn.Linear(4, 5).weight.std() > 0.1, "after the block weights are drawn again"


def test_a_fingerprint_is_computed_once_for_a_file_and_anew_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXUVIA_CACHE", str(tmp_path / "cache"))
    file, computed = tmp_path / "weights", iter("abcdef")
    file.write_bytes(b"1" * 100)

    def ask(about: str = "") -> str:
        return weights.cached_digest(file, about, lambda: next(computed))

    assert [ask(), ask()] == ["a", "a"]
    file.write_bytes(b"2" * 100)
    os.utime(file, ns=(1, 1))
    assert [ask(), ask(), ask("other sizes"), ask()] == ["b", "b", "c", "b"]
    for entry in (tmp_path / "cache").iterdir():
        entry.write_text(entry.read_text()[:20])
    assert ask() == "d", "a damaged entry is computed again"
    monkeypatch.setenv("EXUVIA_CACHE", str(file / "no folder"))
    assert ask() == "e", "a cache that cannot be written is no fault"


def test_the_encoder_has_the_fingerprint_of_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXUVIA_CACHE", str(tmp_path))
    first, second = MiniLM(), MiniLM()
    found = first.fingerprint
    monkeypatch.setattr("exuvia.text.minilm.fingerprint_of", lambda tensors, about: "computed again")
    assert second.fingerprint == found
