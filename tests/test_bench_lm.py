"""Texts as streams: every target once, consecutive windows, and the state is carried between them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from exuvia.errors import ConfigError, DataError
from exuvia.sequence.settings import StackConfig
from lab.lm.model import LanguageModel, LanguageModelConfig, nats_a_token
from lab.lm.stream import IGNORED, Streams, carried_loss, detached, evaluate
from lab.variant import NAMES, parse_variant

CARRYING = [mixer for mixer in NAMES if mixer != "transformer"]
TEXT = np.random.default_rng(0).integers(0, 7, 101)


def model(mixer: str, layers: int = 2) -> LanguageModel:
    torch.manual_seed(0)
    made = parse_variant(mixer)
    return LanguageModel(LanguageModelConfig(StackConfig(16, layers, made.mixer, state=4, serpent=made.serpent), 7))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 200), st.integers(1, 9), st.integers(1, 40))
def test_a_pass_has_every_target_once_after_its_own_input(size: int, streams: int, length: int) -> None:
    text = np.arange(size)
    if size <= streams:
        with pytest.raises(DataError, match="fewer streams"):
            Streams(text, streams, length)
        return
    found = list(Streams(text, streams, length).once())
    targets = torch.cat([window.targets.flatten() for window in found])
    assert sorted(targets[targets != IGNORED].tolist()) == list(range(1, size))
    for window in found:
        real = window.targets != IGNORED
        assert (window.targets[real] == window.inputs[real] + 1).all()
        assert window.inputs.shape[0] == streams
        assert 1 <= window.inputs.shape[1] <= length
    assert [window.fresh for window in found] == [True] + [False] * (len(found) - 1)


def test_windows_follow_one_another_and_passes_repeat() -> None:
    streams = Streams(np.arange(41), 4, 3)
    assert len(streams) == 4  # ten targets a stream, three by three
    rows = torch.cat([window.inputs for window in streams.once()], dim=1)
    assert rows.tolist() == [list(range(10 * b, 10 * b + 10)) for b in range(4)]
    again = streams.window(5)
    assert again.inputs.equal(streams.window(1).inputs)
    assert [streams.window(number).fresh for number in range(3, 6)] == [False, True, False]
    for bad in (lambda: Streams(TEXT, 0, 5), lambda: Streams(TEXT, 2, 0), lambda: streams.window(-1)):
        with pytest.raises(ConfigError, match="expected"):
            bad()


@pytest.mark.parametrize("mixer", CARRYING)
def test_windows_with_the_state_carried_are_the_text_in_one_piece(mixer: str) -> None:
    net, streams, state, total = model(mixer).eval(), Streams(TEXT, 4, 7), None, 0.0
    with torch.no_grad():
        for window in streams.once():
            loss, state = carried_loss(net, window, state)
            total += float(loss) * int((window.targets != IGNORED).sum())
        rows = torch.from_numpy(TEXT[:100].reshape(4, 25))
        expected = cross_entropy(net(rows).flatten(0, 1), torch.from_numpy(TEXT[1:]), reduction="sum")
    assert total == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("mixer", CARRYING)
def test_gradients_end_at_windows(mixer: str) -> None:
    net, streams = model(mixer, 1), Streams(TEXT, 2, 10)
    first, state = carried_loss(net, streams.window(0))
    second, _ = carried_loss(net, streams.window(1), state)
    first.backward()  # frees the graph of the first window, which the second must not need
    second.backward()
    other, _ = carried_loss(net, streams.window(1))
    assert not torch.isclose(other, second), "the state is read"


def test_a_pass_begins_without_a_past() -> None:
    net, streams = model("mamba").eval(), Streams(TEXT, 2, 10)
    _, state = carried_loss(net, streams.window(0))
    loss, _ = carried_loss(net, streams.window(len(streams)), state)
    assert loss.item() == carried_loss(net, streams.window(0))[0].item()


def test_a_window_beyond_all_ends_counts_nothing() -> None:
    net, streams = model("mamba", 1), Streams(np.asarray([1, 2, 3, 4, 5, 6]), 4, 1)
    assert streams.window(1).targets.flatten().tolist() == [3, 5, IGNORED, IGNORED]
    last = streams.window(1)
    empty = type(last)(last.inputs, torch.full_like(last.targets, IGNORED), True)
    loss, _ = carried_loss(net, empty)
    assert loss.item() == 0


def test_a_detached_state_has_its_kind_and_values() -> None:
    _, state = model("serpent-mamba").carried(torch.from_numpy(TEXT[None, :20]))
    free = detached([state, None, 3])

    def walk(one: object, other: object) -> int:
        assert type(one) is type(other)
        if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
            assert not other.requires_grad
            assert one.equal(other)
            return int(one.requires_grad)
        if isinstance(one, tuple | list) and isinstance(other, tuple | list):
            return sum(walk(a, b) for a, b in zip(one, other, strict=True))
        return 0

    assert walk([state, None, 3], free) > 0


@pytest.mark.parametrize("mixer", NAMES)
def test_one_stream_is_the_published_value(mixer: str) -> None:
    net = model(mixer)
    found = evaluate(net, TEXT, 16, bytes_a_token=2.5)
    assert found.nats == nats_a_token(net, TEXT, 16)
    assert found.perplexity == pytest.approx(math.exp(found.nats))
    assert found.bits_a_byte == pytest.approx(found.nats / math.log(2) / 2.5)
    assert found.targets == 100
    assert net.training


@pytest.mark.parametrize("mixer", CARRYING)
@pytest.mark.parametrize("length", [1, 6, 200])
def test_several_streams_are_that_many_texts(mixer: str, length: int) -> None:
    """101 tokens in three streams: stretches of 34, 34 and 32 targets, each from an empty past."""
    net = model(mixer)
    parts = [(TEXT[0:35], 34), (TEXT[34:69], 34), (TEXT[68:101], 32)]
    expected = sum(nats_a_token(net, part, 200) * count for part, count in parts) / 100
    assert evaluate(net, TEXT, length, streams=3).nats == pytest.approx(expected, rel=1e-4)


def test_what_cannot_be_evaluated_is_named() -> None:
    with pytest.raises(ConfigError, match="keeps no state"):
        evaluate(model("transformer"), TEXT, 16, streams=2)
    with pytest.raises(ConfigError, match="keeps no state"):
        carried_loss(model("transformer"), Streams(TEXT, 2, 5).window(0))
    with pytest.raises(ConfigError, match="0 bytes a token"):
        evaluate(model("mamba"), TEXT, 16, bytes_a_token=0)
    with pytest.raises(DataError, match="1 tokens for 1 streams"):
        evaluate(model("mamba"), TEXT[:1], 16)


def test_training_with_the_state_learns_what_a_window_alone_cannot_tell() -> None:
    """0 1 0 2 0 1 ... in windows of one token: after 0 the state alone tells 1 from 2, worth half a bit a token."""
    text, found = np.tile([0, 1, 0, 2], 40), {}
    for keeps in (True, False):
        net, streams, state, losses = model("mamba", 1), Streams(text, 8, 1), None, []
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
        for number in range(12 * len(streams)):
            loss, state = carried_loss(net, streams.window(number), state if keeps else None)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        found[keeps] = np.mean(losses[-len(streams) :])
    assert found[False] > 0.9 * math.log(2) / 2
    assert found[True] < 0.5 * found[False]
