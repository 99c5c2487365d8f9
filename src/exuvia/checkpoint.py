"""Run folders (`config.json`, `*.safetensors`, `provenance.json`): save, load, and find them, locally or on the hub.

Folders are written whole, loaded strictly, and never pickled.
"""

import datetime
import hashlib
import json
import math
import os
import pickle
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from typing_extensions import TypedDict

import exuvia
from exuvia.config import from_dict
from exuvia.errors import CheckpointError
from exuvia.files import whole_file, write_json
from exuvia.readers import as_type, guarded, parse_json, read_json
from exuvia.registry import GENERATORS, suggest

FORMAT = "exuvia/1"
WEIGHTS = "weights.safetensors"
"""File of a finished run."""
LARGE = 50_000_000
"""Maximum size of a tensor that is not among the weights, such as a table of positions."""
T = TypeVar("T")
Config = TypeVar("Config")
Module = TypeVar("Module", bound=nn.Module)


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file whole; equal tensors and metadata give equal bytes. Raises OutputError."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    # a single entry: the library writes several in an order that changes between processes
    facts = {"exuvia": json.dumps(metadata, sort_keys=True)} if metadata else {"format": "pt"}
    with whole_file(path) as temporary:
        save_file(plain, temporary, metadata=facts)


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert floating-point tensors to float16 for shipping, except scalars. `load_into` widens them again."""
    return {k: v.half() if v.is_floating_point() and v.numel() > 1 else v for k, v in tensors.items()}


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and values, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read a safetensors file. Raises CheckpointError if it is missing, truncated or not a safetensors file."""
    with guarded(path, "safetensors file", CheckpointError):
        return load_file(path)


def part_of(values: Mapping[str, T], part: str) -> dict[str, T]:
    """Select the values named `PART.x`, and rename them to `x`."""
    return {name.removeprefix(f"{part}."): value for name, value in values.items() if name.startswith(f"{part}.")}


def load_metadata(path: str | Path) -> dict[str, str]:
    """The metadata strings of a safetensors file. Raises CheckpointError as `load_tensors` does."""
    with guarded(path, "safetensors file", CheckpointError), safe_open(path, "pt") as stream:
        facts: dict[str, str] = stream.metadata() or {}
    return as_type(dict[str, str], parse_json(facts["exuvia"], path), path) if "exuvia" in facts else facts


def load_state_dicts(path: str | Path) -> dict[str, Any]:
    """Read a dictionary of tensors and plain values that `torch.save` wrote; nothing in the file is executed. Raises
    CheckpointError if it is missing, damaged, holds other objects, or has a tensor larger than its stored values."""
    with guarded(path, "checkpoint file", CheckpointError):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            if (named := re.search(r"(?:GLOBAL|global:?|class:?)\s+`?([\w.]+)", str(error))) is None:
                raise CheckpointError(f"{path} is not a readable checkpoint file; fetch or write it again") from None
            raise CheckpointError(
                f"{path} holds a pickled object ({named.group(1)}), not only tensors; refused, since loading it "
                "could run foreign code: save the state dicts alone and try again"
            ) from None
        if not isinstance(content, dict):
            raise CheckpointError(f"{path} holds a {type(content).__name__}; expected a dictionary of state dicts")
        for part in (content, *(value for value in content.values() if isinstance(value, dict))):
            for name, value in part.items():
                if isinstance(value, Tensor) and value.untyped_storage().nbytes() < value.numel() * value.itemsize:
                    raise CheckpointError(f"{path} has fewer numbers than {name} of shape {tuple(value.shape)} needs")
        return content


def load_into(
    module: nn.Module, tensors: Mapping[str, Tensor], what: str, may_lack: tuple[str, ...] = (), *, assign: bool = False
) -> None:
    """Load weights strictly; half-precision weights are widened to the module's own precision.

    The module keeps its own values for names that end in one of `may_lack`.
    `assign` replaces the parameters instead of copying into them: faster, for new modules only.
    Raises CheckpointError with the names of tensors that are missing, unexpected, or of another shape or type.
    """
    state = module.state_dict()
    fitting = _fitting(state, tensors, what, may_lack)
    module.load_state_dict({k: v.to(state[k].dtype, copy=assign) for k, v in fitting.items()}, assign=assign)


