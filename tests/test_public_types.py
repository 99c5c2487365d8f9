"""What a type checker and an editor see: the results of the public calls, and calls that are refused."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

SNIPPET = """
import torch

import exuvia
import exuvia_ssm

pipe = exuvia.MotionPipeline.from_pretrained("base")
reveal_type(pipe("a man kicks", seed=0))
reveal_type(pipe(["a man kicks", "a man sits"], cond_scale=3.0))
reveal_type(pipe.base.generate(torch.zeros(1, 384), seeds=[0]))
safe = exuvia.unlearn("lcr", pipe, forget="violence", num_codes=8)
reveal_type(safe)
reveal_type(exuvia.evaluate(safe, original=pipe, steps=8).value("forget", "edited", "fid"))
reveal_type(exuvia_ssm.Mamba(16))
"""
REVEALED = [
    "exuvia.motion.clip.Clip",
    "list[exuvia.motion.clip.Clip]",
    "torch._tensor.Tensor",
    "exuvia.pipeline.pipeline.MotionPipeline",
    "float",
    "exuvia_ssm.mamba.mamba.Mamba",
]
REFUSED = {
    'pipe("a man kicks", sed=0)': "call-overload",
    'pipe("a man kicks", steps="ten")': "call-overload",
    "pipe(7)": "call-overload",
    'exuvia.unlearn("lcr")': "call-arg",
    'exuvia.unlearn("lcr", pipe, forget=3)': "arg-type",
    'exuvia.evaluate(pipe, seeds="ab")': "arg-type",
    'exuvia.unlearned("lcr", pipe)': "attr-defined",
}


def test_public_calls_have_types(tmp_path: Path) -> None:
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET + "\n".join(REFUSED) + "\n", encoding="utf-8")
    run = [sys.executable, "-m", "mypy", "--no-error-summary", str(path)]
    done = subprocess.run(run, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if "snippet.py" in line]
    revealed = [line for line in lines if "Revealed type" in line]
    assert len(revealed) == len(REVEALED), done.stdout + done.stderr
    for line, expected in zip(revealed, REVEALED, strict=True):
        assert expected in line
        assert "Any" not in line.replace("builtins", "")
    first = SNIPPET.count("\n") + 1
    for number, (call, kind) in enumerate(REFUSED.items(), start=first):
        here = [line for line in lines if f":{number}: error" in line]
        assert any(f"[{kind}]" in line for line in here), (call, done.stdout)


def test_settings_are_read_without_pytorch() -> None:
    names = ", ".join(f"exuvia.{room}.settings" for room in ("sequence", "tokens", "pipeline"))
    code = f"import sys, {names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
