"""A published MoMask folder at small sizes, filled with seeded random weights: names, shapes and options."""

import collections
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

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


def published_folder(root: Path, text: int = 12, data: str = "t2m") -> Path:
    """2 layers of width 24, 16 codes of width 20, text of a width; of HumanML3D (t2m) or of KIT-ML (kit)."""
    channels = {"t2m": 263, "kit": 251}[data]
    vq = {"nb_code": 16, "code_dim": 20, "output_emb_width": 20, "width": 32, "depth": 3, "down_t": 2, "stride_t": 2}
    vq |= {"dilation_growth_rate": 3, "vq_act": "relu", "vq_norm": "None", "num_quantizers": 4, "mu": 0.99}
    vq |= {
        "shared_codebook": False,
        "quantize_dropout_prob": 0.2,
        "milestones": "[150000, 250000]",
        "dataset_name": data,
    }
    write_options(root / TOKENIZER / "opt.txt", **vq)
    write_checkpoint(
        root / TOKENIZER / "model/net_best_fid.tar", "vq_model", filled(tokenizer_shapes(32, 20, 16, 4, channels), 1)
    )
    (root / TOKENIZER / "meta").mkdir()
    np.save(root / TOKENIZER / "meta/mean.npy", np.arange(float(channels)))
    np.save(root / TOKENIZER / "meta/std.npy", np.ones(channels, np.float32))
    sizes = {"latent_dim": 24, "ff_size": 40, "n_layers": 2, "n_heads": 3, "dropout": 0.2, "vq_name": TOKENIZER}
    common = {"width": 24, "inner": 40, "layers": 2, "text": text, "code": 20, "codes": 16}
    write_options(root / MASK / "opt.txt", **sizes, cond_drop_prob=0.1, share_weight=False)
    write_checkpoint(root / MASK / "model/latest.tar", "t2m_transformer", filled(mask_shapes(**common), 2))
    write_options(root / RESIDUAL / "opt.txt", **sizes, cond_drop_prob=0.2, share_weight=True)
    weights = filled(residual_shapes(**common, levels=4), 3)
    write_checkpoint(root / RESIDUAL / "model/net_best_fid.tar", "res_transformer", weights)
    write_checkpoint(root / "length_estimator/model/finest.tar", "estimator", filled(length_shapes(text), 4))
    write_options(root / "Comp_v6_KLD005/opt.txt", dataset_name=data, dim_movement_latent=512)
    return root
