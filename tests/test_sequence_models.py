"""The sequence models: what a forward pass depends on, what training hides, what a state dict must hold."""

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from exuvia.config import from_dict, to_dict
from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence.encoder import Dropout, EncoderLayer, Layout
from exuvia.sequence.length import LengthEstimator
from exuvia.sequence.mask_transformer import Corruption, MaskTransformer
from exuvia.sequence.residual_transformer import ResidualDraws, ResidualTransformer
from exuvia.sequence.settings import (
    LengthEstimatorConfig,
    MaskTransformerConfig,
    ResidualTransformerConfig,
    TransformerConfig,
)
from exuvia.sequence.trunk import valid_from_lengths
from lab.parity.guided import guided_logits

SMALL: dict[str, Any] = {"num_codes": 16, "code_dim": 12, "width": 24, "inner_width": 32, "num_layers": 2}
SMALL |= {"num_heads": 3, "text_dim": 10, "table_length": 64}
B, T, S = 3, 7, 4
LENGTHS = torch.tensor([7, 4, 1])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sharpened(model: nn.Module) -> Any:
    """Weights of order 1, so that every term counts."""
    draws = generator(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws) * 0.3)
    return model.eval()


def mask_model(**changes: Any) -> MaskTransformer:
    return sharpened(MaskTransformer(MaskTransformerConfig(**(SMALL | changes))))


def residual_model(**changes: Any) -> ResidualTransformer:
    return sharpened(ResidualTransformer(ResidualTransformerConfig(**(SMALL | {"num_quantizers": 4} | changes))))


@pytest.fixture
def text() -> Tensor:
    return torch.randn(B, S, 10, generator=generator(1))


@pytest.fixture
def text_valid() -> Tensor:
    return torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()


@pytest.fixture
def ids() -> Tensor:
    return torch.where(valid_from_lengths(LENGTHS, T), torch.randint(17, (B, T), generator=generator(2)), 17)


@pytest.fixture
def valid() -> Tensor:
    return valid_from_lengths(LENGTHS, T)


def at(x: Tensor, valid: Tensor) -> Tensor:
    """Logits [B, V, T] at real positions only."""
    return x.transpose(1, 2)[valid]


def test_a_layer_equals_torch_own() -> None:
    config = TransformerConfig(**SMALL)
    ours = sharpened(EncoderLayer(config.width, config.inner_width, config.num_heads, config.dropout))
    theirs = nn.TransformerEncoderLayer(24, 3, 32, 0.2, "gelu", batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    theirs.train()
    for module in theirs.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    theirs.self_attn.dropout = 0.0
    x, valid = torch.randn(B, T, 24, generator=generator()), valid_from_lengths(LENGTHS, T)
    expected = theirs(x, src_key_padding_mask=~valid)
    torch.testing.assert_close(ours(x, Layout.of(valid, packed=False)), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [mask_model, residual_model])
def test_packing_changes_no_real_position(
    make: Any, ids: Tensor, valid: Tensor, text: Tensor, text_valid: Tensor
) -> None:
    model = make()
    if isinstance(model, MaskTransformer):
        full, packed = (model.logits(ids, text, valid, text_valid, packed=p) for p in (False, True))
    else:
        embedded, level = torch.randn(B, T, 12, generator=generator(3)), torch.tensor([1, 2, 3])
        full, packed = (model.logits(embedded, level, text, valid, text_valid, packed=p) for p in (False, True))
    torch.testing.assert_close(at(packed, valid), at(full, valid), atol=1e-5, rtol=1e-5)


def test_packing_gives_the_same_gradient(text: Tensor, text_valid: Tensor) -> None:
    codes, draws = torch.randint(16, (B, T), generator=generator()), Corruption.draw((B, T), 16, 0.5, generator(7))
    model = mask_model()
    model.loss(codes, LENGTHS, text, text_valid, draws=draws)[0].backward()
    ours = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    inputs, valid, labels = model.corrupt(codes, LENGTHS, draws)
    logits = model.logits(inputs, text, valid, text_valid, draws.drop)
    nn.functional.cross_entropy(logits, labels, ignore_index=model.mask_id).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, atol=1e-5, rtol=1e-4, msg=name)


