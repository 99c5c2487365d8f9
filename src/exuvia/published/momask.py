"""Loads published MoMask checkpoints: option files, weights and statistics in their folder layout.

    <folder>/<tokenizer>/{opt.txt, meta/mean.npy, meta/std.npy, model/net_best_fid.tar}
    <folder>/<masked transformer>/{opt.txt, model/latest.tar}
    <folder>/<residual transformer>/{opt.txt, model/net_best_fid.tar}
    <folder>/length_estimator/model/finest.tar                                          (may be absent)

Nothing in a file is executed: weights are read without unpickling objects. The frozen caption encoder (`clip_model.*`)
is not part of these files. Sources: momask-codes, gen_t2m.py, utils/get_opt.py, options/{vq,base,train}_option.py.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import Tensor, nn

from exuvia.checkpoint import built, load_state_dicts
from exuvia.errors import CheckpointError, ConfigError, DataError
from exuvia.readers import read_npy, read_toml, read_utf8
from exuvia.sequence.bamm import BAMM
from exuvia.sequence.length import LengthEstimator
from exuvia.sequence.mask_transformer import MaskTransformer
from exuvia.sequence.residual_transformer import ResidualTransformer
from exuvia.sequence.settings import BAMMConfig, LengthEstimatorConfig, MaskTransformerConfig, ResidualTransformerConfig
from exuvia.shapes import Floats
from exuvia.tokens.rvqvae import RVQVAE
from exuvia.tokens.settings import RVQVAEConfig

log = logging.getLogger(__name__)

Options = dict[str, Any]
Module = TypeVar("Module", bound=nn.Module)
Base = MaskTransformer | BAMM

_FACTS = read_toml(Path(__file__).with_suffix(".toml"))
KEYS, FILES, GUIDANCE = _FACTS["keys"], _FACTS["files"], _FACTS["guidance"]
TOKENIZER_OPTION, TRUNK_OPTION = _FACTS["tokenizer"], _FACTS["trunk"]
MAY_LACK = ("norm", "decay", "shared_codebook", "quantize_dropout")
"""Fields that older option files do not have; our defaults are theirs."""
LAYOUTS = {263: "humanml3d", 251: "kit"}
"""Channels of the features -> their layout."""
LENGTH_FOLDER = "length_estimator"
NOT_SAVED = ("code_sum", "code_count", "initialised", "position_enc.pe")
"""Ends of names of tensors that published files may lack."""


@dataclass(frozen=True)
class Official:
    """The parts of a published generator, in evaluation mode, with weights checked and loaded."""

    tokenizer: RVQVAE
    base: Base
    residual: ResidualTransformer
    length: LengthEstimator | None
    """None if the folder has no length estimator, like BAMM's."""
    mean: Floats
    """Mean of the features, float32 [C]."""
    std: Floats
    """Divisor of the features, float32 [C] (the published ones include the feature bias)."""
    options: dict[str, Options]
    """The option files of tokenizer, mask and residual."""
    files: dict[str, Path]
    """File of each part's weights."""


def load_momask(
    folder: str | Path, *, mask: str | None = None, residual: str | None = None, tokenizer: str | None = None
) -> Official:
    """Load a published MoMask generator.

    Args:
        folder: the folder of one data set, e.g. `checkpoints/t2m`
        mask, residual, tokenizer: sub-folders to use; without a name the only fitting one is used, and the tokenizer
            is the one that the masked transformer's options name
    Raises:
        CheckpointError: a part is missing or ambiguous, a file is corrupt or holds pickled objects, or weights do not
            fit the option files.
    """
    folder = Path(folder)
    if not folder.is_dir():
        expected = "a folder of MoMask checkpoints such as checkpoints/t2m"
        raise CheckpointError(f"{folder} is not a folder; expected {expected}")
    kinds = {path.name: _kind(path) for path in sorted(folder.iterdir()) if (path / "opt.txt").is_file()}
    names = {"mask": _choose(folder, kinds, "mask", mask), "residual": _choose(folder, kinds, "residual", residual)}
    options = {part: read_options(folder / name / "opt.txt") for part, name in names.items()}
    wanted = {part: str(options[part].get("vq_name", "")) for part in names}
    if len(set(wanted.values())) > 1 and tokenizer is None:
        both = f"{names['mask']} names {wanted['mask']}, {names['residual']} names {wanted['residual']}"
        raise CheckpointError(f"the transformers in {folder} were trained on different tokenizers: {both}")
    if tokenizer is None and kinds.get(wanted["mask"]) == "tokenizer":
        tokenizer = wanted["mask"]
    names["tokenizer"] = _choose(folder, kinds, "tokenizer", tokenizer)
    folders = {part: folder / name for part, name in names.items()}
    length = folder / LENGTH_FOLDER
    if not length.is_dir():
        log.warning("%s has no %s: lengths must be given with every prompt", folder, LENGTH_FOLDER)
    return load_folders(folders, load_mask, length if length.is_dir() else None)


