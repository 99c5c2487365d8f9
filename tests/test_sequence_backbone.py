"""State-space layers in the place of attention: padding, generation, learning, saving and unlearning as with it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from exuvia.config import from_dict, to_dict
from exuvia.errors import CheckpointError, ConfigError
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.sequence.generators import build_generator
from exuvia.sequence.mask_transformer import MaskTransformer
from exuvia.sequence.settings import Backbone, CausalConfig, MaskTransformerConfig
from exuvia.unlearning.base import unlearn
from tiny import BACKBONES as ALL_BACKBONES
from tiny import CODES, tiny_pipeline

SIZES = {"num_codes": CODES, "code_dim": 8, "width": 16, "inner_width": 16, "num_layers": 1, "num_heads": 2,
         "text_dim": 12, "table_length": 64, "dropout": 0.0}  # fmt: skip


BACKBONES = {name: backbone for name, backbone in ALL_BACKBONES.items() if name != "transformer"}


def model(backbone: Backbone, seed: int = 0) -> MaskTransformer:
    return MaskTransformer(MaskTransformerConfig(**SIZES, backbone=backbone), seed=seed).eval()  # type: ignore[arg-type]


def condition(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    cond = torch.randn(count, 5, 12, generator=torch.Generator().manual_seed(3))
    return cond, torch.arange(5) < torch.arange(2, 2 + count)[:, None]


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_a_sample_does_not_depend_on_its_neighbours_or_padding(backbone: Backbone) -> None:
    net, lengths = model(backbone), torch.tensor([9, 5, 12])
    cond, known = condition(3)
    together = net.generate(cond, lengths, known, seeds=[1, 2, 3], steps=4)
    for row, length in enumerate(lengths.tolist()):
        alone = net.generate(
            cond[row : row + 1], lengths[row : row + 1], known[row : row + 1], seeds=[row + 1], steps=4
        )
        assert torch.equal(alone[0, :length], together[row, :length])
        assert (together[row, length:] == -1).all()


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_every_position_sees_text_and_both_sides(backbone: Backbone) -> None:
    net, valid = model(backbone), torch.ones(1, 12, dtype=torch.bool)
    cond, _ = condition(1)
    ids = torch.randint(CODES, (1, 12), generator=torch.Generator().manual_seed(0))
    before = net.logits(ids, cond, valid)
    other = ids.clone()
    other[0, 8:] = (ids[0, 8:] + 1) % CODES
    assert (net.logits(other, cond, valid) - before)[..., 0].abs().max() > 1e-8
    assert (net.logits(ids, cond + 1, valid) - before)[..., 11].abs().max() > 1e-8


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_weights_are_a_function_of_the_seed_and_it_learns(backbone: Backbone) -> None:
    torch.manual_seed(99)  # what was drawn before makes no difference
    net = model(backbone, seed=4)
    for name, value in model(backbone, seed=4).state_dict().items():
        assert torch.equal(value, net.state_dict()[name])
    codes = torch.arange(12)[None].expand(8, -1) % CODES
    lengths = torch.full((8,), 12)
    cond = torch.zeros(8, 12)
    optimizer = torch.optim.Adam(net.train().parameters(), 1e-2)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(40):
        loss, _ = net.loss(codes, lengths, cond, generator=generator)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_a_pipeline_with_mamba_is_saved_edited_and_loaded(tmp_path: Path) -> None:
    pipe = tiny_pipeline()
    pipe.base = MaskTransformer(replace(pipe.base.config, backbone=Backbone("mamba"))).eval().requires_grad_(False)
    folder = pipe.save_pretrained(tmp_path / "mamba")
    loaded = MotionPipeline.from_pretrained(folder)
    assert pipeline_hash(loaded) == pipeline_hash(pipe)
    assert loaded("a man kicks", frames=40, seed=1).joints.shape == (40, 22, 3)
    safe = unlearn("uce", loaded, forget="kick")
    assert pipeline_hash(safe) != pipeline_hash(loaded)
    plain = tiny_pipeline().save_pretrained(tmp_path / "plain")
    (plain / "config.json").write_text((folder / "config.json").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(CheckpointError, match="missing"):
        MotionPipeline.from_pretrained(plain)


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_a_configuration_is_read_back(backbone: Backbone) -> None:
    config = from_dict(MaskTransformerConfig, {**SIZES, "backbone": to_dict(backbone)})
    assert config.backbone == backbone
    assert from_dict(MaskTransformerConfig, to_dict(config)) == config
    causal = build_generator({"kind": "causal", "backbone": to_dict(backbone), "width": 16, "num_layers": 1})
    assert causal.config == from_dict(CausalConfig, to_dict(causal.config))
    assert not hasattr(causal, "position_enc")


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("mamba", "found backbone 'mamba', expected a dictionary of mixer, serpent"),
        ({"mixer": "serpent", "serpent": {"rate": 0.5}}, "did you mean 'backbone.serpent.rates'"),
        ({"mixer": "serpent", "serpent": {"K": "three"}}, "expected a whole number"),
        ({"mixer": "serpent", "serpent": {"rates": [2.0]}}, "rates"),
        ({"mixer": "mamba", "serpent": {"rates": [0.5]}}, "settings of SeRpEnt for the mixer 'mamba'"),
        ({"mixer": "mambo"}, "unknown backbone.mixer 'mambo'; did you mean 'mamba'"),
    ],
)
def test_unknown_backbones_are_named(backbone: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(MaskTransformerConfig, {"backbone": backbone})
