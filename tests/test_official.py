"""Published MoMask folders load strictly, and what does not fit is refused with a report."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exuvia.errors import CheckpointError
from exuvia.published.momask import NOT_SAVED, load_length, load_momask, read_options, read_weights
from exuvia.sequence.length import LengthEstimator
from exuvia.sequence.mask_transformer import MaskTransformer
from exuvia.sequence.residual_transformer import ResidualTransformer
from exuvia.sequence.settings import LengthEstimatorConfig, MaskTransformerConfig, ResidualTransformerConfig
from exuvia.tokens.rvqvae import RVQVAE
from exuvia.tokens.settings import RVQVAEConfig
from official_layout import (
    MASK,
    RESIDUAL,
    TOKENIZER,
    Shapes,
    length_shapes,
    mask_shapes,
    published_folder,
    residual_shapes,
    tokenizer_shapes,
    write_checkpoint,
    write_options,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A published layout at small sizes: 2 layers of width 24, 16 codes of width 20, text of width 12."""
    return published_folder(tmp_path / "t2m")


def test_a_published_folder_loads_whole(folder: Path) -> None:
    parts = load_momask(folder)
    assert parts.base.config == MaskTransformerConfig(
        num_codes=16, code_dim=20, width=24, inner_width=40, num_layers=2, num_heads=3, text_dim=12
    )
    assert parts.residual.config == ResidualTransformerConfig(
        num_codes=16, code_dim=20, width=24, inner_width=40, num_layers=2, num_heads=3, text_dim=12, num_quantizers=4
    )
    assert parts.tokenizer.config.norm is None
    assert parts.length is not None
    assert parts.length.config == LengthEstimatorConfig(text_dim=12)
    for part in ("tokenizer", "mask", "residual", "length"):
        module = getattr(parts, "base" if part == "mask" else part)
        stored, own = read_weights(parts.files[part], part), module.state_dict()
        assert all(torch.equal(own[name], value) for name, value in stored.items() if not name.endswith("pe")), part
        assert not module.training
    assert parts.mean.dtype == np.float32
    assert parts.mean[-1] == 262
    assert parts.options["mask"]["vq_name"] == TOKENIZER


def test_a_loaded_generator_makes_features(folder: Path) -> None:
    parts = load_momask(folder)
    cond, lengths = torch.randn(2, 12, generator=torch.Generator().manual_seed(0)), torch.tensor([5, 3])
    base = parts.base.generate(cond, lengths, seeds=[1, 2], steps=4)
    codes = parts.residual.generate(base, cond, lengths, seeds=[1, 2])
    features = parts.tokenizer.decode(codes)
    assert features.shape == (2, 20, 263)
    assert torch.isfinite(features).all()


def test_sizes_of_the_published_models() -> None:
    def count(shapes: Shapes) -> int:
        return sum(int(np.prod(s)) for name, s in shapes.items() if not name.endswith((*NOT_SAVED, "codebook")))

    models: dict[str, torch.nn.Module] = {
        "tokenizer": RVQVAE(RVQVAEConfig()),
        "mask": MaskTransformer(MaskTransformerConfig()),
        "residual": ResidualTransformer(ResidualTransformerConfig()),
        "length": LengthEstimator(LengthEstimatorConfig()),
    }
    tables = {
        "tokenizer": (tokenizer_shapes(), 19_436_807),
        "mask": (mask_shapes(), 12_048_768),
        "residual": (residual_shapes(), 13_364_224),
        "length": (length_shapes(), 435_122),
    }
    for part, (shapes, parameters) in tables.items():
        own = {name: tuple(value.shape) for name, value in models[part].state_dict().items()}
        statistics = {name for name in own if name.endswith(NOT_SAVED[:3])}
        assert {name: shape for name, shape in own.items() if name not in statistics} == shapes
        assert count(shapes) == parameters
        assert sum(p.numel() for p in models[part].parameters()) == parameters
    assert len(tables["tokenizer"][0]) == 72


def test_the_caption_encoder_and_older_keys_are_understood(folder: Path) -> None:
    path = folder / MASK / "model/latest.tar"
    state = read_weights(path, "mask") | {"clip_model.positional_embedding": torch.zeros(77, 512)}
    del state["position_enc.pe"]
    write_checkpoint(path, "trans", state)
    assert "clip_model.positional_embedding" not in load_momask(folder).base.state_dict()


