"""How a batch is cut up for the GPU: chunks, segments, blocks of channels, lanes.

A *chunk* is STEPS steps of a sequence, what a program holds in registers; a *segment* is a run of chunks of one
sequence that one program goes through; a *lane* is a program of the backward pass, which may go through several
segments. Cutting a sequence into segments costs the exponentials twice, and is done where there would be too few
programs otherwise.

Sequence s begins at slot offsets[s] // per + s of an array with a slot for every `per` steps: ascending, never
overlapping, at most R // per + S slots, and no sum over lengths has to be waited for.
"""

import math
from dataclasses import dataclass

STEPS = 16
"""Steps of a chunk, and between two states that are kept for the backward pass."""

WIDTH = 32
"""Channels of a block: one for each thread of a program's only warp."""

BUSY = 8
"""Programs a multiprocessor that keep its exponential units (the forward pass) busy: two for each of four."""

LANES = 16
"""Programs a multiprocessor at most for the backward pass; more would only make the partial sums longer."""


@dataclass(frozen=True)
class Plan:
    """Sizes of one call."""

    segment: int
    """steps of a segment, a multiple of STEPS; more than there are rows: sequences are not cut"""
    segments: int
    """slots for segments"""
    lanes: int
    """programs of the backward pass for each block of channels"""
    width: int = WIDTH
    """channels of a block"""

    def per_group(self, channels: int, groups: int) -> int:
        """Blocks of the channels of one group."""
        return math.ceil(channels / groups / self.width)


def plan(rows: int, sequences: int, channels: int, groups: int, processors: int, segment: int | None = None) -> Plan:
    """Cut a batch for a device with so many multiprocessors; `segment` asks for segments of so many steps.

    Sequences are cut where less than a third of the programs that keep the device busy would run, into segments of at
    least four chunks, at least two a sequence on the average.
    """
    blocks = groups * math.ceil(channels / groups / WIDTH)
    whole = (rows // STEPS + 1) * STEPS
    wanted = BUSY * processors
    if segment is None:
        steps = math.ceil(rows * blocks / max(wanted, 1) / STEPS) * STEPS
        steps = max(steps, 4 * STEPS)
        cut = 3 * sequences * blocks <= wanted and 2 * steps * sequences <= rows
        segment = steps if cut else whole
    elif segment <= 0 or segment % STEPS:
        raise ValueError(f"a segment is a multiple of {STEPS} steps, found {segment}")
    segment = min(segment, whole)
    segments = rows // segment + sequences
    rounds = math.ceil(segments / max(math.ceil(LANES * processors / blocks), 1))
    return Plan(segment, segments, math.ceil(segments / rounds))
