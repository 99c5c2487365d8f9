"""Published MoMask folders load strictly, and what does not fit is refused with a report."""

import collections
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from exuvia.errors import CheckpointError
from exuvia.official import NOT_SAVED, load_length, load_momask, read_options, read_weights
from exuvia.sequence.length import LengthEstimator, LengthEstimatorConfig
from exuvia.sequence.mask_transformer import MaskTransformer, MaskTransformerConfig
from exuvia.sequence.residual_transformer import ResidualTransformer, ResidualTransformerConfig
from exuvia.tokens.rvqvae import RVQVAE, RVQVAEConfig

Shapes = dict[str, tuple[int, ...]]
TOKENIZER, MASK, RESIDUAL = "rvq_nq6_dc512_nc512_noshare_qdp0.2", "t2m_nlayer8_nhead6_ld384", "tres_nlayer8_ld384_sw"


def linear(name: str, out: int, into: int, *kernel: int) -> Shapes:
    return {f"{name}.weight": (out, into, *kernel), f"{name}.bias": (out,)}


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def tokenizer_shapes(
    width: int = 512, code: int = 512, codes: int = 512, levels: int = 6, channels: int = 263
) -> Shapes:
    """Names and shapes of a published RVQ-VAE with two halvings and three residual blocks a stage."""
    shapes = linear("encoder.model.0", width, channels, 3)
    blocks = {}
    for stage in (2, 3):
        shapes |= linear(f"encoder.model.{stage}.0", width, width, 4)
        shapes |= linear(f"decoder.model.{stage}.2", width, width, 3)
        for block in range(3):
            for place in (f"encoder.model.{stage}.1", f"decoder.model.{stage}.0"):
                blocks |= linear(f"{place}.model.{block}.conv1", width, width, 3)
                blocks |= linear(f"{place}.model.{block}.conv2", width, width, 1)
    shapes |= blocks | linear("encoder.model.4", code, width, 3) | linear("decoder.model.0", width, code, 3)
    shapes |= linear("decoder.model.4", width, width, 3) | linear("decoder.model.6", channels, width, 3)
    return shapes | {f"quantizer.layers.{level}.codebook": (codes, code) for level in range(levels)}


def trunk_shapes(width: int, inner: int, layers: int, text: int, code: int, out: int) -> Shapes:
    """Names and shapes that both published transformers share."""
    shapes = linear("input_process.poseEmbedding", width, code) | linear("cond_emb", width, text)
    shapes["position_enc.pe"] = (5000, 1, width)
    for layer in range(layers):
        name = f"seqTransEncoder.layers.{layer}"
        shapes |= {
            f"{name}.self_attn.in_proj_weight": (3 * width, width),
            f"{name}.self_attn.in_proj_bias": (3 * width,),
        }
        shapes |= linear(f"{name}.self_attn.out_proj", width, width)
        shapes |= linear(f"{name}.linear1", inner, width) | linear(f"{name}.linear2", width, inner)
        shapes |= norm(f"{name}.norm1", width) | norm(f"{name}.norm2", width)
    shapes |= linear("output_process.dense", width, width) | norm("output_process.LayerNorm", width)
    return shapes | linear("output_process.poseFinal", out, width)


def mask_shapes(
    width: int = 384, inner: int = 1024, layers: int = 8, text: int = 512, code: int = 512, codes: int = 512
) -> Shapes:
    return trunk_shapes(width, inner, layers, text, code, codes) | {"token_emb.weight": (codes + 2, code)}


def residual_shapes(
    width: int = 384,
    inner: int = 1024,
    layers: int = 8,
    text: int = 512,
    code: int = 512,
    codes: int = 512,
    levels: int = 6,
) -> Shapes:
    shapes = trunk_shapes(width, inner, layers, text, code, code) | linear("quant_emb", width, levels)
    shapes["embed_proj_shared_weight"] = (levels - 2, codes + 1, code)
    return shapes | dict.fromkeys(("token_embed_weight_", "output_proj_weight_"), (1, codes + 1, code))


def length_shapes(text: int = 512, classes: int = 50) -> Shapes:
    shapes: Shapes = {}
    for place, (out, into) in zip((0, 4, 8), ((512, text), (256, 512), (128, 256)), strict=True):
        shapes |= linear(f"output.{place}", out, into) | norm(f"output.{place + 1}", out)
    return shapes | linear("output.11", classes, 128)


