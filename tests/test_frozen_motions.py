"""Motions, weights and codes do not change: they are compared with frozen values.

Codes must be equal, and joints equal to 0.1 mm, so that other processors pass. If the numbers change on purpose,
`python tests/test_frozen_motions.py` rewrites the file; give the reason in the commit.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import exuvia
from exuvia.config import from_dict
from exuvia.pipeline.identity import codes_hash, pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.sequence.base import BaseGenerator
from exuvia.sequence.generators import build_generator
from exuvia.sequence.residual_transformer import ResidualTransformer
from exuvia.sequence.settings import ResidualTransformerConfig
from tiny import tiny_pipeline

FILE = Path(__file__).with_name("frozen_motions.npz")
PINS = Path(__file__).resolve().parents[1] / "constraints.txt"
PROMPTS = [
    "a man kicks something with his left leg", "a person walks forward and sits down",
    "a person waves with the right hand", "a person throws three quick punches",
]  # fmt: skip
METHODS = ("none", "lcr", "uce", "rece", "prompt_filter", "tiny")
SIZES: dict[str, Any] = {
    "num_codes": 16, "code_dim": 12, "width": 16, "inner_width": 24, "num_layers": 2, "num_heads": 2, "text_dim": 8,
    "dropout": 0.1, "cond_drop": 0.1, "text_positions": 5, "table_length": 40,
}  # fmt: skip
MULTI = {"mixer": "serpent", "serpent": {"rates": [1.0, 0.5, 0.3], "mix": "depthwise"}}
OVER_S4D = {"mixer": "serpent", "serpent": {"over": "s4d"}}
CAUSAL = {"kind": "causal", "inner_width": None, "num_heads": None, "table_length": None}
MODELS: dict[str, dict[str, Any]] = {
    "mask": {}, "mask-serpent-s4d": {"backbone": OVER_S4D}, "mask-multi": {"backbone": MULTI},
    "bamm": {"kind": "bamm"}, "bamm-t2mgpt": {"kind": "bamm", "blocks": "t2mgpt"},
    "causal-mamba": {**CAUSAL, "backbone": {"mixer": "mamba"}}, "causal-s4d": {**CAUSAL, "backbone": {"mixer": "s4d"}},
    "causal-multi": {**CAUSAL, "backbone": MULTI},
    "residual": {"num_quantizers": 3}, "residual-apart": {"num_quantizers": 3, "share_weight": False},
    "residual-mamba": {"num_quantizers": 3, "backbone": {"mixer": "mamba"}},
}  # fmt: skip
"""Settings of small models in addition to SIZES; None removes one."""
HASHES = {  # of the shipped generator and of a copy with a filter, on every processor
    "base": "f7f546fb0c39e07830f4831c2aac6d8369647b8d06f173edd5550d501dedddaa",
    "codes": "7f2827177066074392559d8d98516d68e3335990f6acfe490c47a524e7cbcbb8",
    "prompt_filter": "011006d0d3457a4bc42ae44ca4b021bfae4f47f1b3f982609e3b8beee5936119",
}

Arrays = dict[str, NDArray[Any]]


def motions(pipe: MotionPipeline, method: str) -> Arrays:
    """Codes, lengths and the joints of every eighth frame of a generator after an edit."""
    if method == "tiny":
        generations = tiny_pipeline().generate(["a person kicks"], seed=[5], raw=True)
    elif method == "none":
        generations = pipe.generate(PROMPTS, seed=[0, 1, 2, 3], raw=True)
    else:
        generations = exuvia.unlearn(method, pipe, forget="violence").generate(PROMPTS[:1], seed=[0], raw=True)
    joints = np.concatenate([clip.joints[::8] for clip in generations.clips])
    codes = generations.codes.numpy().astype(np.int16)
    return {f"{method}.codes": codes, f"{method}.lengths": generations.lengths.numpy(), f"{method}.joints": joints}


def outputs(name: str) -> Arrays:
    """Sums of the weights, the training loss and codes of a small model."""
    about = {key: value for key, value in (SIZES | MODELS[name]).items() if value is not None}
    model: BaseGenerator | ResidualTransformer
    generator = torch.Generator().manual_seed(3)
    cond, lengths = torch.randn(3, 4, 8, generator=generator), torch.tensor([9, 5, 12])
    known = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]], dtype=torch.bool)
    if name.startswith("residual"):
        model = ResidualTransformer(from_dict(ResidualTransformerConfig, about))
        codes = torch.randint(16, (3, 12, 3), generator=generator)
        generated = model.generate(codes[..., 0], cond, lengths, known, seeds=[1, 2, 3])
    else:
        model = build_generator(about)
        codes = torch.randint(16, (3, 12), generator=generator)
        generated = model.generate(cond, lengths, known, seeds=[1, 2, 3])
    state = {key: value.double().sum().item() for key, value in sorted(model.state_dict().items())}
    torch.manual_seed(1)  # dropout
    loss, _ = model.train().loss(codes, lengths, cond, known, generator=torch.Generator().manual_seed(2))
    return {
        f"{name}.names": np.asarray(list(state)),
        f"{name}.sums": np.asarray(list(state.values())),
        f"{name}.loss": loss.detach().numpy(),
        f"{name}.codes": generated.numpy().astype(np.int16),
    }


@pytest.fixture(scope="module")
def base() -> MotionPipeline:
    return MotionPipeline.from_pretrained("base")


@pytest.fixture(scope="module")
def frozen() -> Arrays:
    with np.load(FILE) as kept:
        return dict(kept)


@pytest.mark.parametrize("method", METHODS)
def test_motions_are_unchanged(method: str, base: MotionPipeline, frozen: Arrays) -> None:
    for name, value in motions(base, method).items():
        if name.endswith(".joints"):
            assert value == pytest.approx(frozen[name], abs=1e-4), name
        else:
            assert np.array_equal(value, frozen[name]), name


@pytest.mark.parametrize("name", MODELS)
def test_small_models_are_unchanged(name: str, frozen: Arrays) -> None:
    pinned = torch.__version__.partition("+")[0] in PINS.read_text(encoding="utf-8")
    for key, value in outputs(name).items():
        if key.endswith(".loss") and not pinned:
            continue  # other versions of PyTorch draw another dropout
        if key.endswith((".sums", ".loss")):
            assert value == pytest.approx(frozen[key], rel=1e-4, abs=1e-4), key
        else:
            assert np.array_equal(value, frozen[key]), key


def test_hashes_are_unchanged(base: MotionPipeline) -> None:
    assert pipeline_hash(base) == HASHES["base"]
    assert codes_hash(base) == HASHES["codes"]
    assert pipeline_hash(exuvia.unlearn("prompt_filter", base, forget="violence")) == HASHES["prompt_filter"]


if __name__ == "__main__":
    pipe = MotionPipeline.from_pretrained("base")
    parts = [*(motions(pipe, method) for method in METHODS), *(outputs(name) for name in MODELS)]
    np.savez_compressed(FILE, **{name: value for part in parts for name, value in part.items()})  # type: ignore[arg-type]