def test_padding_does_not_matter(ids: Tensor, valid: Tensor, text: Tensor, text_valid: Tensor) -> None:
    model = mask_model(text_positions=8)
    expected = model.logits(ids, text, valid, text_valid)
    longer_ids, longer = nn.functional.pad(ids, (0, 3), value=17), nn.functional.pad(valid, (0, 3))
    longer_text = nn.functional.pad(text, (0, 0, 0, 2), value=9.0)
    got = model.logits(longer_ids, longer_text, longer, nn.functional.pad(text_valid, (0, 2)))
    torch.testing.assert_close(at(got, longer), at(expected, valid), atol=1e-5, rtol=1e-5)
    changed = text.masked_fill(~text_valid[..., None], -7.0)
    torch.testing.assert_close(model.logits(ids, changed, valid, text_valid), expected)


def test_a_pooled_vector_is_one_state(ids: Tensor, valid: Tensor, text: Tensor) -> None:
    model = mask_model()
    assert torch.equal(model.logits(ids, text[:, 0], valid), model.logits(ids, text[:, :1], valid))


def test_text_order_counts_only_with_text_positions(ids: Tensor, valid: Tensor, text: Tensor) -> None:
    plain, placed = mask_model(), mask_model(text_positions=S)
    turned = text.flip(1)
    torch.testing.assert_close(plain.logits(ids, turned, valid), plain.logits(ids, text, valid), atol=1e-5, rtol=1e-5)
    assert (placed.logits(ids, turned, valid) - placed.logits(ids, text, valid)).abs().max() > 0.01
    assert placed.state_dict().keys() - plain.state_dict().keys() == {"text_position.weight"}
    with pytest.raises(ShapeError, match="text_positions holds 4"):
        placed.logits(ids, text.repeat(1, 2, 1), valid)


def test_without_condition_nothing_of_the_text_is_left(ids: Tensor, valid: Tensor, text: Tensor) -> None:
    model, level = mask_model(text_positions=8), torch.tensor([1, 2, 3])
    expected = guided_logits(model, ids, torch.zeros(B, 10), valid, cond_scale=4, unconditional=True)
    for cond in (text, text * 3, text[:, :2]):
        got = guided_logits(model, ids, cond, valid, cond_scale=4, unconditional=True)
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    residual, embedded = residual_model(), torch.randn(B, T, 12, generator=generator(3))
    dropped = torch.tensor([True, False, True])
    one, two = (residual.logits(embedded, level, text * k, valid, drop=dropped) for k in (1, 2))
    torch.testing.assert_close(one[dropped], two[dropped])
    assert (one[1] - two[1]).abs().max() > 0.01


def test_guidance_is_linear_in_the_scale(ids: Tensor, valid: Tensor, text: Tensor) -> None:
    model = mask_model()
    zero, one, three = (guided_logits(model, ids, text, valid, cond_scale=s) for s in (0, 1, 3))
    torch.testing.assert_close(three, zero + 3 * (one - zero), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(one, model.logits(ids, text, valid))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 30), batch=st.integers(1, 5))
def test_corruption(seed: int, size: int, batch: int) -> None:
    model = mask_model()
    lengths = torch.randint(0, size + 1, (batch,), generator=generator(seed))
    valid = valid_from_lengths(lengths, size)
    codes = torch.randint(16, (batch, size), generator=generator(seed + 1))
    draws = Corruption.draw((batch, size), 16, 0.1, generator(seed))
    ids, _, labels = model.corrupt(codes, lengths, draws)
    target = labels != model.mask_id
    chosen = torch.round(size * torch.cos(draws.time * torch.pi * 0.5)).clamp(min=1)
    assert not target[~valid].any()
    assert (target.sum(1) <= chosen).all()
    assert (target.sum(1) == chosen)[lengths == size].all()
    assert torch.equal(labels[target], codes[target])
    assert torch.equal(ids[valid & ~target], codes[valid & ~target])
    assert (ids[~valid] == model.pad_id).all()
    assert (ids[target] <= model.mask_id).all()


