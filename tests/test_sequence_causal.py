"""The autoregressive generator: it sees the past only, its state is the whole past, it ends, and it learns."""

from typing import Any

import pytest
import torch
from torch import Tensor

from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence.causal import CausalGenerator, CausalState, Noise
from exuvia.sequence.sampling import draw_or_end
from exuvia.sequence.settings import Backbone, CausalConfig, StackConfig
from exuvia.sequence.stack import Stack
from tiny import BACKBONES as ALL_BACKBONES

BACKBONES = [name for name in ALL_BACKBONES if name != "transformer"]
SIZES = {"num_codes": 11, "code_dim": 16, "width": 24, "num_layers": 2, "text_dim": 8}


def model(backbone: str = "mamba", **more: Any) -> CausalGenerator:
    net = CausalGenerator(CausalConfig(**{**SIZES, **more}, backbone=ALL_BACKBONES[backbone], dropout=0.0), seed=0)
    with torch.no_grad():  # weights of order 1, so that everything matters
        for name, parameter in net.named_parameters():
            if parameter.ndim > 1 and not name.startswith("seqTransEncoder"):
                parameter.mul_(10)
    return net.eval()


def condition(count: int, states: int = 0) -> tuple[Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(3)
    if not states:
        return torch.randn(count, 8, generator=generator), None
    valid = torch.arange(states)[None] < torch.randint(1, states + 1, (count, 1), generator=generator)
    return torch.randn(count, states, 8, generator=generator), valid


def teacher_forced(net: CausalGenerator, ids: Tensor, cond: Tensor, known: Tensor | None, scale: float) -> Tensor:
    """Guided logits [B, N + 1, V + 1] of every code of ids [B, N] and of the one after, in one forward a branch."""
    start = torch.nn.functional.pad(ids, (1, 0), value=net.end_id)
    every = torch.ones_like(start, dtype=torch.bool)
    drop = torch.ones(len(ids), dtype=torch.bool)
    with torch.no_grad():
        conditional = net.logits(start, cond, every, known)
        without = net.logits(start, cond, every, known, drop)
    return (without + scale * (conditional - without)).transpose(1, 2)


@pytest.mark.parametrize("backbone", BACKBONES)
@torch.no_grad()
def test_an_output_depends_on_the_caption_and_its_past_only(backbone: str) -> None:
    net, (cond, known) = model(backbone), condition(2, 4)
    ids = torch.randint(0, 11, (2, 20), generator=torch.Generator().manual_seed(0))
    valid = torch.ones_like(ids, dtype=torch.bool)
    base = net.logits(ids, cond, valid, known)
    other = ids.clone()
    other[:, 9] = (ids[:, 9] + 1) % 11
    moved = (net.logits(other, cond, valid, known) - base).abs().amax((0, 1)) > 1e-4  # S4D convolves by FFT
    assert not moved[:9].any()
    assert moved[9:].any()
    assert not net.logits(ids, cond + 1, valid, known).allclose(base)
    outside = cond + (~known)[..., None] * 3.0  # type: ignore[operator]
    assert torch.allclose(net.logits(ids, outside, valid, known), base, atol=1e-5), "padding of captions is passed over"


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("states", [0, 5])
def test_writing_from_a_state_is_drawing_from_the_whole_sequence(backbone: str, states: int) -> None:
    net, (cond, known) = model(backbone), condition(3, states)
    made = net.generate(cond, None, known, seeds=[1, 2, 3], longest=30, temperature=0)
    for row in range(3):
        codes = made[row][made[row] >= 0]
        wanted = teacher_forced(net, codes[None], cond[[row]], None if known is None else known[[row]], 4.0)[0]
        assert wanted[0, :11].argmax() == codes[0]
        assert wanted[1 : len(codes)].argmax(-1).equal(codes[1:])
        assert len(codes) == 30 or wanted[len(codes)].argmax() == net.end_id


@pytest.mark.parametrize("backbone", ["mamba", "serpent-s4d"])
def test_reading_and_writing_on_is_writing_at_once(backbone: str) -> None:
    net, (cond, known) = model(backbone), condition(2, 3)
    noise = torch.rand(2, 24, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    whole = CausalState(net, cond, known).write(24, noise)
    pieces = CausalState(net, cond, known)
    first = pieces.write(10, noise[:, :10])
    assert torch.cat([first, pieces.write(14, noise[:, 10:])], dim=1).equal(whole)
    reader = CausalState(net, cond, known)
    reader.read(whole[:, :7])
    reader.read(whole[:, 7:17])
    assert reader.write(7, noise[:, 17:]).equal(whole[:, 17:])


def test_the_state_does_not_grow() -> None:
    writer = CausalState(model("serpent"), *condition(1))

    def size(state: Any) -> int:
        if isinstance(state, Tensor):
            return state.numel()
        return sum(size(part) for part in state) if isinstance(state, list | tuple) else 0

    sizes = []
    for _ in range(3):
        writer.write(20, torch.rand(1, 20))
        sizes.append(size(writer.state))
    assert len(set(sizes)) == 1
    assert sizes[0] > 0


def test_a_sample_is_the_same_alone_and_in_a_batch() -> None:
    net, (cond, known) = model("serpent-s4d"), condition(4, 5)
    together = net.generate(cond, None, known, seeds=[5, 6, 7, 8], longest=25)
    assert len(set((together >= 0).sum(1).tolist())) > 1, "lengths of their own"
    for row in range(4):
        assert known is not None
        alone = net.generate(cond[[row]], None, known[[row]], seeds=[5 + row], longest=25)
        size = int((alone >= 0).sum())
        assert together[row, :size].equal(alone[0, :size])
        assert (together[row, size:] == -1).all()


def test_lengths_keep_to_their_limits() -> None:
    net, (cond, _) = model(), condition(8)
    assert (net.generate(cond, torch.arange(1, 9), seeds=range(8)) >= 0).sum(1).equal(torch.arange(1, 9))
    with torch.no_grad():  # ends at once, if it may
        net.output_process.poseFinal.bias[net.end_id] += 500
    made = net.generate(cond, seeds=list(range(8)), shortest=3, longest=9)
    assert made.shape == (8, 3)
    assert 0 <= int(made.min()) <= int(made.max()) < 11
    assert net.generate(cond, torch.full((8,), 6), seeds=range(8)).shape == (8, 6)
    for bad, named in (({"shortest": 4, "longest": 3}, "lengths from 4 to 3"), ({"seeds": [1]}, "1 seeds for 8")):
        with pytest.raises(ConfigError, match=named):
            net.generate(cond, **{"seeds": range(8), **bad})
    with pytest.raises(ShapeError, match="8 conditions for 2 lengths"):
        net.generate(cond, torch.tensor([3, 4]), seeds=range(8))


def test_the_end_is_as_likely_however_few_codes_may_be_drawn() -> None:
    logits = torch.randn(1, 12, generator=torch.Generator().manual_seed(2)).expand(20_000, -1)
    noise = torch.rand(20_000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    wanted = float(logits[0].softmax(-1)[-1])
    for share in (0.0, 0.5, 0.9):
        drawn, sure = draw_or_end(logits, share, 1.0, noise, ends=True)
        assert float((drawn == 11).float().mean()) == pytest.approx(wanted, abs=0.01)
        assert sure.equal(logits.softmax(-1).gather(1, drawn[:, None])[:, 0])
    assert (draw_or_end(logits, 0.0, 1.0, noise, ends=False)[0] < 11).all()


def test_a_training_step_reads_the_past_and_predicts_codes_and_end() -> None:
    net = model()
    codes = torch.tensor([[4, 5, 6, 0], [7, 8, 9, 10]])
    lengths = torch.tensor([3, 4])
    noisy = torch.zeros(2, 4, dtype=torch.bool)
    noisy[1, 1] = True
    ids, valid, labels = net.corrupt(codes, lengths, Noise(noisy, torch.full((2, 4), 2)))
    assert ids.tolist() == [[11, 4, 5, 6, 12], [11, 7, 2, 9, 10]]
    assert valid.sum(1).tolist() == [4, 5]
    assert labels.tolist() == [[4, 5, 6, 11, 12], [7, 8, 9, 10, 11]]
    cond, _ = condition(2)
    draws = Noise(torch.zeros_like(noisy), torch.zeros(2, 4, dtype=torch.long))
    loss, accuracy = net.loss(codes, lengths, cond, draws=draws)
    nats = -teacher_forced(net, codes, cond, None, 1.0).log_softmax(-1)
    real = [float(nats[b, k, labels[b, k]]) for b in range(2) for k in range(int(lengths[b]) + 1)]
    assert float(loss.detach()) == pytest.approx(sum(real) / len(real), rel=1e-4)
    assert 0 <= float(accuracy) <= 1
    with pytest.raises(ConfigError, match="the training loss needs"):
        net.loss(codes, lengths, cond)
    with pytest.raises(ShapeError, match=r"base codes takes \[B, T\]"):
        net.loss(codes[..., None], lengths, cond, draws=draws)


@pytest.mark.parametrize("backbone", ["mamba", "serpent"])
def test_it_learns_which_codes_belong_to_a_caption(backbone: str) -> None:
    torch.manual_seed(0)
    net = CausalGenerator(CausalConfig(**SIZES, backbone=ALL_BACKBONES[backbone], dropout=0.0), seed=0)  # type: ignore[arg-type]
    cond = torch.eye(8)[:2]
    codes = torch.tensor([[1, 2, 3, 1, 2, 3, 0, 0], [7, 6, 5, 4, 7, 6, 5, 4]])
    lengths = torch.tensor([6, 8])
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        loss, _ = net.loss(codes.repeat(8, 1), lengths.repeat(8), cond.repeat(8, 1), generator=generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    made = net.generate(cond, seeds=[0, 1], longest=20, temperature=0, cond_scale=1)
    assert made.tolist() == [[1, 2, 3, 1, 2, 3, -1, -1], [7, 6, 5, 4, 7, 6, 5, 4]]


def test_backbones_that_carry_no_state_are_refused() -> None:
    with pytest.raises(ConfigError, match="layers that carry a state; the causal transformer is BAMM"):
        CausalConfig(backbone=Backbone("transformer"))
    stack = Stack(StackConfig(8, 1, "mamba", causal=False))
    for call in (lambda: stack.carried(torch.zeros(1, 2, 8)), lambda: stack.step(torch.zeros(1, 8), [None])):
        with pytest.raises(ConfigError, match="keeps no state"):
            call()