def built(
    make: Callable[[], Module], tensors: Mapping[str, Tensor], what: str, may_lack: tuple[str, ...] = ()
) -> Module:
    """Build a module and load its weights. Raises CheckpointError as `load_into`, or if no module has such sizes; a
    module far larger than the weights is refused before it takes memory."""
    limit = max(LARGE, *(4 * value.numel() for value in tensors.values())) if tensors else LARGE
    with guarded(f"the configuration of {what}", "description of a model", CheckpointError), undrawn(limit):
        module = make()
    load_into(module, tensors, what, may_lack, assign=True)
    return module


def _fitting(
    state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], what: str, may_lack: tuple[str, ...]
) -> dict[str, Tensor]:
    """Complete the tensors by those of `state` that they may lack. Raises CheckpointError if they do not fit."""
    tensors = {name: value for name, value in state.items() if name.endswith(may_lack)} | dict(tensors)

    def numbers(value: Tensor) -> tuple[bool, bool]:
        return value.is_floating_point(), value.is_complex()

    both = [(name, tensors[name], state[name]) for name in sorted(state.keys() & tensors.keys())]
    shapes = [f"{n} is {tuple(x.shape)}, expected {tuple(y.shape)}" for n, x, y in both if x.shape != y.shape]
    types = [f"{n} is {x.dtype}, expected {y.dtype}" for n, x, y in both if numbers(x) != numbers(y)]
    problems = (
        ("missing", sorted(state.keys() - tensors.keys()), ", "),
        ("unexpected", sorted(tensors.keys() - state.keys()), ", "),
        ("of another shape", shapes, "; "),
        ("of another type", types, "; "),
    )
    parts = [
        f"{len(names)} {problem} ({between.join(names[:3])}{' ...' * (len(names) > 3)})"
        for problem, names, between in problems
        if names
    ]
    if parts:
        raise CheckpointError(f"weights do not fit {what}: {', '.join(parts)}")
    return tensors


class undrawn(TorchFunctionMode):  # used as a block, like torch.no_grad
    """Inside the block, modules are built without random initial weights, which `load_into` would overwrite."""

    def __init__(self, limit: int = LARGE) -> None:
        super().__init__()
        self.limit = limit
        """Maximum size of a new tensor."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Skip random initialisation (`normal_`, `kaiming_uniform_` ...), and check the sizes of new tensors."""
        name = getattr(func, "__name__", "")
        if name.endswith(("normal_", "uniform_")):
            return args[0] if args else kwargs["tensor"]
        if name in ("empty", "zeros", "ones", "full", "arange"):
            shape = args[0] if args and isinstance(args[0], tuple | list) else args
            sizes = [size for size in shape if isinstance(size, int | float)]
            if (max if name == "arange" else math.prod)(sizes or [0]) > self.limit:
                raise CheckpointError(f"found sizes {sizes}, expected a model of its weights' size")
        return func(*args, **(kwargs or {}))


class Run(TypedDict):
    """Required content of a trained model's config.json."""

    model: dict[str, Any]


class ScaledRun(Run):
    """The same for a model that reads normalised features [.., C]: their mean and deviation, C numbers each."""

    mean: list[float]
    std: list[float]


def read_config(folder: str | Path, *kinds: str, holds: type | None = None) -> dict[str, Any]:
    """Read `config.json` of a run folder of one of the given kinds, with the required content of a typed dictionary,
    `holds`. Raises CheckpointError for no such folder, another format or kind, or values of other types."""
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} is not a run folder: it has no config.json")
    config = read_json(folder / "config.json", CheckpointError)
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise CheckpointError(f"{folder}/config.json is not of format {FORMAT}")
    if config.get("kind") not in kinds:
        expected = " or ".join(map(repr, kinds))
        raise CheckpointError(f"{folder} holds a {config.get('kind')!r} run, expected {expected}")
    if holds is not None:
        as_type(holds, config, folder / "config.json", CheckpointError)
    return config


