"""Reads an uploaded motion in a separate process with limited memory and time, so no file can crash the server.

    python -m exuvia.studio.reading FILE OUT FRAMES BYTES SECONDS

writes OUT, an .npz with `joints` [F, 22, 3] in metres at 20 frames per second, or with `refusal`, a sentence. It does
not import PyTorch.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.errors import DataError, ExuviaError
from exuvia.motion.clip import Clip
from exuvia.motion.load import load_clip
from exuvia.readers import read_npz
from exuvia.studio.settings import Limits

FPS = 20.0
KILLED = 9
"""Exit code of a process that exceeded a limit."""
START_S = 40.0
"""Additional time for the process to start on a busy machine."""


class TooMuch(DataError):
    """Raised when reading a file takes more memory or time than the limits allow."""


def read_upload(data: bytes, suffix: str, limits: Limits) -> Clip:
    """Return an uploaded file as a clip at 20 frames per second. Raises DataError, and TooMuch beyond a limit."""
    numbers = [str(limits.frames), str(limits.read_bytes), str(limits.read_s)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder, f"upload{suffix}"), Path(folder, "read.npz")
        file.write_bytes(data)
        command = [sys.executable, "-m", "exuvia.studio.reading", str(file), str(out), *numbers]
        try:
            wait = limits.read_s + START_S
            code = subprocess.run(command, env=os.environ | threads, stdin=subprocess.DEVNULL, timeout=wait).returncode
        except subprocess.TimeoutExpired:  # subprocess.run has killed it
            code = KILLED
        if code == 1:  # the traceback is in the studio's log
            raise DataError(f"this {suffix} file cannot be read; export it again from the program that made it")
        if code != 0:
            at_most = f"{limits.read_bytes // 1_000_000} MB and {limits.read_s:g} s"
            raise TooMuch(f"this file takes more than {at_most} to read; split the motion into shorter ones")
        arrays = read_npz(out, optional=("joints", "refusal"))
    if "refusal" in arrays:
        raise DataError(str(arrays["refusal"]))
    return Clip(arrays["joints"], fps=FPS)


def _read(file: Path, frames: int) -> Clip:
    clip = load_clip(file, FPS)
    if clip.frames > frames:
        raise DataError(f"found {clip.frames} frames, expected at most {frames}")
    return clip


def main(file: str, out: str, frames: str, size: str, seconds: str) -> None:
    """Read a file within limits; a file that exceeds them ends this process before it writes anything."""
    with contextlib.suppress(ImportError):  # not on Windows, where only the parent's time limit applies
        import resource

        limits = {resource.RLIMIT_AS: int(size), resource.RLIMIT_CPU: int(float(seconds)) + 1, resource.RLIMIT_CORE: 0}
        for kind, limit in limits.items():
            hard = resource.getrlimit(kind)[1]  # cannot be raised
            limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(kind, (limit, limit))
    try:
        arrays: dict[str, Any] = {"joints": _read(Path(file), int(frames)).joints}
    except MemoryError:
        sys.exit(KILLED)
    except ExuviaError as error:
        arrays = {"refusal": np.array(str(error))}
    np.savez(out, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