def test_corruption_shares() -> None:
    model = mask_model()
    codes = torch.randint(16, (400, 49), generator=generator(1))
    lengths = torch.full((400,), 49)
    ids, _, labels = model.corrupt(codes, lengths, Corruption.draw((400, 49), 16, 0.25, generator(2)))
    target = labels != model.mask_id
    assert target.float().mean() == pytest.approx(2 / torch.pi, abs=0.03)
    assert (ids[target] == model.mask_id).float().mean() == pytest.approx(0.9 * 0.88, abs=0.01)
    assert (ids[target] == codes[target]).float().mean() == pytest.approx(0.9 * 0.12 + 0.1 / 16, abs=0.01)


def test_training_loss_is_a_function_of_the_generator(text: Tensor, text_valid: Tensor) -> None:
    codes = torch.randint(16, (B, T, 4), generator=generator())
    mask, residual = mask_model(dropout=0.0).train(), residual_model(dropout=0.0).train()
    for model, given_codes in ((mask, codes[..., 0]), (residual, codes)):
        run = [
            float(model.loss(given_codes, LENGTHS, text, text_valid, generator=generator(k))[0].detach())
            for k in (3, 3, 4)
        ]
        assert run[0] == run[1] != run[2]
        loss, accuracy = model.loss(given_codes, LENGTHS, text, text_valid, generator=generator(3))
        loss.backward()
        assert 0 <= float(accuracy) <= 1
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
        with pytest.raises(ConfigError, match="generator="):
            model.loss(given_codes, LENGTHS, text, text_valid)


def test_codes_at_padding_do_not_matter(text: Tensor) -> None:
    codes = torch.randint(16, (B, T, 4), generator=generator())
    other = codes.masked_fill(~valid_from_lengths(LENGTHS, T)[..., None], -1)
    for model, level in ((mask_model(), 0), (residual_model(), slice(None))):
        one, two = (model.loss(c[..., level], LENGTHS, text, generator=generator(3))[0] for c in (codes, other))
        assert float(one.detach()) == float(two.detach())


def test_a_batch_without_targets_has_loss_zero(text: Tensor) -> None:
    model = mask_model()
    loss, accuracy = model.loss(torch.zeros(B, T, dtype=torch.long), LENGTHS * 0, text, generator=generator())
    loss.backward()
    assert (float(loss.detach()), float(accuracy)) == (0, 0)


def test_only_coarser_levels_reach_a_level() -> None:
    model, level = residual_model(), torch.tensor([1, 2, 3])
    codes = torch.randint(16, (B, T, 4), generator=generator())
    finer = codes.clone()
    for sample, q in enumerate(level.tolist()):
        finer[sample, :, q:] = 0
    assert torch.equal(model.history(codes, level), model.history(finer, level))
    tables = model.embedding_tables()
    expected = tables[0][codes[1, :, 0]] + tables[1][codes[1, :, 1]]
    torch.testing.assert_close(model.history(codes, level)[1], expected)


def test_levels_are_drawn_from_one_to_the_last() -> None:
    levels = ResidualDraws.draw(4000, 6, 0.2, generator()).level
    shares = torch.bincount(levels, minlength=6) / 4000
    assert shares[0] == 0
    assert (shares[1:] > 0.05).all()
    assert shares[1] == shares.max()


@pytest.mark.parametrize("make", [mask_model, residual_model])
def test_a_state_dict_needs_everything_but_the_fixed_table(make: Any) -> None:
    model, other = make(), make()
    state = {name: value for name, value in model.state_dict().items() if name != "position_enc.pe"}
    other.load_state_dict(state)
    rounded = model.state_dict()["position_enc.pe"].half().float()
    other.load_state_dict(state | {"position_enc.pe": rounded})
    assert torch.equal(other.state_dict()["position_enc.pe"], model.state_dict()["position_enc.pe"])
    for broken in (state | {"more": torch.zeros(1)}, dict(list(state.items())[1:])):
        with pytest.raises(RuntimeError):
            other.load_state_dict(broken)


