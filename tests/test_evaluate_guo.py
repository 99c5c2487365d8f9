"""The Guo evaluator: parity, independence of order and neighbours, losses, word vectors."""

from pathlib import Path

import numpy as np
import pytest
import torch

from exuvia.checkpoint import load_into
from exuvia.errors import CheckpointError, ConfigError, DataError, ShapeError
from exuvia.features.normaliser import Normaliser
from exuvia.judges.guo import GuoConfig, GuoEvaluator, MotionTextEvaluator, contrastive_loss, info_nce_loss
from exuvia.published.evaluator import flat, read_parts
from exuvia.shapes import Floats
from exuvia.text.word_vectors import CLASSES, GloVeWords, MiniLMWords, WordTable, word_class
from lab.parity.run import check_folder

PLAIN = Normaliser(np.zeros(263, np.float32), np.ones(263, np.float32))
SMALL = GuoConfig(movement_hidden=24, movement_dim=24, motion_hidden=16, text_hidden=16, embedding=20)


class LetterWords:
    """Word vectors without weights: one random direction a word; numbers are unknown."""

    name = "letters"
    fingerprint = "0"

    def vector(self, word: str) -> Floats | None:
        if word.isdigit():
            return None
        seed = int.from_bytes(word.encode()[:8].ljust(8), "little")
        return np.random.default_rng(seed).standard_normal(300).astype(np.float32)


@pytest.fixture
def model() -> GuoEvaluator:
    torch.manual_seed(0)
    return GuoEvaluator(SMALL).eval()


def test_equal_to_the_official_evaluators(goldens: Path) -> None:
    (result,) = check_folder(goldens, only=["06_evaluators"])
    assert result.passed, result


def test_the_published_sizes_have_the_published_parameter_counts() -> None:
    full = GuoEvaluator(GuoConfig())
    counts = [sum(p.numel() for p in part.parameters()) for part in full.children()]
    assert counts == [1_842_688, 15_747_584, 4_100_288]


def test_a_motion_is_embedded_alike_in_any_company_order_and_padding(model: GuoEvaluator) -> None:
    evaluator = MotionTextEvaluator(model, LetterWords(), PLAIN, batch=3)
    clips = [torch.randn(length, 263) for length in (40, 196, 60, 4, 83, 40, 195, 192)]
    together = evaluator.embed_clips([clip.numpy() for clip in clips])
    for clip, row in zip(clips, together, strict=True):
        whole = torch.zeros(1, 196, 263)  # what the official loader would hand over
        whole[0, : len(clip)] = clip
        padded = model.embed_motion(whole, torch.tensor([len(clip)]))
        for alone in (evaluator.embed_clips([clip.numpy()])[0], padded[0]):
            torch.testing.assert_close(alone, row, atol=1e-6, rtol=1e-5)


def test_captions_are_embedded_in_the_callers_order(model: GuoEvaluator) -> None:
    evaluator = MotionTextEvaluator(model, LetterWords(), PLAIN, batch=2)
    texts = ["a man kicks", "", "a person walks slowly forward and then sits down", "jump", "a man kicks"]
    together = evaluator.embed_text(texts)
    torch.testing.assert_close(together[0], together[4], atol=1e-6, rtol=1e-5)
    for row, text in enumerate(texts):
        torch.testing.assert_close(evaluator.embed_text([text])[0], together[row], atol=1e-6, rtol=1e-5)
    assert evaluator.embed_text([]).shape == (0, 20)


def test_too_short_motions_and_other_features_are_refused(model: GuoEvaluator) -> None:
    with pytest.raises(ShapeError, match="3 frames"):
        model.embed_motion(torch.zeros(1, 8, 263), torch.tensor([3]))
    with pytest.raises(ShapeError, match="263"):
        model.embed_motion(torch.zeros(1, 8, 251), torch.tensor([8]))


def test_an_official_checkpoint_is_read_without_its_pickled_code(model: GuoEvaluator, tmp_path: Path) -> None:
    parts = {name: part.state_dict() for name, part in model.named_children()}
    torch.save({**parts, "epoch": 3}, tmp_path / "finest.tar")
    again = GuoEvaluator(SMALL).eval()
    load_into(again, flat(read_parts(tmp_path / "finest.tar")), "the evaluator")
    x, lengths = torch.randn(2, 40, 263), torch.tensor([40, 24])
    assert torch.equal(again.embed_motion(x, lengths), model.embed_motion(x, lengths))
    torch.save({**parts, "epoch": Path("code")}, tmp_path / "unsafe.tar")
    with pytest.raises(CheckpointError, match="pickled object"):
        read_parts(tmp_path / "unsafe.tar")


