"""BAMM: what sees what, the end token, two passes with a cache, and learning."""

import itertools

import pytest
import torch
from torch import Tensor

from exuvia.errors import ConfigError, ShapeError
from exuvia.sequence.bamm import BAMM, Reveal
from exuvia.sequence.bamm_decoder import BAMMOptions, attention_table, cut_at_end, first_pass, generate
from exuvia.sequence.settings import BAMMConfig
from lab.parity.guided import guided_logits

SIZES = {"num_codes": 11, "code_dim": 16, "width": 24, "inner_width": 32, "num_layers": 2, "num_heads": 2}


def model(blocks: str = "official", **more: object) -> BAMM:
    net = BAMM(BAMMConfig(**SIZES, text_dim=8, table_length=64, blocks=blocks, **more), seed=0)  # type: ignore[arg-type]
    with torch.no_grad():  # weights of order 1, so that everything matters
        for parameter in net.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
    return net.eval()


def condition(count: int, states: int = 0) -> tuple[Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(3)
    if not states:
        return torch.randn(count, 8, generator=generator), None
    valid = torch.arange(states)[None] < torch.randint(1, states + 1, (count, 1), generator=generator)
    return torch.randn(count, states, 8, generator=generator), valid


@pytest.mark.parametrize("blocks", ["official", "t2mgpt"])
@torch.no_grad()
def test_a_token_depends_on_its_past_and_on_what_is_given(blocks: str) -> None:
    net, (cond, _) = model(blocks), condition(1)
    ids = torch.randint(0, 11, (1, 9), generator=torch.Generator().manual_seed(0))
    given = torch.zeros(1, 9, dtype=torch.bool)
    given[0, 6] = True
    base = net.logits(ids, cond, given)
    for place in range(9):
        other = ids.clone()
        other[0, place] = (ids[0, place] + 1) % 11
        moved = (net.logits(other, cond, given) - base).abs().amax(1)[0] > 1e-6
        if place == 6:
            assert moved.all()  # revealed: seen by the condition's row too
        else:
            assert not moved[: place + 1].any()
            assert moved[place + 1 : 7].all() or place == 5
            assert not moved[7], "the row of a revealed token sees what is given only"


@pytest.mark.parametrize(
    ("blocks", "states", "lengths"), list(itertools.product(["official", "t2mgpt"], [0, 4], [None, [7, 1, 12]]))
)
def test_the_cache_changes_nothing(blocks: str, states: int, lengths: list[int] | None) -> None:
    net, (cond, valid) = model(blocks), condition(3, states)
    given = None if lengths is None else torch.tensor(lengths)
    noise = torch.rand(2, 3, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    made = net.generate(cond, given, valid, longest=12, noise=noise)
    found = (made >= 0).sum(1)
    assert given is None or found.equal(given)
    # the same, every step from the whole sequence
    size = 12
    ids = torch.full((3, size), net.pad_id)
    sure = torch.ones(3, size)
    with torch.no_grad():
        for k in range(size):
            logits = guided_logits(net, ids, cond, None, valid, cond_scale=4)[:, :, k]
            logits = logits if lengths is None and k >= 1 else logits[:, :11]
            cdf = logits.double().softmax(-1).cumsum(-1)
            ids[:, k] = (cdf < noise[0, :, k, None] * cdf[:, -1:]).sum(-1)
            sure[:, k] = logits.softmax(-1).gather(1, ids[:, k, None])[:, 0]
        over = ids >= net.end_id
        ends = torch.where(over.any(1), over.int().argmax(1), size) if given is None else given
        assert found.equal(ends)
        place = torch.arange(size + 1)[None]
        ids = torch.nn.functional.pad(ids, (0, 1), value=net.pad_id)
        ids[place > ends[:, None]] = net.pad_id
        ids[place == ends[:, None]] = net.end_id
        remasked = torch.zeros(3, size + 1, dtype=torch.bool)
        for row, end in enumerate(ends.tolist()):
            remasked[row, sure[row, :end].argsort(stable=True)[: max(1, round(end / 2))]] = True
        kept = (place <= ends[:, None]) & ~remasked
        for k in range(size):
            logits = guided_logits(net, ids, cond, kept, valid, cond_scale=3)[:, :11, k]
            cdf = logits.double().softmax(-1).cumsum(-1)
            fresh = (cdf < noise[1, :, k, None] * cdf[:, -1:]).sum(-1)
            ids[:, k] = torch.where(kept[:, k], ids[:, k], fresh)
    assert made.equal(torch.where(place < ends[:, None], ids, -1)[:, : made.shape[1]])


@pytest.mark.parametrize("released", [False, True])
def test_a_sample_is_the_same_alone_and_in_a_batch(released: bool) -> None:
    net, (cond, valid) = model(), condition(4, 5)

    def run(rows: list[int]) -> Tensor:
        assert valid is not None
        options = BAMMOptions(seeds=[5 + row for row in rows], released=released)
        return generate(net, (cond[rows], valid[rows]), None, (1, 14), options)

    together = run([0, 1, 2, 3])
    assert len(set((together >= 0).sum(1).tolist())) > 1, "lengths of their own"
    for row in range(4):
        alone = run([row])
        size = int((alone >= 0).sum())
        assert together[row, :size].equal(alone[0, :size])
        assert (together[row, size:] == -1).all()


def test_lengths_keep_to_their_limits() -> None:
    net, (cond, _) = model(), condition(16)
    with torch.no_grad():  # ends at once, if it may
        net.output_process.poseFinal.bias[net.end_id] += 50
    made = net.generate(cond, seeds=range(16), shortest=3, longest=9)
    assert ((made >= 0).sum(1) == 3).all()
    assert made.max() < 11
    with torch.no_grad():
        net.output_process.poseFinal.bias[net.end_id] -= 100
    assert ((net.generate(cond, seeds=list(range(16)), longest=9) >= 0).sum(1) == 9).all()
    ids, lengths = cut_at_end(torch.tensor([[11, 3, 4], [1, 2, 3], [4, 12, 11]]), 11)
    assert lengths.tolist() == [1, 3, 1]
    assert ids[0, 0] == 0


def test_few_codes_to_draw_from_leave_the_end_as_likely() -> None:
    net, (cond, _) = model(), condition(1)
    noise = torch.rand(2, 400, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ends = []
    for share in (0.0, 0.8):
        options = BAMMOptions(keep_share=share, released=True)
        with torch.inference_mode():
            first, _ = first_pass(net, (cond.repeat(400, 1), None), options, 1, None, 1, noise)
        ends.append(first[:, 0] == net.end_id)
        assert len(first.unique()) <= (12 if share == 0 else 4)
    assert 0.02 < float(ends[0].float().mean()) < 0.98
    assert ends[0].equal(ends[1])


def test_what_does_not_fit_is_refused() -> None:
    net, (cond, _) = model(), condition(2)
    with pytest.raises(ConfigError, match="seeds for 2"):
        net.generate(cond, seeds=[1])
    with pytest.raises(ConfigError, match="lengths from 5 to 4"):
        net.generate(cond, seeds=[1, 2], shortest=5, longest=4)
    with pytest.raises(ShapeError, match="2 conditions for 1"):
        net.generate(cond, torch.tensor([4]), seeds=[1, 2])
    with pytest.raises(ConfigError, match="unknown blocks 'gpt2'; did you mean 't2mgpt'"):
        BAMMConfig(blocks="gpt2")
    with pytest.raises(ConfigError, match="no setting 'backbone'"):
        BAMMConfig(backbone="mamba")  # type: ignore[call-arg]
    with pytest.raises(ShapeError, match=r"base codes takes \[B, T\]"):
        net.loss(torch.zeros(2, 4, 6, dtype=torch.long), torch.tensor([4, 4]), cond, generator=torch.Generator())


def test_corruption_keeps_end_padding_and_targets() -> None:
    net, codes = model(), torch.randint(0, 11, (64, 12), generator=torch.Generator().manual_seed(0))
    lengths, generator = torch.randint(1, 13, (64,), generator=torch.Generator().manual_seed(1)), torch.Generator()
    rates, noise = [], []
    for seed in range(40):
        draws = Reveal.draw((64, 12), 11, 0.1, generator.manual_seed(seed))
        ids, given, labels = net.corrupt(codes, lengths, draws)
        place = torch.arange(13)[None]
        assert (labels[place == lengths[:, None]] == net.end_id).all()
        assert (ids[place >= lengths[:, None]] == labels[place >= lengths[:, None]]).all()
        assert (labels[place > lengths[:, None]] == net.pad_id).all()
        assert not given[place > lengths[:, None]].any()
        rates.append(float(given[place <= lengths[:, None]].float().mean()))
        noise.append(float((ids != labels)[place < lengths[:, None]].float().mean()))
    assert 0.25 < sum(rate == 0 for rate in rates) / 40 < 0.75  # half of the batches are purely causal
    assert max(rates) < 0.55 > max(noise)
    assert max(noise) > 0.3


def test_it_learns_codes_and_lengths() -> None:
    torch.manual_seed(0)
    net = BAMM(BAMMConfig(**SIZES, text_dim=8, table_length=64, dropout=0.0), seed=0).train()  # type: ignore[arg-type]
    cond = torch.eye(8)[:4]
    codes = torch.stack([torch.arange(12) % (2 + row) + row for row in range(4)])
    lengths = torch.tensor([4, 6, 8, 10])
    optimizer, generator = torch.optim.AdamW(net.parameters(), 3e-3), torch.Generator().manual_seed(0)
    for _ in range(250):
        loss, _ = net.loss(codes.repeat(8, 1), lengths.repeat(8), cond.repeat(8, 1), generator=generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    made = generate(net, (cond, None), None, (1, 12), BAMMOptions(1, fill_scale=1, temperature=0))
    assert (made >= 0).sum(1).tolist() == lengths.tolist()
    for row, length in enumerate(lengths.tolist()):
        assert made[row, :length].tolist() == codes[row, :length].tolist()


def test_padded_condition_tokens_are_not_seen() -> None:
    net, (cond, valid) = model(), condition(3, 4)
    assert valid is not None
    ids = torch.randint(0, 11, (3, 5), generator=torch.Generator().manual_seed(0))
    noisy = torch.where(valid[..., None], cond, 99.0)
    torch.testing.assert_close(net.logits(ids, cond, None, valid), net.logits(ids, noisy, None, valid))
    table = attention_table(torch.zeros(3, 5, dtype=torch.bool), valid)
    assert not (table & ~torch.nn.functional.pad(valid, (0, 5), value=True)[:, None]).any()
    assert table.any(2).all()
