"""Processing source clips for the store: check, mirror and encode them; a bad clip is skipped with its reason."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from exuvia.data.licences import commercial
from exuvia.data.record import ClipRecord
from exuvia.data.shards import ReadyClip, Skipped
from exuvia.data.sources import RawClip, Source
from exuvia.errors import DataError, ExuviaError, ShapeError
from exuvia.features.representation import Representation
from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.readers import parse_json
from exuvia.shapes import Features, Joints

OTHER_SIDE = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Item:
    """One clip of a source, and whether it may get a mirrored twin."""

    source: Source
    number: int
    may_twin: bool
    commercial: bool = False
    """Whether to leave it out if its licence does not allow commercial use."""

    @property
    def id(self) -> str:
        """Id of the clip."""
        return self.source.ids[self.number]


def make_ready(items: Sequence[Item], layout: Representation) -> tuple[list[ReadyClip], list[Skipped]]:
    """The usable clips, checked and encoded, with twins behind their train clips; and the others with reasons."""
    raws: list[RawClip] = []
    skipped: list[Skipped] = []
    for item in items:
        try:
            raw = item.source.read(item.number)
            if item.commercial and not commercial(raw.licence):
                raise DataError(f"its licence does not allow commercial use: {raw.licence or 'none stated'}")
            raw = _checked(raw, layout)
        except Exception as error:  # a damaged clip must not stop the others
            skipped.append(Skipped(item.id, _reason(error)))
            continue
        raws.append(raw)
        if item.may_twin and raw.split == "train":
            raws.append(mirrored(raw, layout))
    unencoded = [raw.joints for raw in raws if raw.features is None and raw.joints is not None]
    has_target = bool(layout.skeleton.lengths_m)  # without it, all clips here are twins of retargeted published clips
    encoded = iter(layout.encode(unencoded, retarget=has_target))
    ready: list[ReadyClip] = []
    for raw in raws:
        features = next(encoded) if raw.features is None else raw.features
        try:
            if not np.isfinite(features).all():
                raise DataError("its features come out as NaN or infinite")
            ready.append(_ready(raw, features))
        except (ExuviaError, ValueError, TypeError) as error:
            skipped.append(Skipped(raw.id, _reason(error)))
    return ready, skipped


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ExuviaError) else f"{type(error).__name__}: {error}"


def mirrored(raw: RawClip, layout: Representation) -> RawClip:
    """Mirrored twin of a clip: x negated, sides of joints, captions and labels exchanged, 'M' in front of the id.

    The source's class name (`label`) does not change, since it names a file or class of that source.
    """
    assert raw.joints is not None
    joints = raw.joints[:, list(layout.skeleton.mirror)] * np.asarray([-1.0, 1.0, 1.0], np.float32)
    labels = {name: OTHER_SIDE.get(v, v) if isinstance(v, str) else v for name, v in raw.labels.items()}
    return replace(
        raw,
        id=f"M{raw.id}",
        joints=joints,
        features=None,
        captions=tuple(caption.mirrored() for caption in raw.captions),
        labels={**labels, "mirrored": True},
        provenance={**raw.provenance, "mirror_of": raw.id},
    )


def _checked(raw: RawClip, layout: Representation) -> RawClip:
    """The clip with valid joints at the layout's rate. Raises DataError or ShapeError."""
    labels = {"mirrored": False, **raw.labels}
    if raw.features is not None:
        _check_array(raw.features, (layout.dim,), 1, "features")
    joints = raw.joints
    if joints is None:
        if raw.features is None:
            raise DataError("found neither joints nor features")
        joints = layout.recover(raw.features)
    _check_array(joints, (layout.skeleton.num_joints, 3), 2, "joints")
    if raw.features is not None and len(joints) - len(raw.features) not in (0, 1):
        raise DataError(f"found {len(raw.features)} feature rows for {len(joints)} frames, expected one less or equal")
    if raw.frame_labels is not None and raw.frame_labels.shape != (len(joints),):
        raise DataError(f"found frame labels {raw.frame_labels.shape} for {len(joints)} frames")
    if abs(raw.fps - layout.fps) > 1e-3:
        if layout.skeleton is not SMPL22 or raw.features is not None or raw.frame_labels is not None:
            raise DataError(f"found {raw.fps} frames a second, expected {layout.fps}")
        joints = Clip(joints, fps=raw.fps).resampled(layout.fps).joints
    return replace(raw, joints=np.ascontiguousarray(joints, np.float32), fps=layout.fps, labels=labels)


def _check_array(values: Joints | Features, inner: tuple[int, ...], least: int, what: str) -> None:
    if values.ndim != 1 + len(inner) or values.shape[1:] != inner or not np.issubdtype(values.dtype, np.floating):
        raise ShapeError(f"found {what} {values.dtype} {list(values.shape)}, expected floats [frames, {inner}]")
    if len(values) < least:
        raise ShapeError(f"found {len(values)} frame(s) of {what}, expected at least {least}")
    bad = int((~np.isfinite(values)).reshape(len(values), -1).any(1).sum())
    if bad:
        raise ShapeError(f"found NaN or infinite {what} in {bad} of {len(values)} frames")


def _ready(raw: RawClip, features: Features) -> ReadyClip:
    assert raw.joints is not None
    same = ("id", "source", "split", "fps", "captions", "caption_kind", "licence", "sensor")
    record = ClipRecord(
        **{name: getattr(raw, name) for name in same},
        frames=len(raw.joints),
        rows=len(features),
        labels=_plain(raw.labels),
        has_frame_labels=raw.frame_labels is not None,
        provenance=_plain(raw.provenance),
    )
    return ReadyClip(record, raw.joints, features, raw.frame_labels)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Values for JSON: NumPy numbers and arrays become plain ones, and values of unknown types their text."""
    text = json.dumps(values, default=lambda v: v.tolist() if isinstance(v, np.generic | np.ndarray) else str(v))
    return cast(dict[str, Any], parse_json(text, "the facts about a clip"))
