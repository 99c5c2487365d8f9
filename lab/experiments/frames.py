"""`python -m lab frames`: finds which frames of real motion the SeRpEnt layers of a generator keep."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from exuvia.codes.encode import encode_clips
from exuvia.config import settings
from exuvia.data.store import Store
from exuvia.errors import ConfigError, DataError
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.registry import suggest
from exuvia.synthetic.catalogue import VIOLENT_FRAME_LABELS
from lab.clips import chosen_clips
from lab.draw_frames import draw_kept
from lab.frames import Kept, Preference, kept_steps, kinds_of_steps, preferences
from lab.ledger.names import frames_name
from lab.ledger.numbers import Number, record_numbers


@settings(kw_only=True)
class FramesBench:
    """The generator and the clips."""

    pipeline: Path
    """Pipeline folder with a SeRpEnt backbone, as configs/backbones.sh makes it."""
    data: Path = Path("stores/mocap")
    """Folder made by `exuvia prepare`."""
    split: str = "test"
    """Split of the clips."""
    sensors: tuple[str, ...] = ()
    """Only clips of these sensors, such as optical; default: all."""
    limit: int = 300
    """Maximum number of captioned clips."""
    name: str = ""
    """Name in the ledger and in titles; default: the name of the folder, or of the folder above `packed`."""
    draw: Path | None = None
    """Folder for pictures of a few clips."""
    ids: tuple[str, ...] = ()
    """Clips to draw, by name; default: those with the most reversals."""
    record: Path | None = None
    """Ledger to append the results to."""


PICTURES = 4
"""Number of clips that are drawn by default."""


def bench_frames(config: FramesBench) -> None:
    """Compare the learned intervals at contacts, reversals, fast, still and violent steps with those of all steps.

    Examples:
        python -m lab frames --pipeline runs/backbones/serpent/packed --data stores/mocap --sensors optical

    Raises:
        ConfigError: the generator has no SeRpEnt layer, matplotlib is not installed for a picture, or a clip to draw is
            not among the selected ones.
        CheckpointError: the pipeline cannot be loaded.
        DataError: the data cannot be read, or hold no captioned clip of this kind.
        OutputError: a picture or the ledger cannot be written.
    """
    name = config.name or (config.pipeline.parent if config.pipeline.name == "packed" else config.pipeline).name
    pipe, store = MotionPipeline.from_pretrained(config.pipeline), Store.open(config.data)
    numbers = chosen_clips(store, config.split, config.sensors)
    numbers = [number for number in numbers if store.clips[number].captions][: config.limit]
    if not numbers:
        raise DataError(f"{config.data} has no captioned clip in split {config.split!r} of sensors {config.sensors}")
    known = {store.clips[number].id: place for place, number in enumerate(numbers)}
    for one in config.ids:
        if one not in known:
            raise ConfigError(
                f"found no clip {one!r} to draw among the {len(numbers)} looked at; {suggest(one, known)}"
            )
    clips = [_clip(pipe, store, number) for number in numbers]
    rows = preferences([(flags, branches) for _, flags, branches in clips])
    _show(name, len(clips), rows)
    if config.draw is not None:
        most = sorted(range(len(clips)), key=lambda n: -int(clips[n][1]["reversal"].sum()))[:PICTURES]
        for which in [known[one] for one in config.ids] or most:
            _draw(name, store.clips[numbers[which]], *clips[which], config.draw)
    measured = {
        frames_name(name, row.layer, row.rate, row.kind, what): Number(some.mean, low=some.low, high=some.high)
        for row in rows
        for what, some in row.ratios.items()
    }
    record_numbers(config.record, measured)


def _clip(pipe: Any, store: Any, number: int) -> tuple[Any, dict[str, Any], list[Kept]]:
    """Return joints, kinds of steps and branches of one clip with its first caption."""
    codes = torch.from_numpy(
        encode_clips(store, [number], pipe.tokenizer, pipe.normaliser, levels=1)[0][:, 0].astype(np.int64)
    )
    joints = np.asarray(store.joints(number)[: pipe.tokenizer.config.stride * len(codes)])
    labels, violent = store.frame_labels(number), None
    if labels is not None:
        names = next(source["frame_labels"] for source in store.manifest["source"] if "frame_labels" in source)
        violent = np.isin(labels, [names.index(one) for one in VIOLENT_FRAME_LABELS if one in names])
    states = pipe.text.encode([store.clips[number].captions[0].text])
    pooled = pipe.config["text"]["pooled"]
    cond, known = (states.pooled[:, None], None) if pooled else (states.states, states.valid)
    return joints, kinds_of_steps(joints, violent), kept_steps(pipe.base, codes, cond, known)


def _show(name: str, clips: int, rows: list[Preference]) -> None:
    print(f"{name}: intervals and selection by kind of code step in {clips} clips, over those of all steps")
    for row in rows:
        numbers = ", ".join(
            f"{what.replace('_', ' ')} {some.mean:.2f} [{some.low:.2f}, {some.high:.2f}]"
            for what, some in row.ratios.items()
        )
        print(f"  layer {row.layer}, rate {row.rate:g}, {row.kind} ({100 * row.share:.0f} % of steps): {numbers}")


def _draw(name: str, about: Any, joints: Any, flags: Any, branches: list[Kept], folder: Path) -> None:
    """Return the branch whose intervals vary most."""
    branch = max(branches, key=lambda one: float(one.steps.std() / one.steps.mean()))
    title = f"{name}, layer {branch.layer + 1}, rate {branch.rate:g}: {about.captions[0].text}"
    print(f"wrote {draw_kept(joints, branch, folder / f'{name}-{about.id}.svg', title)}")