def test_contrastive_loss_is_zero_when_pairs_meet_and_others_are_far() -> None:
    text = 20 * torch.eye(4)
    assert contrastive_loss(text, text) == 0
    assert contrastive_loss(text, text + 0.5) > 0
    assert contrastive_loss(0.1 * text, 0.1 * text) > 10


@pytest.mark.parametrize("loss", [contrastive_loss, info_nce_loss])
def test_a_pair_that_is_no_negative_does_not_push(loss: object) -> None:
    text = torch.zeros(3, 2)
    motion = torch.tensor([[0.0, 0.0], [0.0, 0.1], [3.0, 0.0]], requires_grad=True)
    negative = ~torch.eye(3, dtype=torch.bool)
    negative[0, 1] = negative[1, 0] = False
    value = loss(text[:2], motion[:2], negative[:2, :2]) if callable(loss) else None
    assert value is not None
    (gradient,) = torch.autograd.grad(value, motion, allow_unused=True)
    assert torch.isfinite(gradient).all()
    assert gradient[0].abs().sum() == 0  # its only neighbour carries the same caption


def test_a_few_steps_of_learning_bring_pairs_together() -> None:
    torch.manual_seed(0)
    model = GuoEvaluator(SMALL)
    table = WordTable(LetterWords())
    texts = [table.caption(t) for t in ("kick", "walk", "jump", "a dance")]
    x, lengths = torch.randn(4, 24, 263), torch.tensor([24, 24, 20, 16])
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(25):
        loss = contrastive_loss(model.embed_text(*table.gather(texts)), model.embed_motion(x, lengths))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_words_have_the_published_classes_and_frame() -> None:
    assert len(CLASSES) == 15
    assert CLASSES[word_class("kick", "VERB")] == "Act_VIP"
    assert CLASSES[word_class("punch", "VERB")] == "VERB"
    assert CLASSES[word_class("left", "ADJ")] == "Loc_VIP"
    assert CLASSES[word_class("and", "CCONJ")] == "OTHER"
    table = WordTable(LetterWords())
    words, pos, lengths = table.gather([table.caption("", "kick/VERB 7/NUM"), table.caption("word " * 40)])
    assert lengths.tolist() == [4, 22]
    assert pos[0].argmax(1)[:4].tolist() == [14, 12, 14, 14]  # start, kick, an unknown word, end
    assert torch.equal(words[0, 2], torch.from_numpy(LetterWords().vector("unk")))
    assert not words[0, 4:].any()


def test_glove_files_are_read(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((3, 300)).astype(np.float32)
    np.save(tmp_path / "our_vab_data.npy", vectors)
    (tmp_path / "our_vab_words.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(DataError, match="not a readable list of words"):
        GloVeWords(tmp_path)
    (tmp_path / "our_vab_words.txt").write_text("unk\nwalk\nkick\n")
    glove = GloVeWords(tmp_path)
    np.testing.assert_array_equal(glove.vector("kick"), vectors[2])
    assert glove.vector("fly") is None
    lines = [f"{word} " + " ".join(map(str, row)) for word, row in zip(["unk", "walk", "kick"], vectors, strict=True)]
    (tmp_path / "glove.txt").write_text("\n".join(lines) + "\n")
    assert GloVeWords(tmp_path / "glove.txt").fingerprint == glove.fingerprint
    np.save(tmp_path / "our_vab_data.npy", vectors[:, :50])
    with pytest.raises(DataError, match=r"50.* for 3 words"):
        GloVeWords(tmp_path)
    np.save(tmp_path / "our_vab_words.npy", np.asarray(["a", "b"], object), allow_pickle=True)
    (tmp_path / "our_vab_words.txt").unlink()
    with pytest.raises(DataError, match="holds pickled Python objects"):
        GloVeWords(tmp_path)


def test_minilm_words_keep_the_neighbourhood_of_words(encoder_words: MiniLMWords) -> None:
    names = ["kick", "kicking", "walk", "walking", "violin"]
    rows = np.stack([encoder_words.vector(word) for word in names])
    assert rows.shape == (5, 300)
    assert rows.dtype == np.float32
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    near = rows @ rows.T
    assert near[0, 1] > near[0, 4]
    assert near[2, 3] > near[2, 4]


@pytest.fixture(scope="module")
def encoder_words() -> MiniLMWords:
    try:
        return MiniLMWords()
    except ConfigError as error:
        pytest.skip(str(error))
