"""Sampling tools and generation: what a seed fixes, what a step keeps, what an edit leaves alone."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence import sampling
from exuvia.sequence.mask_transformer import MaskTransformer
from exuvia.sequence.residual_transformer import ResidualTransformer
from exuvia.sequence.sampling import SamplingOptions
from exuvia.sequence.settings import MaskTransformerConfig, ResidualTransformerConfig
from exuvia.sequence.trunk import evaluating
from lab.parity.guided import guided_logits
from tiny import BACKBONES

SIZES: dict[str, Any] = {"num_codes": 16, "code_dim": 12, "width": 24, "inner_width": 32, "num_layers": 2}
SIZES |= {"num_heads": 3, "text_dim": 10, "table_length": 96}
B, S = 5, 4
LENGTHS = torch.tensor([7, 4, 1, 9, 6])
TEXT_VALID = torch.arange(S)[None] < torch.tensor([4, 2, 1, 3, 4])[:, None]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sharpened(model: Any) -> Any:
    draws = generator(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws) * 0.3)
    return model.double()


@pytest.fixture(scope="module")
def mask() -> MaskTransformer:
    return sharpened(MaskTransformer(MaskTransformerConfig(**SIZES, text_positions=S)))


@pytest.fixture(scope="module")
def residual() -> ResidualTransformer:
    return sharpened(ResidualTransformer(ResidualTransformerConfig(**SIZES, num_quantizers=4)))


@pytest.fixture(scope="module")
def text() -> Tensor:
    return torch.randn(B, S, 10, generator=generator(1))


@settings(max_examples=8, deadline=None)
@given(order=st.permutations(range(B)), size=st.integers(1, B), seed=st.integers(0, 2**40))
def test_a_sample_is_the_same_alone_and_in_any_batch(
    mask: MaskTransformer,
    residual: ResidualTransformer,
    text: Tensor,
    order: list[int],
    size: int,
    seed: int,
) -> None:
    seeds = [seed + k for k in range(B)]

    def run(rows: list[int]) -> dict[int, Tensor]:
        width = int(TEXT_VALID[rows].sum(1).max())
        cond, known = text[rows][:, :width], TEXT_VALID[rows][:, :width]
        chosen = [seeds[r] for r in rows]
        base = mask.generate(cond, LENGTHS[rows], known, seeds=chosen, steps=5)
        codes = residual.generate(base, cond, LENGTHS[rows], known, seeds=chosen)
        return {row: codes[i, : LENGTHS[row]] for i, row in enumerate(rows)}

    together = run(order[:size])
    for row, codes in together.items():
        assert torch.equal(run([row])[row], codes)


def test_seeds_matter(mask: MaskTransformer, text: Tensor) -> None:
    one, same, other = (mask.generate(text, LENGTHS, TEXT_VALID, seeds=range(k, k + B), steps=4) for k in (0, 0, 50))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_base_codes_fill_exactly_the_lengths(mask: MaskTransformer, text: Tensor) -> None:
    ids = mask.generate(text, LENGTHS, TEXT_VALID, seeds=range(B), steps=6)
    real = torch.arange(9)[None] < LENGTHS[:, None]
    assert ids.shape == (B, 9)
    assert (ids[real] >= 0).all()
    assert (ids[real] < 16).all()
    assert (ids[~real] == -1).all()


def test_steps_mask_ever_fewer_and_never_the_kept(mask: MaskTransformer, text: Tensor) -> None:
    fed: list[Tensor] = []
    ids = mask.generate(text, LENGTHS, seeds=range(B), steps=10, on_step=lambda _, x, y: fed.append(x))
    hidden = torch.stack([x == mask.mask_id for x in fed])
    assert torch.equal(hidden.sum(-1), sampling.masked_counts(LENGTHS, 10))
    assert not (hidden[1:] & ~hidden[:-1]).any()
    for earlier, masked in zip(fed[1:], hidden[1:], strict=True):
        kept = ~masked & (torch.arange(9)[None] < LENGTHS[:, None])
        assert torch.equal(earlier[kept], ids[kept])


def test_watching_a_generation_does_not_change_it(mask: MaskTransformer, text: Tensor) -> None:
    settings: dict[str, Any] = {"seeds": range(B), "steps": 6}
    seen: list[Tensor] = []
    watched = mask.generate(text, LENGTHS, TEXT_VALID, on_step=lambda _, x, y: seen.append(y), **settings)
    assert torch.equal(mask.generate(text, LENGTHS, TEXT_VALID, **settings), watched)
    assert [one.shape for one in seen] == 6 * [(B, 16, 9)]


def test_the_first_step_is_that_of_every_sample_alone(mask: MaskTransformer, text: Tensor) -> None:
    lengths = torch.tensor([5, 3, 5, 9, 3])  # equal ones share a forward without their condition
    seen: list[Tensor] = []
    mask.generate(text, lengths, seeds=range(B), steps=2, on_step=lambda _, x, y: seen.append(y))
    valid = torch.arange(9)[None] < lengths[:, None]
    ids = torch.where(valid, mask.mask_id, mask.pad_id)
    with evaluating(mask):
        expected = guided_logits(mask, ids, text, valid, cond_scale=4.0)
    made, wanted = (x.movedim(1, 2)[valid].float() for x in (seen[0], expected))
    torch.testing.assert_close(made, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backbone", ["transformer", "mamba"])
@pytest.mark.parametrize("grad", [True, False])
def test_some_positions_are_what_they_are_among_all(backbone: str, grad: bool) -> None:
    sizes = {"code_dim": 12, "width": 24, "inner_width": 32, "num_layers": 2, "num_heads": 3, "text_dim": 8}
    net = MaskTransformer(MaskTransformerConfig(16, **sizes, backbone=BACKBONES[backbone])).eval()
    valid = torch.arange(9)[None] < LENGTHS[:, None]
    wanted = valid & (torch.rand(valid.shape, generator=torch.Generator().manual_seed(1)) < 0.4)
    with torch.set_grad_enabled(grad):
        embedded = net.token_emb(torch.randint(0, 16, valid.shape, generator=torch.Generator().manual_seed(0)))
        prefix = net.prefix(torch.randn(B, 3, 8), torch.arange(3)[None] < torch.tensor([1, 3, 2, 3, 1])[:, None])
        every = net.encode(embedded, valid, prefix)[wanted]
        torch.testing.assert_close(net.encode_at(embedded, valid, prefix, wanted), every, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            net.encode(embedded, valid, prefix, packed=True)[wanted], every, atol=1e-5, rtol=1e-5
        )
        assert net.encode_at(embedded, valid, prefix, torch.zeros_like(valid)).shape == (0, every.shape[1])


def test_greedy_generation_needs_no_seed(mask: MaskTransformer, residual: ResidualTransformer, text: Tensor) -> None:
    one, two = (mask.generate(text, LENGTHS, temperature=0, steps=4) for _ in range(2))
    assert torch.equal(one, two)
    codes = residual.generate(one, text, LENGTHS, temperature=0)
    assert torch.equal(codes, residual.generate(one, text, LENGTHS, seeds=range(B), temperature=1e-9))
    for call in (lambda: mask.generate(text, LENGTHS), lambda: residual.generate(one, text, LENGTHS, seeds=[1])):
        with pytest.raises(ConfigError, match="seeds for 5 samples"):
            call()


def test_generation_leaves_the_model_as_it_was(mask: MaskTransformer, text: Tensor) -> None:
    mask.train()
    ids = mask.generate(text, LENGTHS, seeds=range(B), steps=2)
    assert mask.training
    mask.eval()
    loss, _ = mask.loss(ids, LENGTHS, text, generator=generator())
    loss.backward()
    mask.zero_grad()


def test_residual_codes_keep_the_base(residual: ResidualTransformer, text: Tensor) -> None:
    base = torch.randint(16, (B, 9), generator=generator(3))
    codes = residual.generate(base, text, LENGTHS, seeds=range(B))
    real = torch.arange(9)[None] < LENGTHS[:, None]
    assert codes.shape == (B, 9, 4)
    assert torch.equal(codes[..., 0][real], base[real])
    assert (codes[~real] == -1).all()
    assert (codes < 16).all()


def test_an_edit_keeps_what_is_outside_its_region(mask: MaskTransformer, text: Tensor) -> None:
    base = mask.generate(text, LENGTHS, seeds=range(B), steps=4)
    region = torch.zeros(B, 9, dtype=torch.bool)
    region[:, 2:5] = True
    region[1] = False
    options = SamplingOptions(keep_share=0.9, seeds=range(7, 7 + B), steps=4)
    edited = mask.edit(base, text.flip(0), LENGTHS, options=options, region=region)
    assert torch.equal(edited[~region], base[~region])
    assert not torch.equal(edited, base)
    assert (edited[region & (base >= 0)] >= 0).all()


def test_an_edit_without_region_begins_at_random(mask: MaskTransformer, text: Tensor) -> None:
    base = mask.generate(text, LENGTHS, seeds=range(B), steps=4)
    firsts = []
    for seed in range(6):
        fed: list[Tensor] = []
        options = SamplingOptions(keep_share=0.9, seeds=range(seed, seed + B), steps=3)
        watched = replace(options, on_step=lambda _, x, y, f=fed: f.append(x))
        made = mask.edit(base, text.flip(0), LENGTHS, options=watched)
        again = mask.edit(base, text.flip(0), LENGTHS, options=options)
        assert torch.equal(made, again)
        assert torch.equal(made < 0, base < 0)
        hidden = fed[0] == mask.mask_id
        assert torch.equal(hidden.sum(1), torch.tensor([1, 1, 1, 1, 1]))
        firsts.append(hidden)
    assert any(not torch.equal(firsts[0], other) for other in firsts[1:])


def test_shapes_that_do_not_fit(mask: MaskTransformer, text: Tensor) -> None:
    with pytest.raises(ShapeError, match="2 conditions for 5 lengths"):
        mask.generate(text[:2], LENGTHS, seeds=range(B))
    with pytest.raises(ShapeError, match="noise has shape"):
        mask.generate(text, LENGTHS, noise=torch.rand(10, B, 3))
    with pytest.raises(ConfigError, match="at least one step"):
        mask.generate(text, LENGTHS, seeds=range(B), steps=0)


@settings(max_examples=60, deadline=None)
@given(steps=st.integers(1, 30), length=st.integers(0, 60))
def test_masked_counts_fall_from_all_to_one(steps: int, length: int) -> None:
    counts = sampling.masked_counts(torch.tensor([length]), steps)[:, 0]
    assert counts[0] == length
    assert (counts[1:] <= counts[:-1]).all()
    assert counts.min() >= min(length, 1)
    assert steps == 1 or counts[-1] == min(length, 1)


@settings(max_examples=30, deadline=None)
@given(
    seeds=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4),
    steps=st.integers(1, 6),
    length=st.integers(1, 150),
)
def test_noise_does_not_depend_on_its_neighbours(seeds: list[int], steps: int, length: int) -> None:
    together = sampling.seeded_noise(seeds, steps, length)
    assert together.shape == (steps, len(seeds), length)
    for place, seed in enumerate(seeds):
        assert torch.equal(together[:, place], sampling.seeded_noise([seed], steps, 160)[:, 0, :length])


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 0.999), size=st.integers(1, 40), seed=st.integers(0, 1000))
def test_the_filter_keeps_the_largest(share: float, size: int, seed: int) -> None:
    logits = torch.randn(3, size, generator=generator(seed))
    kept = torch.isfinite(sampling.top_share(logits, share))
    assert (kept.sum(-1) == kept[0].sum()).all()
    assert kept[0].sum() >= 1
    for row, keep in zip(logits, kept, strict=True):
        assert keep.all() or row[keep].min() >= row[~keep].max()
        assert torch.equal(sampling.top_share(logits, share)[kept], logits[kept])
    with pytest.raises(ConfigError, match=r"keep_share is 1\.5"):
        sampling.top_share(logits, 1.5)


@pytest.mark.parametrize("kind", ["uniform", "gumbel"])
def test_draws_follow_the_distribution(kind: str) -> None:
    logits = torch.tensor([0.3, -1.0, 1.2, 0.0, -torch.inf]).expand(40000, 5)
    uniform = torch.rand(40000, 5, generator=generator(2))
    noise = uniform[:, 0] if kind == "uniform" else -torch.log(-torch.log(uniform))
    for temperature in (1.0, 0.5):
        shares = torch.bincount(sampling.draw(logits, temperature, noise), minlength=5) / 40000
        torch.testing.assert_close(shares, (logits[0] / temperature).softmax(-1), atol=0.012, rtol=0)


def test_a_left_out_class_is_never_drawn() -> None:
    logits = torch.tensor([-torch.inf, 1.0, -torch.inf, 2.0, -torch.inf]).expand(3, 5)
    assert sampling.draw(logits, 1.0, torch.tensor([0.0, 0.5, 1.0])).tolist() == [1, 3, 3]
