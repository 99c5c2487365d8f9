"""Reads an uploaded motion in a separate process with limited memory and time, so no file can crash the server.

    python -m exuvia.studio.reading FILE OUT FRAMES BYTES SECONDS SOURCE

writes OUT, an .npz with `joints` [F, 22, 3] in metres at 20 frames per second and `about`, facts in JSON, or with
`refusal`, a sentence. SOURCE has fields of `Source` in JSON. It does not import PyTorch.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.errors import DataError, ExuviaError
from exuvia.motion.clip import Clip
from exuvia.motion.load import explain, load_clip
from exuvia.motion.origin import origin_of
from exuvia.motion.source import ARGUMENT, Source
from exuvia.readers import parse_json, read_npz
from exuvia.studio.settings import Limits

FPS = 20.0
FIELDS = {"up": "Upward axis, y or z", "unit_m": "Unit in metres", "fps": "Frames a second"}
"""Facts of a `Source` that an upload can state, as `source_up` and so on -> labels of their fields on the page."""
MAX_TEXT = 4000
"""Number of characters that are kept of what the reader understood."""
KILLED = 9
"""Exit code of a process that exceeded a limit."""
START_S = 40.0
"""Additional time for the process to start on a busy machine."""


class TooMuch(DataError):
    """Raised when reading a file takes more memory or time than the limits allow."""


def read_upload(data: bytes, suffix: str, limits: Limits, **source: Any) -> Clip:
    """Return an uploaded file as a clip at 20 frames per second; its meta has `library.ABOUT`.

    `source` has the facts of `FIELDS`. Raises DataError, and TooMuch beyond a limit.
    """
    numbers = [str(limits.frames), str(limits.read_bytes), str(limits.read_s), json.dumps(source)]
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
        arrays = read_npz(out, optional=("joints", "about", "refusal"))
    if "refusal" in arrays:
        raise DataError(str(arrays["refusal"]))
    return Clip(arrays["joints"], fps=FPS, meta=parse_json(str(arrays["about"]), "what was read"))


def in_fields(sentence: str) -> str:
    """Replace `Source(up=...)` in a sentence by the field of an upload, or by the command that has the switch."""

    def field(match: re.Match[str]) -> str:
        name, label = match[1], FIELDS.get(match[1])
        return f'"{label}" (source_{name})' if label else f"exuvia convert --{name.replace('_', '-')}"

    return ARGUMENT.sub(field, sentence)


def _read(file: Path, frames: int, source: Source) -> dict[str, Any]:
    clip = load_clip(file, None, source=source)
    if clip.duration_s * FPS > frames:
        raise DataError(f"found {clip.duration_s * FPS:.0f} frames at {FPS:g} a second, expected at most {frames}")
    doubts = [in_fields(doubt) for doubt in clip.meta.get("doubts", ())]
    about = {"understood": in_fields(explain(clip))[:MAX_TEXT], "doubts": doubts, "origin": origin_of(clip)}
    return {"joints": clip.resampled(FPS).joints, "about": np.array(json.dumps(about))}


def main(file: str, out: str, frames: str, size: str, seconds: str, source: str) -> None:
    """Read a file within limits; a file that exceeds them ends this process before it writes anything."""
    with contextlib.suppress(ImportError):  # not on Windows, where only the parent's time limit applies
        import resource

        limits = {resource.RLIMIT_AS: int(size), resource.RLIMIT_CPU: int(float(seconds)) + 1, resource.RLIMIT_CORE: 0}
        for kind, limit in limits.items():
            hard = resource.getrlimit(kind)[1]  # cannot be raised
            limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(kind, (limit, limit))
    try:
        arrays = _read(Path(file), int(frames), Source(**parse_json(source, "SOURCE")))
    except MemoryError:
        sys.exit(KILLED)
    except ExuviaError as error:
        arrays = {"refusal": np.array(in_fields(str(error)))}
    np.savez(out, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
