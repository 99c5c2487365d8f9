"""Motion-text retrieval and NCS: padding, resumed training, ranks, and refinement of forget sets."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.data.captions import Caption
from exuvia.data.clips import ClipSet
from exuvia.data.concepts import find_concept
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.errors import CheckpointError, ConfigError, ShapeError
from exuvia.evaluation.ncs import ConceptRanker, Gallery, first_ranks
from exuvia.judges.retrieval import ActorDecoder, ActorEncoder, RetrievalConfig
from exuvia.judges.retrieval_losses import info_nce, ranks, recalls
from exuvia.judges.retrieval_task import RetrievalTask, RetrievalTaskConfig, load_retrieval
from exuvia.text.hashed import HashedText
from exuvia.train import TrainConfig, fit
from lab.released_scores import released_ncs, released_refinement

VIOLENCE = find_concept("violence")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Synthetic motion."""
    return prepare("synthetic", tmp_path_factory.mktemp("retrieval") / "store", count=60)


def small() -> RetrievalTaskConfig:
    """Sizes for a test."""
    sizes = RetrievalConfig(
        text_dim=HashedText().dim, latent_dim=16, inner_width=16, num_layers=1, decoder_layers=1, num_heads=2
    )
    return RetrievalTaskConfig(model=sizes, batch_size=8, text="hashed")


def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    encoder, decoder = ActorEncoder(7, 16, 16, 2, 2).eval(), ActorDecoder(7, 16, 16, 2, 2).eval()
    x, valid = torch.randn(2, 9, 7), torch.arange(9) < torch.tensor([[9], [5]])
    both = encoder(x, valid)
    x[1, 5:] = 1e3
    torch.testing.assert_close(encoder(x, valid), both)
    torch.testing.assert_close(encoder(x[1:, :5], valid[1:, :5]), both[1:])
    made = decoder(torch.randn(2, 16), valid)
    assert not made[1, 5:].any()


def test_a_run_is_trained_resumed_and_loaded(store: Store, tmp_path: Path) -> None:
    def task() -> RetrievalTask:
        torch.manual_seed(0)
        return RetrievalTask(ClipSet.of(store), small(), HashedText())

    loop = TrainConfig(steps=4, lr=1e-3, warmup=1, validate_every=4)
    found = fit(task, loop, tmp_path / "run")
    assert {"val/t2m/R01", "val/m2t/MedR", "val/t2m_of_32/R10"} <= set(found)
    model = load_retrieval(tmp_path / "run", HashedText())
    clips = [np.asarray(store.features(n)) for n in range(5)]
    together, alone = model.embed_clips(clips), torch.cat([model.embed_clips([clip]) for clip in clips])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert model.embed_text(["a man walks", ""]).isfinite().all()
    assert model.embed_text([]).shape == (0, 16)
    with pytest.raises(CheckpointError):
        load_retrieval(tmp_path)


def test_training_lowers_the_loss(store: Store) -> None:
    torch.manual_seed(0)
    task = RetrievalTask(ClipSet.of(store), small(), HashedText())
    batch, generator = task.batch(0, np.random.default_rng(0)), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(task.model.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        loss, _ = task.loss(batch, generator)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert np.mean(losses[-8:]) < 0.9 * np.mean(losses[:8])


def test_captions_that_say_the_same_are_no_wrong_pairs() -> None:
    text, motion = torch.eye(4)[[0, 1, 2, 3]], torch.eye(4)[[1, 0, 2, 3]]
    alike = torch.eye(3)[[0, 0, 1, 2]]
    assert info_nce(text, motion, alike) < info_nce(text, motion)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 30), st.integers(0, 999))
def test_first_rank_is_the_place_of_the_best_description_of_the_concept(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity, shows = rng.standard_normal((n, m)), rng.random(m) < 0.3
    found = first_ranks(similarity, shows, nearest=10)
    for row, rank in zip(similarity, found, strict=True):
        better = sorted(row, reverse=True)[:10]
        best = row[shows].max() if shows.any() else -np.inf
        assert rank == (better.index(best) + 1 if best in better else 11)


def test_a_ranker_finds_descriptions_by_motion() -> None:
    texts = ["a man walks", "a man kicks", "a man sits", "a man walks"]
    captions = [Caption(text, None, 0.0, 0.0) for text in texts]
    gallery = Gallery.of(
        captions, VIOLENCE, lambda some: torch.eye(3)[[["walks", "kicks", "sits"].index(t.split()[-1]) for t in some]]
    )
    assert gallery.shows.tolist() == [False, True, False]
    ranker = ConceptRanker(gallery, lambda clips: torch.tensor([[1.0, 0.2, 0.1], [0.0, 1.0, 0.0], [0.3, 0.1, 0.9]]))
    assert ranker.first_ranks([np.zeros((1, 1), np.float32)] * 3).tolist() == [2, 1, 3]
    with pytest.raises(ConfigError, match="names 'violence'"):
        Gallery.of(captions[:1], VIOLENCE, lambda some: torch.zeros(len(some), 3))


def test_released_scores_take_the_best_item_of_a_clip() -> None:
    found = released_ncs([0, 0, 1, 1], [0, 0, 0, 0], np.asarray([5, 1, 101, 7]))
    assert found["ncs@1"] == 0.5
    assert found["ncs@10"] == 1.0
    assert found["mean_rank"] == 4.0
    assert found["conf/ncs@1"] == 0.0


def test_released_refinement_loses_clips_without_any_hit() -> None:
    stays, moves = released_refinement(np.asarray([10, 8, 7, 1, 0]), 10)
    assert stays.tolist() == [True, True, False, False, False]
    assert moves.tolist() == [False, False, True, True, False]  # the last one is in neither set
    with pytest.raises(ShapeError, match="11 hits of 10"):
        released_refinement(np.asarray([11]), 10)


def test_ties_share_their_rank() -> None:
    assert ranks(np.ones((2, 2))).tolist() == [0.5, 0.5]
    assert recalls(np.asarray([0.0, 4.0]), "t2m")["t2m/R05"] == 100.0