def filled(shapes: Shapes, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def write_options(path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{key}: {value}" for key, value in sorted(options.items())]
    dashes = "------------ Options -------------", "-------------- End ----------------"
    path.write_text("\n".join([dashes[0], *lines, dashes[1], ""]))


def write_checkpoint(path: Path, key: str, state: dict[str, Tensor], **more: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scheduler = {"milestones": collections.Counter({50000: 1}), "gamma": 0.1, "last_epoch": 3}
    optimiser = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 2e-4, "params": [0]}]}
    torch.save({key: state, f"opt_{key}": optimiser, "scheduler": scheduler, "ep": 7, "total_it": 99, **more}, path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A published layout at small sizes: 2 layers of width 24, 16 codes of width 20, text of width 12."""
    root = tmp_path / "t2m"
    vq = {"nb_code": 16, "code_dim": 20, "output_emb_width": 20, "width": 32, "depth": 3, "down_t": 2, "stride_t": 2}
    vq |= {"dilation_growth_rate": 3, "vq_act": "relu", "vq_norm": "None", "num_quantizers": 4, "mu": 0.99}
    vq |= {
        "shared_codebook": False,
        "quantize_dropout_prob": 0.2,
        "milestones": "[150000, 250000]",
        "dataset_name": "t2m",
    }
    write_options(root / TOKENIZER / "opt.txt", **vq)
    write_checkpoint(
        root / TOKENIZER / "model/net_best_fid.tar", "vq_model", filled(tokenizer_shapes(32, 20, 16, 4), 1)
    )
    (root / TOKENIZER / "meta").mkdir()
    np.save(root / TOKENIZER / "meta/mean.npy", np.arange(263.0))
    np.save(root / TOKENIZER / "meta/std.npy", np.ones(263, np.float32))
    sizes = {"latent_dim": 24, "ff_size": 40, "n_layers": 2, "n_heads": 3, "dropout": 0.2, "vq_name": TOKENIZER}
    common = {"width": 24, "inner": 40, "layers": 2, "text": 12, "code": 20, "codes": 16}
    write_options(root / MASK / "opt.txt", **sizes, cond_drop_prob=0.1, share_weight=False)
    write_checkpoint(root / MASK / "model/latest.tar", "t2m_transformer", filled(mask_shapes(**common), 2))
    write_options(root / RESIDUAL / "opt.txt", **sizes, cond_drop_prob=0.2, share_weight=True)
    weights = filled(residual_shapes(**common, levels=4), 3)
    write_checkpoint(root / RESIDUAL / "model/net_best_fid.tar", "res_transformer", weights)
    write_checkpoint(root / "length_estimator/model/finest.tar", "estimator", filled(length_shapes(12), 4))
    write_options(root / "Comp_v6_KLD005/opt.txt", dataset_name="t2m", dim_movement_latent=512)
    return root


def test_a_published_folder_loads_whole(folder: Path) -> None:
    parts = load_momask(folder)
    assert parts.mask.config == MaskTransformerConfig(16, 20, 24, 40, 2, 3, 12, 0.2, 0.1)
    assert parts.residual.config == ResidualTransformerConfig(16, 20, 24, 40, 2, 3, 12, 0.2, 0.2, num_quantizers=4)
    assert parts.tokenizer.config.norm is None
    assert parts.length is not None
    assert parts.length.config == LengthEstimatorConfig(text_dim=12)
    for part in ("tokenizer", "mask", "residual", "length"):
        stored, own = read_weights(parts.files[part], part), getattr(parts, part).state_dict()
        assert all(torch.equal(own[name], value) for name, value in stored.items() if not name.endswith("pe")), part
        assert not getattr(parts, part).training
    assert parts.mean.dtype == np.float32
    assert parts.mean[-1] == 262
    assert parts.options["mask"]["vq_name"] == TOKENIZER


def test_a_loaded_generator_makes_features(folder: Path) -> None:
    parts = load_momask(folder)
    cond, lengths = torch.randn(2, 12, generator=torch.Generator().manual_seed(0)), torch.tensor([5, 3])
    base = parts.mask.generate(cond, lengths, seeds=[1, 2], steps=4)
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
    assert "clip_model.positional_embedding" not in load_momask(folder).mask.state_dict()


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
    assert load_momask(folder, mask=MASK).mask.config.width == 24
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
