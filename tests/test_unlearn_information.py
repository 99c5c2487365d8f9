"""Codes weighted by what they tell: weights by hand, alone and in a batch, weighted counts, and LCR with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import exuvia
from exuvia.codes.statistics import PackedCodes, count_codes
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.errors import CheckpointError, ConfigError, ShapeError
from exuvia.sequence.intervals import learned_intervals
from exuvia.sequence.settings import StackConfig
from exuvia.sequence.stack import Stack
from exuvia.unlearning.information import information_weights, load_information_model
from exuvia.unlearning.lcr import LCRConfig
from lab.packed import packed
from made_informant import causal_net, run_folder
from made_mocap import mocap_folder
from tiny import CODES, tiny_pipeline


def clips(lengths: list[int], seed: int = 0) -> PackedCodes:
    rng = np.random.default_rng(seed)
    return packed([rng.integers(0, CODES, (n, 2)) for n in lengths], CODES)


@pytest.mark.parametrize("backbone", ["mamba", "serpent", "serpent-s4d"])
@pytest.mark.parametrize("measure", ["intervals", "surprisal"])
def test_a_clip_weighs_what_it_weighs_alone_and_one_on_average(backbone: str, measure: Any) -> None:
    net, codes = causal_net(backbone), clips([9, 30, 1, 17])
    weights = information_weights(codes, net, measure)
    for number in range(4):
        mine = weights[codes.offsets[number] : codes.offsets[number + 1]]
        assert mine.mean() == pytest.approx(1)
        assert (mine >= 0).all()
        np.testing.assert_allclose(information_weights(packed([codes[number]], CODES), net, measure), mine, rtol=1e-3)
    assert weights[codes.offsets[1] :][:30].std() > 0


def test_the_control_has_the_same_weights_at_other_steps() -> None:
    net, codes = causal_net(), clips([40, 25])
    weights, shuffled = (information_weights(codes, net, measure) for measure in ("intervals", "shuffled"))
    for low, high in zip(codes.offsets[:-1], codes.offsets[1:], strict=True):
        np.testing.assert_allclose(np.sort(shuffled[low:high]), np.sort(weights[low:high]))
        assert (shuffled[low:high] != weights[low:high]).mean() > 0.5
    assert (information_weights(codes, net, "shuffled") == shuffled).all()


def test_surprisal_is_the_models_own() -> None:
    net, codes = causal_net(), clips([12])
    row = torch.from_numpy(codes[0][:, 0].astype(np.int64))[None]
    nobody = torch.ones(1, dtype=torch.bool)
    nats = []
    with torch.no_grad():
        for k in range(12):  # the same, a step at a time
            ids = torch.nn.functional.pad(row[:, :k], (1, 0), value=net.end_id)
            logits = net.logits(ids, torch.zeros(1, 8), torch.ones_like(ids, dtype=torch.bool), None, nobody)
            nats.append(-float(logits[0, :, -1].log_softmax(0)[row[0, k]]))
    np.testing.assert_allclose(information_weights(codes, net, "surprisal"), np.array(nats) / np.mean(nats), rtol=1e-4)


def test_intervals_are_those_of_the_outermost_layers() -> None:
    x = torch.randn(2, 11, 8, generator=torch.Generator().manual_seed(0))
    stack = Stack(StackConfig(8, 3, "serpent")).eval()
    found = learned_intervals(stack, lambda: stack(x))
    assert [tuple(one.shape) for one in found] == [(2, 11)] * 3
    part: Any = stack.parts[0]
    wanted = torch.stack([branch.steps for branch in part.mixer.resampling(part.norm(x))]).mean(0)
    torch.testing.assert_close(found[0], wanted)
    mamba: Any = Stack(StackConfig(8, 1, "mamba"))
    first = mamba.parts[0]
    (steps,) = learned_intervals(mamba, lambda: mamba(x))
    torch.testing.assert_close(steps, first.mixer.step_sizes(first.norm(x)).mean(-1))
    assert not any(layer._forward_pre_hooks for layer in mamba.modules())
    other = Stack(StackConfig(8, 1, "s4d"))
    with pytest.raises(ConfigError, match="no Mamba or SeRpEnt layer"):
        learned_intervals(other, lambda: other(x))


@given(lengths=st.lists(st.integers(0, 12), min_size=2, max_size=6), seed=st.integers(0, 99))
def test_weighted_counts_are_those_of_a_slow_count(lengths: list[int], seed: int) -> None:
    codes = clips(lengths, seed)
    rng = np.random.default_rng(seed + 1)
    weights, flags = rng.random(len(codes.codes)), np.arange(len(codes)) % 2 == 0
    found = count_codes(codes, flags, weights=weights)
    documents, steps = np.zeros((2, 2, CODES)), np.zeros((2, 2, CODES))
    without = np.zeros((2, 2, CODES))
    for number in range(len(codes)):
        mine, kind = weights[codes.offsets[number] : codes.offsets[number + 1]], int(flags[number])
        for level in range(2):
            without[kind, level] += ~np.isin(np.arange(CODES), codes[number][:, level])
            for code in set(codes[number][:, level].tolist()):
                here = codes[number][:, level] == code
                documents[kind, level, code] += mine[here].mean()
                steps[kind, level, code] += mine[here].sum()
    size = np.array([(~flags).sum(), flags.sum()])[:, None, None]
    shares = documents / np.maximum(documents + without, 1e-12)
    np.testing.assert_allclose(found.documents_forget.numpy(), (size * shares)[1], atol=1e-9)
    np.testing.assert_allclose(found.documents_retain.numpy(), (size * shares)[0], atol=1e-9)
    assert (found.documents_forget <= flags.sum() + 1e-9).all()
    np.testing.assert_allclose(found.occurrences_forget.numpy(), steps[1], atol=1e-12)
    np.testing.assert_allclose(found.occurrences_retain.numpy(), steps[0], atol=1e-12)
    even = count_codes(codes, flags, weights=np.ones(len(codes.codes)))
    plain = count_codes(codes, flags)
    torch.testing.assert_close(even.documents_forget, plain.documents_forget.double())
    assert torch.equal(even.occurrences_retain.long(), plain.occurrences_retain)


def test_one_weight_a_step() -> None:
    with pytest.raises(ShapeError, match=r"\(3,\) for 8 steps"):
        count_codes(clips([4, 4]), [True, False], weights=np.ones(3))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return prepare(mocap_folder(tmp_path_factory.mktemp("made") / "mocap", 30), tmp_path_factory.mktemp("out") / "s")


def test_lcr_takes_weighted_counts_from_a_run_or_from_the_generator_itself(store: Store, tmp_path: Path) -> None:
    pipe, run = tiny_pipeline(), run_folder(tmp_path / "run", causal_net("serpent"))
    settings: dict[str, Any] = {"num_codes": 2, "min_count": 1}
    found = {}
    for measure in ("intervals", "surprisal"):
        safe = exuvia.unlearn("lcr", pipe, data=store, information=str(run), measure=measure, **settings)
        entry = safe.provenance["edits"][-1]
        assert entry["settings"]["information"] == str(run)
        found[measure] = entry["replaced"]["0"]
        assert 1 <= len(found[measure]) <= 2
    own = tiny_pipeline()
    own.base = causal_net("serpent")
    again = exuvia.unlearn("lcr", own, data=store, information="own", **settings)
    assert again.provenance["edits"][-1]["replaced"]["0"] == found["intervals"]


def test_what_cannot_weigh_is_named(store: Store, tmp_path: Path) -> None:
    pipe = tiny_pipeline()
    with pytest.raises(ConfigError, match="do not come from an autoregressive"):
        exuvia.unlearn("lcr", pipe, data=store, information="own")
    with pytest.raises(CheckpointError, match="no-such"):
        exuvia.unlearn("lcr", pipe, data=store, information=str(tmp_path / "no-such"))
    with pytest.raises(ConfigError, match=f"{CODES + 1} codes in .* {CODES} in the tokenizer"):
        load_information_model(str(run_folder(tmp_path / "other", causal_net(num_codes=CODES + 1))), pipe)
    with pytest.raises(ConfigError, match="pass data="):
        exuvia.unlearn("lcr", pipe, information=str(run_folder(tmp_path / "run", causal_net())))
    with pytest.raises(ConfigError, match="did you mean 'surprisal'"):
        LCRConfig(measure="surprise")  # type: ignore[arg-type]
