"""Writes a pipeline as published MoMask folders, for use in the original code.

The layout is that of momask.py. An imported pipeline keeps its original names and option files, and scripts that name
them still work; other pipelines get names in the published style. Sources: momask-codes, gen_t2m.py (required keys and
weights), utils/get_opt.py, options/{vq,base,train}_option.py.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from exuvia.errors import CheckpointError
from exuvia.files import whole_folder, write_text
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.published.momask import LENGTH_FOLDER, TOKENIZER_OPTION, TRUNK_OPTION, Options
from exuvia.sequence.mask_transformer import MaskTransformer
from exuvia.sequence.settings import TransformerConfig

EPOCH = 0
"""Written into the files; the loaders print it."""
OWN = ("code_sum", "code_count", "initialised")
"""Endings of tensor names that published files do not have."""
FOLDER = "MoMask export"
"""Kind of the folder that `save_momask` makes, for `files.check_folder`."""


def save_momask(pipe: MotionPipeline, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write tokenizer, both transformers and length estimator with their option files; an older export is replaced.
    The folder is that of one data set, e.g. checkpoints/t2m; for `overwrite` see `files.check_folder`. Raises
    CheckpointError for parts that the published layout cannot hold, OutputError if the folder holds something else."""
    _check(pipe)
    names, kept = folder_names(pipe), pipe.provenance.get("momask_options", {})
    options = {part: {**kept.get(part, {}), **own} for part, own in _options(pipe).items()}
    for part in ("mask", "residual"):
        options[part]["vq_name"] = names["tokenizer"]
    with whole_folder(folder, FOLDER, overwrite=overwrite) as out:
        for part, key, file, module in (
            ("tokenizer", "vq_model", "net_best_fid.tar", pipe.tokenizer),
            ("mask", "t2m_transformer", "latest.tar", pipe.base),
            ("residual", "res_transformer", "net_best_fid.tar", pipe.residual),
        ):
            write_options(out / names[part] / "opt.txt", {**options[part], "name": names[part]})
            _write(out / names[part] / "model" / file, key, module.state_dict())
        meta = out / names["tokenizer"] / "meta"
        meta.mkdir()
        np.save(meta / "mean.npy", pipe.normaliser.mean)
        np.save(meta / "std.npy", pipe.normaliser.std)
        _write(out / LENGTH_FOLDER / "model" / "finest.tar", "estimator", pipe.length.state_dict())
    return Path(folder)


def folder_names(pipe: MotionPipeline) -> dict[str, str]:
    """Sub-folder of every part with options: the imported name, else one in the published style."""
    t, m, r = pipe.tokenizer.config, _masked(pipe).config, pipe.residual.config
    share = "share" if t.shared_codebook else "noshare"
    rvq = f"rvq{t.num_quantizers}{'s' if t.shared_codebook else 'ns'}"
    shared = "_sw" if r.share_weight else ""
    made = {
        "tokenizer": f"rvq_nq{t.num_quantizers}_dc{t.code_dim}_nc{t.num_codes}_{share}_qdp{t.quantize_dropout:g}",
        "mask": f"t2m_nlayer{m.num_layers}_nhead{m.num_heads}_ld{m.width}_ff{m.inner_width}_cdp{m.cond_drop:g}_{rvq}",
        "residual": f"tres_nlayer{r.num_layers}_ld{r.width}_ff{r.inner_width}_{rvq}_cdp{r.cond_drop:g}{shared}",
    }
    return {**made, **pipe.provenance.get("momask_names", {})}


def write_options(path: Path, options: Options) -> None:
    """An `opt.txt`: sorted lines `name: value` between two lines of dashes. Raises OutputError."""
    lines = [f"{name}: {value}" for name, value in sorted(options.items())]
    text = ["------------ Options -------------", *lines, "-------------- End ----------------", ""]
    write_text(path, "\n".join(text))


def _check(pipe: MotionPipeline) -> None:
    """Raise CheckpointError for parts that would be lost."""
    masked = isinstance(pipe.base, MaskTransformer)
    backbones = [pipe.residual.config.backbone, *([_masked(pipe).config.backbone] if masked else [])]
    found = [] if masked else ["base codes that no masked transformer writes"]
    found += [f"the backbone {one.mixer}" for one in backbones if one.mixer != "transformer"]
    about = {
        "transformers that read a caption word by word": not pipe.config["text"]["pooled"],
        "positions of caption words": pipe.base.config.text_positions or pipe.residual.config.text_positions,
        "guards of prompts (prompt_filter, negation)": pipe.guards,
        "noise drawn for every motion": pipe.codebook_noise,
    }
    found += [text for text, is_there in about.items() if is_there]
    if found:
        raise CheckpointError(f"MoMask's published folders have no place for {', '.join(found)}; keep Exuvia's folder")


def _masked(pipe: MotionPipeline) -> MaskTransformer:
    assert isinstance(pipe.base, MaskTransformer)
    return pipe.base


def _options(pipe: MotionPipeline) -> dict[str, Options]:
    """Content of the option files of tokenizer, mask and residual."""
    tokenizer, residual = pipe.tokenizer.config, pipe.residual.config
    about = {"dataset_name": "t2m" if tokenizer.input_dim == 263 else "kit", "is_train": False}
    sizes = {"output_emb_width": tokenizer.code_dim, "stride_t": 2}
    sizes |= {name: getattr(tokenizer, field) for field, name in TOKENIZER_OPTION.items()}
    own = {"tokenizer": sizes, "mask": _trunk(_masked(pipe).config)}
    own["residual"] = _trunk(residual) | {"share_weight": residual.share_weight}
    return {part: options | about for part, options in own.items()}


def _trunk(config: TransformerConfig) -> Options:
    return {name: getattr(config, field) for field, name in TRUNK_OPTION.items()}


def _write(path: Path, key: str, state: Mapping[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: value.detach().cpu() for name, value in state.items() if not name.endswith(OWN)}
    written = {name: value.float().contiguous() if value.is_floating_point() else value for name, value in kept.items()}
    torch.save({key: written, "ep": EPOCH, "total_it": EPOCH}, path)