def load_folders(
    folders: Mapping[str, Path], load_base: Callable[[Path, Options, Options], Base], length: Path | None = None
) -> Official:
    """Load a generator from the folders of tokenizer, mask and residual. Raises CheckpointError."""
    options = {part: read_options(folder / "opt.txt") for part, folder in folders.items()}
    files = {part: weights_file(folder, part) for part, folder in folders.items()}
    if length is not None:
        files["length"] = weights_file(length, "length")
    mean, std = (statistic(folders["tokenizer"] / "meta" / f"{kind}.npy") for kind in ("mean", "std"))
    tokenizer = load_tokenizer(files["tokenizer"], options["tokenizer"], len(mean))
    base = load_base(files["mask"], options["mask"], options["tokenizer"])
    residual = load_residual(files["residual"], options["residual"], options["tokenizer"])
    estimator = load_length(files["length"]) if "length" in files else None
    return Official(tokenizer, base, residual, estimator, mean, std, options, files)


def load_bamm_folders(decoder: str | Path, tokenizer: str | Path, residual: str | Path) -> Official:
    """Load a published BAMM generator, which has no length estimator, from its three folders.
    Raises CheckpointError for a file that is missing, corrupt, holds pickled objects or does not fit the option files.
    Sources: exitudio BAMM, commit c9c6be0, options and eval_t2m_trans_res.py."""
    return load_folders({"mask": Path(decoder), "tokenizer": Path(tokenizer), "residual": Path(residual)}, load_bamm)


def layout_of(mean: Floats) -> str:
    """The registry name of the layout with 263 (HumanML3D) or 251 statistics [C] (KIT-ML); else CheckpointError."""
    if len(mean) not in LAYOUTS:
        known = ", ".join(f"{channels} ({name})" for channels, name in LAYOUTS.items())
        raise CheckpointError(f"found statistics of {len(mean)} channels, expected {known}")
    return LAYOUTS[len(mean)]


def read_options(path: str | Path) -> Options:
    """An `opt.txt`: lines `name: value` between two lines of dashes; values True/False, None, numbers or text.
    Raises CheckpointError if it is missing, or a line is of another form."""
    lines = read_utf8(path, "option file", CheckpointError).splitlines()
    options: Options = {}
    for line in lines:
        if not line.strip() or line.startswith("---"):
            continue
        name, separator, value = line.partition(":")
        if not separator:
            raise CheckpointError(f"{path} has the line {line[:60]!r}; expected 'name: value'")
        options[name.strip()] = _value(value.strip())
    return options


def read_weights(path: str | Path, part: str) -> dict[str, Tensor]:
    """The state dict of one part in a checkpoint file, without the caption encoder.
    Raises CheckpointError for a corrupt file, pickled objects, or no weights of that part."""
    content = load_state_dicts(path)
    key = next((key for key in KEYS[part] if key in content), None)
    if key is None:
        found = ", ".join(sorted(map(str, content))[:6]) or "nothing"
        raise CheckpointError(f"{path} holds {found}; expected the weights of a {part} under {' or '.join(KEYS[part])}")
    if not isinstance(content[key], dict):
        raise CheckpointError(f"{path} holds a {type(content[key]).__name__} under {key}, expected a state dict")
    state = {str(name): value for name, value in content[key].items() if not str(name).startswith("clip_model.")}
    foreign = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if foreign:
        raise CheckpointError(f"{path} has entries that are no tensors under {key}: {', '.join(foreign[:3])}")
    return state


def load_tokenizer(path: str | Path, options: Options, input_dim: int) -> RVQVAE:
    """The RVQ-VAE of a checkpoint file; code averages start from the codes. Raises CheckpointError."""
    with _options_of(path):
        if options.get("stride_t", 2) != 2:
            raise CheckpointError(f"{path} has stride_t {options['stride_t']}; only 2, the published value, is known")
        if options.get("output_emb_width", options["code_dim"]) != options["code_dim"]:
            raise CheckpointError(f"{path} has output_emb_width {options['output_emb_width']}, unlike its code_dim")
        names = {k: name for k, name in TOKENIZER_OPTION.items() if k not in MAY_LACK or name in options}
        config = RVQVAEConfig(input_dim=input_dim, **{k: options[name] for k, name in names.items()})
    state = read_weights(path, "tokenizer")
    module = _filled(lambda: RVQVAE(config), state, f"the tokenizer of {path}")
    module.load_published(state)
    return module


def load_mask(path: str | Path, options: Options, tokenizer: Options) -> MaskTransformer:
    """The masked transformer of a checkpoint file; sizes from both option files. Raises CheckpointError."""
    state = read_weights(path, "mask")
    with _options_of(path):
        config = MaskTransformerConfig(**_trunk(options, tokenizer, state))
    return _filled(lambda: MaskTransformer(config), state, f"the masked transformer of {path}")


def load_bamm(path: str | Path, options: Options, tokenizer: Options) -> BAMM:
    """BAMM's decoder of a checkpoint file; `trans` among its options names the blocks. Raises CheckpointError."""
    state = read_weights(path, "mask")
    with _options_of(path):
        config = BAMMConfig(**_trunk(options, tokenizer, state), blocks=options.get("trans", "official"))
    return _filled(lambda: BAMM(config), state, f"the decoder of {path}")


