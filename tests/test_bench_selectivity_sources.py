"""Sources of known information: what they state is what long samples show."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.errors import ConfigError, DataError
from lab.selectivity.markov import Insertions, markov, rows_with_entropies
from lab.selectivity.ngram import KneserNey
from lab.selectivity.source import Source, TableSource, entropy_bits, stationary
from lab.selectivity.text import RealText, as_tokens, made_up_text, read_text, text_chain

MADE_UP = as_tokens(made_up_text(60_000), 64)
EXACT: dict[str, Callable[[], Source]] = {
    "markov": lambda: markov(1, 12, 3),
    "markov2": lambda: markov(2, 6, 3),
    "insertions": lambda: Insertions(8, 3),
    "bigram": lambda: text_chain(MADE_UP, 1),
    "trigram": lambda: text_chain(MADE_UP, 2),
}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(params=EXACT, scope="module")
def source(request: pytest.FixtureRequest) -> Source:
    return EXACT[request.param]()


def test_a_seed_gives_the_same_sequences_and_another_seed_others(source: Source) -> None:
    first, again, other = (source.held_out(4, 50, rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.tokens, again.tokens)
    assert np.array_equal(first.information, again.information)
    assert not np.array_equal(first.tokens, other.tokens)
    assert source.draw(3, 20, rng()).shape == (3, 20)


def test_tokens_are_in_range_and_bits_are_finite_and_not_negative(source: Source) -> None:
    sample = source.held_out(20, 100, rng())
    assert sample.tokens.min() >= 0
    assert sample.tokens.max() < source.vocabulary
    for bits in (sample.information, sample.next_entropy):
        assert np.isfinite(bits).all()
        assert bits.min() >= 0
    assert sample.next_entropy.max() <= np.log2(source.vocabulary) + 1e-9
    assert set(np.unique(sample.kinds)) <= set(range(len(source.kinds)))


def test_mean_information_is_the_entropy_rate(source: Source) -> None:
    sample = source.held_out(300, 300, rng())
    assert source.entropy_rate == pytest.approx(sample.information[:, 8:].mean(), abs=0.03)


def test_the_next_elements_information_is_on_average_the_stated_entropy(source: Source) -> None:
    """E[-log2 p(x_{l+1} | past) | past] = H(x_{l+1} | past), within every tenth of the stated entropies."""
    sample = source.held_out(300, 300, rng(5))
    stated, came = sample.next_entropy[:, :-1].ravel(), sample.information[:, 1:].ravel()
    groups = np.digitize(stated, np.unique(np.quantile(stated, np.linspace(0, 1, 11)[1:-1])))
    for group in np.unique(groups):
        left = (came - stated)[groups == group]
        assert abs(left.mean()) < 5 * left.std() / np.sqrt(len(left)) + 1e-9


@pytest.mark.parametrize("name", ["markov", "markov2", "trigram"])
def test_information_of_a_chain_is_minus_log_of_counts(name: str) -> None:
    source = EXACT[name]()
    assert isinstance(source, TableSource)
    sample = source.held_out(400, 400, rng(1))
    context = np.zeros_like(sample.tokens[:, source.order :])
    for back in range(source.order, 0, -1):
        context = context * source.vocabulary + sample.tokens[:, source.order - back : 400 - back]
    cell = (context * source.vocabulary + sample.tokens[:, source.order :]).ravel()
    shape = (-1, source.vocabulary)
    counts = np.bincount(cell, minlength=source.table.size).reshape(shape)
    seen = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    often = counts.ravel() > 400
    assert often.sum() > 10
    total = np.bincount(cell, weights=sample.information[:, source.order :].ravel(), minlength=source.table.size)
    stated = total[often] / counts.ravel()[often]
    assert np.allclose(stated, -np.log2(seen.ravel()[often]), atol=0.3)
    assert np.abs(stated + np.log2(seen.ravel()[often])).mean() < 0.06


@pytest.mark.parametrize("order", [1, 2])
def test_first_elements_follow_the_stationary_distribution(order: int) -> None:
    source = markov(order, 5, 1)
    assert np.allclose(_after_one_step(source), source.start)
    sample = source.held_out(40_000, 3, rng(2))
    for place in range(3):
        for token in range(5):
            here = sample.tokens[:, place] == token
            by_information = np.mean(2.0 ** -sample.information[here, place]) if place == 0 else None
            assert by_information is None or by_information == pytest.approx(here.mean(), abs=0.01)
        shares = np.bincount(sample.tokens[:, place], minlength=5) / 40_000
        assert np.allclose(shares, np.bincount(sample.tokens[:, 0], minlength=5) / 40_000, atol=0.015)


def _after_one_step(source: TableSource) -> np.ndarray:
    size, found = source.vocabulary, np.zeros(len(source.start))
    for context, share in enumerate(source.start):
        for token in range(size):
            found[(context * size + token) % len(found)] += share * source.table[context, token]
    return found


def test_states_of_a_chain_differ_from_hardly_any_to_full_entropy() -> None:
    entropies = np.sort(markov(1, 64, 0).entropies)
    assert entropies[0] < 0.15
    assert entropies[-1] > 5.9
    assert np.diff(entropies).max() < 0.2


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.floats(0, 1), st.integers(0, 1000))
def test_rows_have_the_entropy_asked_for(size: int, share: float, seed: int) -> None:
    target = np.asarray([share * np.log2(size)])
    row = rows_with_entropies(target, size, rng(seed))
    assert row.sum() == pytest.approx(1)
    assert entropy_bits(row)[0] == pytest.approx(target[0], abs=1e-3)


def test_stationary_of_a_chain_by_hand() -> None:
    assert np.allclose(stationary(np.asarray([[0.9, 0.1], [0.5, 0.5]])), [5 / 6, 1 / 6])


def test_insertions_are_what_they_are_said_to_be() -> None:
    source = Insertions(8, 3)
    sample = source.held_out(200, 300, rng(4))
    of = {kind: sample.kinds == n for n, kind in enumerate(source.kinds)}
    assert sample.information[of["padding"]].max() == 0
    assert set(np.unique(sample.tokens[of["padding"] | of["first of padding"]])) == {8}
    first = np.argwhere(of["first of padding"][:, : -source.RUN])
    for row, place in first[:200]:
        assert (sample.tokens[row, place : place + source.RUN] == 8).all()
        assert sample.tokens[row, place + source.RUN] != 8, "no run follows a run"
    after_element = sample.kinds[:, 1:][of["element"][:, :-1]]
    assert np.mean(after_element == 1) == pytest.approx(source.PADDING_SHARE, abs=0.01)
    assert np.mean(after_element == 3) == pytest.approx(source.NOISE_SHARE, abs=0.01)
    elements = [row[kinds == 0] for row, kinds in zip(sample.tokens, sample.kinds, strict=True)]
    pairs = np.concatenate([row[:-1] * 8 + row[1:] for row in elements])
    counts = np.bincount(pairs, minlength=64).reshape(8, 8)
    assert np.allclose(counts / counts.sum(1, keepdims=True), source.table, atol=0.03)


def test_a_text_chain_has_the_shares_of_the_text() -> None:
    text = as_tokens(b"abracadabra", 64)
    chain = text_chain(text, 1)
    assert chain.vocabulary == 5
    assert np.allclose(chain.table[0], [1 / 5, 2 / 5, 1 / 5, 1 / 5, 0])  # a -> a (the circle), b b, c, d
    assert np.allclose(chain.start @ chain.table, chain.start, atol=1e-15)
    bits = -np.log2(chain.table[text.tokens, np.roll(text.tokens, -1)])
    assert chain.entropy_rate == pytest.approx(bits.mean())


def test_rare_bytes_share_one_token() -> None:
    text = as_tokens(b"aaaa bbb cc d e", 4)
    assert text.vocabulary == 4
    assert len(set(text.tokens[[-1, -3]])) == 1
    assert as_tokens(b"abc", 64).vocabulary == 3


class TestKneserNey:
    def test_rows_are_probabilities_and_nothing_is_impossible(self) -> None:
        model = KneserNey(np.asarray([0, 1, 2, 0, 1, 2, 0, 1, 3]), 6, 3)
        found = model.distribution(np.asarray([[0, 1], [5, 5], [2, 0], [4, 1]]))
        assert np.allclose(found.sum(1), 1)
        assert found.min() > 0
        assert found[0].argmax() == 2

    def test_by_hand(self) -> None:
        """a b a b a c, order 2: counts ab 2, ba 2, ac 1; D_2 = 1/(1 + 2·2); each of a, b, c has one left neighbour."""
        model = KneserNey(np.asarray([0, 1, 0, 1, 0, 2]), 3, 2)
        discount = 1 / 5
        low = 1 / 3  # D_1 = 3/(3 + 0), at most 0.95: (1 - .95)/3 + .95·3/3 · 1/3
        expected = [0 + 2 * discount / 3 * low, (2 - discount) / 3 + 2 * discount / 3 * low]
        assert np.allclose(model.distribution(np.asarray([[0]]))[0, :2], expected)

    def test_it_finds_the_information_of_a_chain(self) -> None:
        source = markov(1, 8, 2)
        model = KneserNey(source.draw(1, 100_000, rng())[0], 8, 2)
        sample = source.held_out(10, 500, rng(1))
        found = model.distribution(sample.tokens[:, :-1].reshape(-1, 1))
        bits = -np.log2(found[np.arange(len(found)), sample.tokens[:, 1:].ravel()])
        assert np.corrcoef(bits, sample.information[:, 1:].ravel())[0, 1] > 0.99
        assert bits.mean() == pytest.approx(sample.information[:, 1:].mean(), abs=0.02)

    @pytest.mark.parametrize(("vocabulary", "order"), [(64, 11), (4, 0), (4, 99)])
    def test_sizes_that_cannot_be(self, vocabulary: int, order: int) -> None:
        with pytest.raises(ConfigError, match="n-grams of order"):
            KneserNey(np.zeros(50, np.int64), vocabulary, order)


def test_held_out_text_is_not_learned_from_and_longer_context_tells_more() -> None:
    short, long = (RealText(MADE_UP, order) for order in (1, 4))
    assert len(short.learn) + len(short.hold) == len(MADE_UP.tokens)
    one, four = (source.held_out(8, 100, rng()) for source in (short, long))
    assert four.information.mean() < one.information.mean() - 0.5
    starts = {tuple(row[:30]) for row in four.tokens}
    hold = MADE_UP.tokens[len(short.learn) :]
    assert all(any(np.array_equal(hold[i : i + 30], start) for i in range(len(hold))) for start in starts)
    assert not short.exact
    with pytest.raises(DataError, match="held-out tokens"):
        short.held_out(2, 10_000, rng())


def test_files_of_text(tmp_path: Path) -> None:
    import gzip
    import lzma

    data = made_up_text(20_000)
    (tmp_path / "a.txt").write_bytes(data)
    (tmp_path / "a.txt.xz").write_bytes(lzma.compress(data))
    (tmp_path / "a.gz").write_bytes(gzip.compress(data))
    texts = [read_text(path) for path in sorted(tmp_path.iterdir())]
    assert len({text.sha256 for text in texts}) == 1
    assert np.array_equal(texts[0].tokens, texts[1].tokens)
    (tmp_path / "broken.xz").write_bytes(lzma.compress(data)[:-30])
    (tmp_path / "short.txt").write_bytes(b"to be")
    for name, sentence in {
        "broken.xz": "cannot be read",
        "short.txt": "found 5 bytes",
        "none.txt": "cannot be",
    }.items():
        with pytest.raises(DataError, match=sentence):
            read_text(tmp_path / name)