def test_differences_are_reported_together(folder: Path) -> None:
    path = folder / MASK / "model/latest.tar"
    state = read_weights(path, "mask")
    state["extra.weight"] = state.pop("cond_emb.bias")
    state["token_emb.weight"] = state["token_emb.weight"][:17]
    write_checkpoint(path, "t2m_transformer", state)
    with pytest.raises(CheckpointError) as error:
        load_momask(folder)
    message = str(error.value)
    assert "1 missing (cond_emb.bias)" in message
    assert "1 unexpected (extra.weight)" in message
    assert "token_emb.weight is (17, 20), expected (18, 20)" in message


def test_options_of_another_size_are_refused(folder: Path) -> None:
    path = folder / RESIDUAL / "opt.txt"
    path.write_text(path.read_text().replace("n_layers: 2", "n_layers: 3"))
    with pytest.raises(CheckpointError, match=r"12 missing \(seqTransEncoder.layers.2"):
        load_momask(folder)
    path.write_text(path.read_text().replace("n_heads: 3", "n_heads: 5"))
    with pytest.raises(CheckpointError, match="does not divide"):
        load_momask(folder)
    path.write_text(path.read_text().replace("ff_size", "ff"))
    with pytest.raises(CheckpointError, match="no 'ff_size'"):
        load_momask(folder)


class Malicious:
    """Runs a command when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_pickled_code_is_refused_and_not_run(folder: Path, tmp_path: Path) -> None:
    path = folder / MASK / "model/latest.tar"
    write_checkpoint(path, "t2m_transformer", read_weights(path, "mask"), extra=Malicious(tmp_path / "ran"))
    with pytest.raises(CheckpointError, match=r"latest.tar holds a pickled object \(\w+\.mkdir\).*refused"):
        load_momask(folder)
    path.write_bytes(pickle.dumps(Malicious(tmp_path / "ran"), protocol=2))
    with pytest.raises(CheckpointError, match=r"latest\.tar"):
        load_momask(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_a_broken_file_is_named(folder: Path, content: bytes) -> None:
    (folder / "length_estimator/model/finest.tar").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"finest\.tar is not a readable checkpoint file"):
        load_momask(folder)


def test_weights_in_half_precision_are_widened(folder: Path) -> None:
    path = folder / MASK / "model/latest.tar"
    content = torch.load(path, weights_only=True)
    half = {name: value.half() for name, value in content["t2m_transformer"].items()}
    torch.save({"t2m_transformer": half}, path)
    found = load_momask(folder).base.state_dict()
    for name, value in half.items():
        if not name.endswith(".pe"):
            assert found[name].dtype == torch.float32
            assert found[name].equal(value.float())


def test_a_missing_option_file_is_named(folder: Path) -> None:
    (folder / TOKENIZER / "opt.txt").unlink()
    with pytest.raises(CheckpointError, match=r"opt\.txt|tokenizer"):
        load_momask(folder)


def test_a_truncated_file_is_named(folder: Path) -> None:
    path = folder / MASK / "model/latest.tar"
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(CheckpointError, match=r"latest\.tar is not a readable"):
        load_momask(folder)


def test_a_file_of_another_part_is_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="expected the weights of a length under estimator"):
        load_length(folder / MASK / "model/latest.tar")


def test_missing_and_ambiguous_parts(folder: Path) -> None:
    (folder / RESIDUAL).rename(folder / "rtrans")
    (folder / "length_estimator").rename(folder / "elsewhere")
    assert load_momask(folder).length is None
    write_options(folder / "t2m_second/opt.txt", latent_dim=24)
    with pytest.raises(CheckpointError, match=r"found 2 .*name it with mask="):
        load_momask(folder)
    assert load_momask(folder, mask=MASK).base.config.width == 24
    with pytest.raises(CheckpointError, match=r"no opt\.txt"):
        load_momask(folder, mask="absent")
    with pytest.raises(CheckpointError, match="not a folder"):
        load_momask(folder / "absent")


def test_transformers_of_two_tokenizers_are_refused(folder: Path) -> None:
    path = folder / RESIDUAL / "opt.txt"
    path.write_text(path.read_text().replace(TOKENIZER, "other"))
    with pytest.raises(CheckpointError, match="different tokenizers"):
        load_momask(folder)


def test_option_values(tmp_path: Path) -> None:
    write_options(tmp_path / "opt.txt", a=True, b=3, c=-0.5, d="None", e="x: y", f="1e-05", g="[1, 2]", h="")
    expected = {"a": True, "b": 3, "c": -0.5, "d": None, "e": "x: y", "f": 1e-05, "g": "[1, 2]", "h": ""}
    assert read_options(tmp_path / "opt.txt") == expected
    (tmp_path / "opt.txt").write_text("just words\n")
    with pytest.raises(CheckpointError, match="expected 'name: value'"):
        read_options(tmp_path / "opt.txt")
