"""The tokenizer: padding, dropped levels, saved state (parity is tested with golden vectors)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.errors import ConfigError, ShapeError
from exuvia.tokens.draws import SeededDraws
from exuvia.tokens.rvqvae import RVQVAE
from exuvia.tokens.settings import RVQVAEConfig

SMALL = RVQVAEConfig(input_dim=263, num_codes=16, code_dim=12, num_quantizers=3, width=12, depth=2, dropout=0.0)


def trained(config: RVQVAEConfig = SMALL, steps: int = 3) -> RVQVAE:
    torch.manual_seed(0)
    model = RVQVAE(config).train()
    for step in range(steps):
        model(torch.randn(4, 32, config.input_dim), SeededDraws(torch.Generator().manual_seed(step)))
    return model.eval()


def test_published_size() -> None:
    model = RVQVAE(RVQVAEConfig())
    assert sum(p.numel() for p in model.parameters()) == 19_436_807
    published = [k for k in model.state_dict() if not k.endswith(("code_sum", "code_count", "initialised"))]
    assert len(published) == 72
    assert model.encode(torch.randn(1, 196, 263)).shape == (1, 49, 6)


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    norm=st.sampled_from([None, "LN"]),
    seed=st.integers(0, 99),
)
def test_padding_does_not_change_results(lengths: list[int], norm: str | None, seed: int) -> None:
    model = trained(RVQVAEConfig(**{**SMALL.__dict__, "norm": norm, "activation": "gelu"}))
    torch.manual_seed(seed)
    clips = [torch.randn(4 * n, 263) for n in lengths]
    batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=7.0)
    valid = torch.arange(batch.shape[1])[None] < torch.tensor([len(c) for c in clips])[:, None]
    codes = model.encode(batch, valid)
    decoded = model.decode(codes)
    for row, clip in enumerate(clips):
        alone = model.encode(clip[None])
        assert torch.equal(codes[row, : len(clip) // 4], alone[0])
        assert (codes[row, len(clip) // 4 :] == -1).all()
        assert torch.allclose(decoded[row, : len(clip)], model.decode(alone)[0], atol=1e-5)


def test_more_levels_reconstruct_the_latent_better() -> None:
    model = trained(steps=30)
    x = model.latents(torch.randn(8, 32, 263))
    errors = [(model.quantizer(x, last_level=level).value - x).square().mean().item() for level in range(3)]
    assert errors[0] > errors[1] > errors[2]


def test_fewer_levels_are_the_first_levels() -> None:
    model = trained()
    x = torch.randn(2, 16, 263)
    assert torch.equal(model.encode(x, levels=1), model.encode(x)[..., :1])


def test_saved_state_continues_the_codebook_exactly() -> None:
    model, twin = trained(), RVQVAE(SMALL)
    twin.load_state_dict(model.state_dict())
    x = torch.randn(4, 32, 263)
    for tokenizer in (model, twin):
        tokenizer.train()(x, SeededDraws(torch.Generator().manual_seed(5)))
    for a, b in zip(model.quantizer.layers, twin.quantizer.layers, strict=True):
        assert torch.equal(a.codebook, b.codebook)
        assert torch.equal(a.code_sum, b.code_sum)


def test_published_weights_are_not_initialised_again() -> None:
    model = trained()
    state = {k: v for k, v in model.state_dict().items() if k.endswith("codebook") or "quantizer" not in k}
    loaded = RVQVAE(SMALL)
    loaded.load_published(state)
    before = loaded.quantizer.layers[0].codebook.clone()
    loaded.train()(torch.randn(4, 32, 263) * 100, SeededDraws(torch.Generator().manual_seed(0)))
    kept = loaded.quantizer.layers[0].code_count >= 1
    assert kept.any()
    assert not torch.equal(before, torch.zeros_like(before))
    moved = (loaded.quantizer.layers[0].codebook - before)[~kept]
    assert len(moved) + int(kept.sum()) == SMALL.num_codes


def test_evaluation_learns_nothing() -> None:
    model = trained()
    before = model.quantizer.layers[0].codebook.clone()
    model(torch.randn(4, 32, 263))
    assert torch.equal(before, model.quantizer.layers[0].codebook)


@pytest.mark.parametrize("shape", [(1, 16, 251), (1, 3, 263), (16, 263)])
def test_wrong_shapes_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="found"):
        trained(steps=0).encode(torch.zeros(shape))


def test_unknown_activation_is_named() -> None:
    with pytest.raises(ConfigError, match="swish"):
        RVQVAE(RVQVAEConfig(activation="swish"))
