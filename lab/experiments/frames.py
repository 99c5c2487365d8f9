"""`python -m lab frames`: which frames of real motion the SeRpEnt layers of a generator keep."""

import shlex
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
from lab.draw_frames import draw_kept
from lab.frames import Kept, Preference, kept_steps, kinds_of_steps, preferences
from lab.ledger.document import check_place, fill_file
from lab.ledger.numbers import record_number


@settings(kw_only=True)
class FramesBench:
    """Which generator, on what."""

    pipeline: Path
    """Pipeline folder with a SeRpEnt backbone, as configs/backbones.sh makes it."""
    data: Path = Path("stores/mocap")
    """Folder made by `exuvia prepare`."""
    split: str = "test"
    """Of the clips."""
    sensors: tuple[str, ...] = ()
    """Only clips of these sensors, such as optical; all without it."""
    limit: int = 300
    """At most so many captioned clips."""
    name: str = ""
    """In the ledger and in titles; the folder's name, or that of the one above `packed`, without it."""
    draw: Path | None = None
    """Folder for pictures of a few clips."""
    ids: tuple[str, ...] = ()
    """Clips to draw, by name; without it those with the most reversals."""
    record: Path | None = None
    """Ledger to append the results to."""
    document: Path | None = None
    """Markdown file whose part between <!--table:frames.NAME--> and <!--/table--> gets the table."""


PICTURES = 4
"""Clips that are drawn unless told which."""


def bench_frames(config: FramesBench) -> None:
    """Compare the learned intervals at contacts, reversals, fast, still and violent steps with those of all steps.

    Examples:
        python -m lab frames --pipeline runs/backbones/serpent/packed --data stores/mocap --sensors optical

    Raises:
        ConfigError: the generator has no SeRpEnt layer, matplotlib is not installed for a picture, or a clip to draw is
            not among those looked at.
        CheckpointError: the pipeline cannot be loaded.
        DataError: the data cannot be read, hold no captioned clip of this kind, or the document has no place.
        OutputError: a picture, the ledger or the document cannot be written.
    """
    name = config.name or (config.pipeline.parent if config.pipeline.name == "packed" else config.pipeline).name
    if config.document is not None:
        check_place(config.document, f"frames.{name}")
    pipe, store = MotionPipeline.from_pretrained(config.pipeline), Store.open(config.data)
    chosen = {"split": config.split, **({"sensor": list(config.sensors)} if config.sensors else {})}
    numbers = [int(n) for n in store.select(**chosen) if store.clips[int(n)].captions][: config.limit]
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
    if config.record is not None:
        _record(config, name, rows)
    if config.document is not None:
        fill_file(config.document, f"frames.{name}", table(name, rows))


def _record(config: FramesBench, name: str, rows: list[Preference]) -> None:
    assert config.record is not None
    words = ["python", "-m", "lab", "frames", "--pipeline", str(config.pipeline), "--data", str(config.data)]
    words += ["--split", config.split, *(["--sensors", *config.sensors] if config.sensors else [])]
    words += ["--name", config.name] if config.name else []
    line = shlex.join([*words, "--limit", str(config.limit), "--record", str(config.record)])
    for row in rows:
        for what, some in row.ratios.items():
            place = f"{_tag(name, row)}.{what}"
            record_number(config.record, place, some.mean, unit="1", command=line, low=some.low, high=some.high)


def _tag(name: str, row: Preference) -> str:
    return f"frames.{name}.layer{row.layer}.{row.rate:g}.{row.kind}"


def table(name: str, rows: list[Preference]) -> str:
    """Markdown: how much likelier a kind is kept than other steps of its clip, in brackets than any step of all clips.

    A line a compressed branch, a column a kind; `clear` where the range within clips does not hold 1.
    """
    shares = {row.kind: row.share for row in rows}
    lines = [f"| {name} | {' | '.join(shares)} |", "|---" * (len(shares) + 1) + "|"]
    branches = dict.fromkeys((row.layer, row.rate) for row in rows if row.rate < 1)
    for layer, rate in branches:
        mine = {row.kind: row for row in rows if (row.layer, row.rate) == (layer, rate)}
        cells = [_cell(name, mine[kind]) for kind in shares]
        lines.append(f"| layer `{layer + 1}`, rate `{rate:g}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(name: str, row: Preference) -> str:
    within, overall = row.ratios["kept_in_clip"], row.ratios["kept"]
    clear = "" if within.low <= 1 <= within.high else ", clear"
    quotes = [
        f"<!--n:{_tag(name, row)}.{what}-->{some.mean:.2f}<!--/n-->"
        for what, some in (("kept_in_clip", within), ("kept", overall))
    ]
    return f"{quotes[0]}{clear} ({quotes[1]})"


def _clip(pipe: Any, store: Any, number: int) -> tuple[Any, dict[str, Any], list[Kept]]:
    """Joints, kinds of steps and branches of one clip under its first caption."""
    codes = torch.from_numpy(
        encode_clips(store, [number], pipe.tokenizer, pipe.normaliser, levels=1)[0][:, 0].astype(np.int64)
    )
    joints = np.asarray(store.joints(number)[: 4 * len(codes)])
    labels, violent = store.frame_labels(number), None
    if labels is not None:
        names = store.frame_label_names
        violent = np.isin(labels, [names.index(one) for one in VIOLENT_FRAME_LABELS if one in names])
    states = pipe.text.encode([store.clips[number].captions[0].text])
    pooled = pipe.config["text"]["pooled"]
    cond, known = (states.pooled[:, None], None) if pooled else (states.states, states.valid)
    return joints, kinds_of_steps(joints, violent), kept_steps(pipe.base, codes, cond, known)


def _show(name: str, clips: int, rows: list[Preference]) -> None:
    print(f"{name}: intervals and selection by kind of code step in {clips} clips, over those of all steps")
    for row in rows:
        told = ", ".join(
            f"{what.replace('_', ' ')} {some.mean:.2f} [{some.low:.2f}, {some.high:.2f}]"
            for what, some in row.ratios.items()
        )
        print(f"  layer {row.layer}, rate {row.rate:g}, {row.kind} ({100 * row.share:.0f} % of steps): {told}")


def _draw(name: str, about: Any, joints: Any, flags: Any, branches: list[Kept], folder: Path) -> None:
    """The branch whose intervals differ most."""
    branch = max(branches, key=lambda one: float(one.steps.std() / one.steps.mean()))
    title = f"{name}, layer {branch.layer + 1}, rate {branch.rate:g}: {about.captions[0].text}"
    print(f"wrote {draw_kept(joints, branch, folder / f'{name}-{about.id}.svg', title)}")