def test_models_are_equal_for_equal_seeds() -> None:
    config = MaskTransformerConfig(**SMALL)
    one, same, other = (MaskTransformer(config, seed=s).state_dict() for s in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["token_emb.weight"], other["token_emb.weight"])
    assert one["cond_emb.bias"].abs().max() == 0
    assert one["seqTransEncoder.layers.0.norm1.weight"].min() == 1
    assert float(one["token_emb.weight"].std()) == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("config", [MaskTransformerConfig(), ResidualTransformerConfig(), LengthEstimatorConfig()])
def test_configurations_survive_json(config: Any) -> None:
    assert from_dict(type(config), to_dict(config)) == config
    assert all(f.name in to_dict(config) for f in dataclasses.fields(config))


def test_what_does_not_fit_is_said(ids: Tensor, valid: Tensor, text: Tensor) -> None:
    model = mask_model()
    with pytest.raises(ShapeError, match=r"expected \[B, S, 10\]: is it the right encoder"):
        model.logits(ids, text[..., :9], valid)
    with pytest.raises(ShapeError, match="cond_valid"):
        model.logits(ids, text, valid, torch.ones(B, 2, dtype=torch.bool))
    with pytest.raises(ShapeError, match="base codes"):
        model.loss(ids[..., None], LENGTHS, text, generator=generator())
    with pytest.raises(ShapeError, match="do not fit 7 tokens"):
        model.loss(ids, LENGTHS + 1, text, generator=generator())
    with pytest.raises(ShapeError, match="position table holds 64"):
        model.logits(torch.zeros(1, 65, dtype=torch.long), text[:1], torch.ones(1, 65, dtype=torch.bool))
    with pytest.raises(ShapeError, match="all levels"):
        residual_model().loss(torch.zeros(B, T, 3, dtype=torch.long), LENGTHS, text, generator=generator())
    with pytest.raises(ConfigError, match="does not divide"):
        MaskTransformerConfig(width=100, num_heads=6)
    with pytest.raises(ConfigError, match=r"found dropout 1\.0, expected at least 0 and below 1"):
        MaskTransformerConfig(dropout=1.0)


def test_dropout_keeps_the_expectation() -> None:
    layer, x = Dropout(0.2).train(), torch.ones(1001, 99, requires_grad=True)
    y = layer(x)
    assert (y == 0).float().mean() == pytest.approx(0.2, abs=0.01)
    assert y.detach().unique().tolist() == pytest.approx([0, 1.25], abs=1e-4)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert layer.eval()(x) is x


def test_length_estimator_learns_and_draws(text: Tensor) -> None:
    model = LengthEstimator(LengthEstimatorConfig(text_dim=10, num_classes=12, hidden=(32, 16), dropout=0.0)).train()
    pooled, lengths = text[:, 0], torch.tensor([3, 9, 30])
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        loss, accuracy = model.loss(pooled, lengths)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(accuracy) == 1
    assert model.sample(pooled, temperature=0).tolist() == [3, 9, 11]
    drawn = model.sample(pooled, seeds=[1, 2, 3], temperature=50.0)
    assert drawn.min() >= 1
    assert torch.equal(drawn[1:], model.sample(pooled[1:], seeds=[2, 3], temperature=50.0))
    held = model.sample(pooled.repeat(20, 1), seeds=range(60), temperature=50.0, low=4, high=7)
    assert set(held.tolist()) == {4, 5, 6, 7}
    assert model.training
    with pytest.raises(ConfigError, match="no seeds for 3 samples"):
        model.sample(pooled)
    with pytest.raises(ShapeError, match=r"expected \[B, 10\]"):
        model.logits(text)
