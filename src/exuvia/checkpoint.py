"""Run folders (`config.json`, `*.safetensors`, `provenance.json`): saved, loaded, shipped, and found on the hub.

They are saved whole, loaded strictly, and never pickled.
"""

import datetime
import hashlib
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import exuvia
from exuvia.errors import CheckpointError
from exuvia.files import read_json, whole_file, write_json
from exuvia.registry import suggest

FORMAT = "exuvia/1"


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file whole. Raises OutputError."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with whole_file(path) as temporary:
        save_file(plain, temporary, metadata={"format": "pt", **(metadata or {})})


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Floating-point tensors as float16, for shipping; single numbers and integers stay. `load_into` widens them."""
    return {k: v.half() if v.is_floating_point() and v.numel() > 1 else v for k, v in tensors.items()}


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and values, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        CheckpointError: it is missing, truncated or not a safetensors file.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; expected a safetensors file there")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error})") from None


def load_metadata(path: str | Path) -> dict[str, str]:
    """The metadata strings of a safetensors file. Raises CheckpointError as `load_tensors` does."""
    try:
        with safe_open(path, "pt") as stream:
            return stream.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error})") from None


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], what: str, *, assign: bool = False) -> None:
    """Load weights strictly; half-precision weights are widened to the module's own precision.

    Args:
        assign: make the parameters anew rather than fill them, which is faster; for modules nobody refers to yet
    Raises:
        CheckpointError: missing, unexpected or differently shaped tensors, all named.
    """
    own = module.state_dict()
    missing = sorted(own.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - own.keys())
    shapes = [
        f"{name} is {tuple(tensors[name].shape)}, expected {tuple(own[name].shape)}"
        for name in sorted(own.keys() & tensors.keys())
        if tensors[name].shape != own[name].shape
    ]
    kinds = ("missing", "unexpected", "of another shape")
    parts = [
        f"{len(names)} {problem} ({between.join(names[:3])}{' ...' * (len(names) > 3)})"
        for problem, names, between in zip(kinds, (missing, unexpected, shapes), (", ", ", ", "; "), strict=True)
        if names
    ]
    if parts:
        raise CheckpointError(f"weights do not fit {what}: {', '.join(parts)}")
    module.load_state_dict({n: tensor.to(own[n].dtype, copy=assign) for n, tensor in tensors.items()}, assign=assign)


class undrawn(TorchFunctionMode):  # used as a block, like torch.no_grad
    """Inside the block modules are made without drawing first weights, for those that `load_into` fills next."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Initialisation by random numbers (`normal_`, `kaiming_uniform_` ...) leaves the memory as it is."""
        if getattr(func, "__name__", "").endswith(("normal_", "uniform_")):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def read_config(folder: str | Path, *kinds: str) -> dict[str, Any]:
    """`config.json` of a run folder of one of the given kinds.

    Raises:
        CheckpointError: no such folder, no config, another format or kind.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} is not a run folder: it has no config.json")
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise CheckpointError(f"{folder}/config.json is not of format {FORMAT}")
    if config.get("kind") not in kinds:
        expected = " or ".join(map(repr, kinds))
        raise CheckpointError(f"{folder} holds a {config.get('kind')!r} run, expected {expected}")
    return config


def write_config(folder: str | Path, kind: str, values: Mapping[str, Any]) -> None:
    """Write `config.json` with its format and kind. Raises OutputError."""
    write_json(Path(folder) / "config.json", {"format": FORMAT, "kind": kind, **values})


def provenance(**facts: Any) -> dict[str, Any]:
    """Where a result came from: package version, code commit, date, machine and what the caller adds."""
    return {
        "exuvia": exuvia.__version__,
        "commit": code_commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **facts,
    }


def code_commit() -> str:
    """The commit of the source tree this package runs from, with `+` if files differ from it; else `release`."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "release"
    try:
        git = ["git", "-C", str(root)]
        commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        status = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip() + ("+" if status.stdout.strip() else "")


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
    """Origin of what this process writes: command line, commit, machine and date."""
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"command": command_line(), "commit": code_commit(), "machine": _machine(), "date": date}


def _machine() -> str:
    """Processor, the logical cores that this process may use, and system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def shipped(name: str) -> Path:
    """The folder of a checkpoint that the package exuvia-base holds.

    Raises:
        CheckpointError: the package is not installed, or holds no checkpoint of this name.
    """
    spec = find_spec("exuvia_base")
    if spec is None or spec.origin is None:
        raise CheckpointError(f"the checkpoint {name!r} comes with exuvia-base; run: pip install exuvia-base")
    folder = Path(spec.origin).parent
    if not (folder / name / "config.json").is_file():
        names = [path.parent.name for path in folder.glob("*/config.json")]
        raise CheckpointError(f"exuvia-base has no checkpoint {name!r}; {suggest(name, names)}")
    return folder / name


def find_pipeline(name: str | Path) -> Path:
    """The folder of a shipped checkpoint, a local folder or a hub id. Raises CheckpointError."""
    if str(name) == "base":
        return shipped("base")
    folder = Path(name)
    if folder.is_dir():
        return folder
    if isinstance(name, str) and name.count("/") == 1 and not name.startswith((".", "/")):
        return _from_hub(name)
    hint = suggest(str(name), ["base"])
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
        except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
            reason = error
    raise CheckpointError(f"no folder {name!r}, and the hub gave none ({type(reason).__name__})")