def write_config(folder: str | Path, kind: str, values: Mapping[str, Any]) -> None:
    """Write `config.json` with format and kind. Raises OutputError."""
    write_json(Path(folder) / "config.json", {"format": FORMAT, "kind": kind, **values})


def load_run(
    folder: str | Path, kind: str, make: Callable[[Config], Module], sizes: type[Config], holds: type = Run
) -> tuple[Module, dict[str, Any]]:
    """Load the model of a finished run, and its configuration, which has the content of the typed dictionary `holds`;
    `make` takes settings of the class `sizes`. Raises CheckpointError for no such run, or weights that do not fit."""
    config = read_config(folder, kind, holds=holds)
    settings = from_dict(sizes, config["model"])
    return built(partial(make, settings), load_tensors(Path(folder) / WEIGHTS), f"the {kind} model of {folder}"), config


def provenance(**facts: Any) -> dict[str, Any]:
    """Origin of a result: versions, code commit, date, and facts that the caller adds."""
    return {
        "exuvia": exuvia.__version__,
        "commit": code_commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **facts,
    }


def code_commit() -> str:
    """The commit of this package's source tree, with `+` if files differ from it; `release` without a source tree."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "release"
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def command_line() -> str:
    """The command line of this process, quoted for a shell; the program without its folder."""
    program = Path(sys.argv[0])
    name = program.name.removesuffix(".exe")
    if name == "__main__.py":
        name = program.parent.name
        words = [name] if name == "exuvia" else ["python", "-m", name]
    else:
        words = ["python", name] if name.startswith("-") or name.endswith(".py") else [name]
    return shlex.join([*words, *sys.argv[1:]])


def origin() -> dict[str, str]:
    """Origin of this process's output: command line, commit, machine and date."""
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    # logical cores available to this process
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    machine = f"{processor}, {cores} cores, {platform.system()}, Python {platform.python_version()}"
    return {"command": command_line(), "commit": code_commit(), "machine": machine, "date": date}


def shipped(name: str) -> Path:
    """The folder of a checkpoint in one of the packages of weights. Raises CheckpointError without that package."""
    package = GENERATORS.get(name, "exuvia-base")
    spec = find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise CheckpointError(f"the checkpoint {name!r} comes with {package}; run: pip install {package}")
    folder = Path(spec.origin).parent
    if not (folder / name / "config.json").is_file():
        names = [path.parent.name for path in folder.glob("*/config.json")]
        raise CheckpointError(f"{package} has no checkpoint {name!r}; {suggest(name, names)}")
    return folder / name


def is_shipped(name: str) -> bool:
    """Whether a checkpoint and the package that holds it are installed."""
    try:
        return shipped(name).is_dir()
    except CheckpointError:
        return False


def find_pipeline(name: str | Path) -> Path:
    """The folder of a shipped checkpoint, a local folder or a hub id. Raises CheckpointError."""
    if str(name) in GENERATORS:
        return shipped(str(name))
    folder = Path(name)
    with guarded(repr(str(name)[:60]), "folder of a generator", CheckpointError):
        if folder.is_dir():
            return folder
    if isinstance(name, str) and name.count("/") == 1 and not name.startswith((".", "/")):
        return _from_hub(name)
    hint = suggest(str(name), GENERATORS)
    raise CheckpointError(f"no generator {str(name)!r}: not a folder, and not one of those shipped; {hint}")


def _from_hub(name: str) -> Path:
    if find_spec("huggingface_hub") is None:
        raise CheckpointError(f"no folder {name!r}; to load it from the hub, run: pip install 'exuvia[hub]'")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "README.md"]
    for local in (True, False):
        try:
            return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=local))
        except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
            reason = error
    raise CheckpointError(f"no folder {name!r}, and the hub gave none ({type(reason).__name__})")
