"""Follows a caption, a clip and a row of the benchmark through the code and prints the places that they visit.

A *stay* is a run of calls within one place of docs/architecture.md. A *climb* is a call from a place to a higher floor,
as when the training loop calls a task's loss.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from house import FLOOR, SOURCE


@dataclass
class Walk:
    """The calls between places, in order."""

    steps: list[tuple[str, str]] = field(default_factory=list)
    """Caller's place and function, and the place and function that it calls."""
    climbs: list[tuple[str, str]] = field(default_factory=list)
    """Those that go to a higher floor, each pair of functions once."""

    def add(self, caller: tuple[str, str], called: tuple[str, str]) -> None:
        """Note a call from one place to another."""
        pair = (f"{caller[0]}.{caller[1]}", f"{called[0]}.{called[1]}")
        if pair in self.steps:
            return
        self.steps.append(pair)
        if FLOOR[called[0]] > FLOOR[caller[0]]:
            self.climbs.append(pair)


@contextmanager
def followed() -> Iterator[Walk]:
    """Record the calls between places while the block runs."""
    walk, names = Walk(), {}

    def where(frame: FrameType | None) -> tuple[str, str] | None:
        while frame is not None:
            code = frame.f_code
            if code not in names:
                path = Path(code.co_filename)
                place = path.relative_to(SOURCE).parts[0].removesuffix(".py") if path.is_relative_to(SOURCE) else ""
                names[code] = (place, code.co_qualname) if place in FLOOR else None
            if names[code] is not None:
                return names[code]
            frame = frame.f_back
        return None

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and "<module>" not in frame.f_code.co_name:
            called = where(frame)
            if called is not None and names[frame.f_code] is not None:
                caller = where(frame.f_back)
                if caller is not None and caller[0] != called[0]:
                    walk.add(caller, called)

    sys.setprofile(profile)
    try:
        yield walk
    finally:
        sys.setprofile(None)


def caption(folder: Path) -> Walk:
    """A caption on its way to a motion."""
    from tiny import tiny_pipeline

    pipe = tiny_pipeline()
    pipe("a person walks", frames=40)
    with followed() as walk:
        pipe("a person kicks", frames=40)
    return walk


def clip(folder: Path) -> Walk:
    """A clip on its way from a motion file to the codes that a generator learns."""
    from exuvia.codes import encode
    from exuvia.data.prepare import prepare
    from tiny import tiny_pipeline

    pipe = tiny_pipeline()
    with followed() as walk:
        store = prepare("synthetic", folder / "store", count=4)
        encode.encode_clips(store, store.select(split="train"), pipe.tokenizer, pipe.normaliser)
    return walk


def row(folder: Path) -> Walk:
    """A row of the benchmark: one method on one set of prompts."""
    from exuvia.data.prepare import prepare
    from exuvia.evaluation.benchmark import MethodSpec, Plan, run_benchmark
    from tiny import tiny_pipeline

    store = prepare("synthetic", folder / "store", count=160)
    pipe = tiny_pipeline().save_pretrained(folder / "tiny")
    plan = Plan(
        concept="violence", data=str(store.folder), methods=(MethodSpec.parse("none"), MethodSpec.parse("uce")),
        pipeline=str(pipe), seeds=(0,), kinds=("implicit",), limit=2,
    )  # fmt: skip
    with followed() as walk:
        run_benchmark(plan, folder / "run", workers=0)
    return walk


WALKS: dict[str, Callable[[Path], Walk]] = {"caption": caption, "clip": clip, "row": row}


def main() -> int:
    """Print the walks that are asked for; all without a name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *WALKS], help="caption, clip or row")
    for name in parser.parse_args().names or WALKS:
        with tempfile.TemporaryDirectory() as folder:
            walk = WALKS[name](Path(folder))
        print(f"\n{name}: {len(walk.steps)} calls between places, {len(walk.climbs)} of them up")
        for before, after in walk.steps:
            up = "  ^ up" if (before, after) in walk.climbs else ""
            print(f"  {before:<60} -> {after}{up}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