def load_residual(path: str | Path, options: Options, tokenizer: Options) -> ResidualTransformer:
    """The residual transformer of a checkpoint file; sizes from both option files. Raises CheckpointError."""
    if tokenizer.get("shared_codebook", False):
        raise CheckpointError(f"{path} was trained with shared_codebook, whose tables the published code never saves")
    state = read_weights(path, "residual")
    with _options_of(path):
        own = {"num_quantizers": tokenizer["num_quantizers"], "share_weight": options.get("share_weight", False)}
        config = ResidualTransformerConfig(**_trunk(options, tokenizer, state), **own)
    return _filled(lambda: ResidualTransformer(config), state, f"the residual transformer of {path}")


def load_length(path: str | Path) -> LengthEstimator:
    """The length estimator of a checkpoint file; sizes from its shapes: it has no options. Raises CheckpointError."""
    state = read_weights(path, "length")
    matrices = [value for name, value in state.items() if name.endswith("weight") and value.ndim == 2]
    if not matrices:
        raise CheckpointError(f"{path} has no linear map; expected the weights of a length estimator")
    *hidden, classes = (matrix.shape[0] for matrix in matrices)
    config = LengthEstimatorConfig(text_dim=matrices[0].shape[1], num_classes=classes, hidden=tuple(hidden))
    return _filled(lambda: LengthEstimator(config), state, f"the length estimator of {path}")


@contextmanager
def _options_of(path: str | Path) -> Iterator[None]:
    """Turn errors about options in the block into a CheckpointError that names the checkpoint."""
    try:
        yield
    except KeyError as error:
        raise CheckpointError(f"the opt.txt of {path} has no {error}") from None
    except (TypeError, ValueError, ConfigError) as error:
        raise CheckpointError(f"the opt.txt of {path} has sizes that do not fit: {error}") from None


def _trunk(options: Options, tokenizer: Options, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Fields of TrunkConfig. The width of the text comes from the weights: no option file holds it."""
    text, table = state.get("cond_emb.weight"), state.get("position_enc.pe")
    sizes = {"num_codes": tokenizer["nb_code"], "code_dim": tokenizer["code_dim"]}
    sizes |= {field: options[name] for field, name in TRUNK_OPTION.items()}
    text_dim = 512 if text is None or text.ndim != 2 else text.shape[1]
    return sizes | {"text_dim": text_dim, "table_length": 5000 if table is None or table.ndim < 2 else len(table)}


def _filled(make: Callable[[], Module], state: dict[str, Tensor], what: str) -> Module:
    """Build a module and load published weights; it keeps its values of `NOT_SAVED`. Raises CheckpointError."""
    return built(make, state, f"{what} (do opt.txt and weights belong together?)", NOT_SAVED).eval()


def _value(text: str) -> Any:
    named = {"True": True, "False": False, "None": None}
    if text in named:
        return named[text]
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def statistic(path: Path) -> Floats:
    """A tokenizer's mean or deviation, float32 [C]. Raises CheckpointError."""
    try:
        found = read_npy(path)
    except DataError as error:
        raise CheckpointError(f"{error}; expected the tokenizer's statistics") from None
    if found.dtype.kind not in "fiu":
        raise CheckpointError(f"{path} holds {found.dtype}, expected the tokenizer's statistics as numbers")
    return found.astype(np.float32).reshape(-1)


def weights_file(folder: Path, part: str) -> Path:
    """The file of a part that the published scripts prefer. Raises CheckpointError."""
    for path in (folder / "model" / name for name in FILES[part]):
        if path.is_file():
            return path
    raise CheckpointError(f"{folder}/model has none of {', '.join(FILES[part])}, the weights of a {part}")


def _kind(folder: Path) -> str:
    """Which part a folder with options holds, or "": by its options, and for transformers by its weights' key."""
    options = read_options(folder / "opt.txt")
    if "nb_code" in options and "latent_dim" not in options:
        return "tokenizer"
    if "latent_dim" not in options:
        return ""
    if "share_weight" in options and re.match(r"t?res|rtrans", folder.name):
        return "residual"
    if re.match(r"t2m|mtrans", folder.name):
        return "mask"
    for path in sorted((folder / "model").glob("*.tar")):
        content = load_state_dicts(path)
        return next((part for part in ("residual", "mask") if any(key in content for key in KEYS[part])), "")
    return ""


def _choose(folder: Path, kinds: Mapping[str, str], part: str, name: str | None) -> str:
    fitting = [one for one, kind in kinds.items() if kind == part]
    if name is not None:
        if not (folder / name / "opt.txt").is_file():
            known = ", ".join(fitting) or "none"
            raise CheckpointError(f"{folder / name} has no opt.txt; folders with a {part}: {known}")
        return name
    if len(fitting) != 1:
        found = f"{len(fitting)} ({', '.join(fitting)})" if fitting else "none"
        raise CheckpointError(f"{folder} should have one folder with a {part}, found {found}; name it with {part}=...")
    return fitting[0]
