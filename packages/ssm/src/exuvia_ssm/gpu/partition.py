"""Partitions a batch for the GPU into chunks, segments, blocks of channels and lanes.

A *chunk* is STEPS steps of a sequence, which a program holds in registers; a *segment* is a run of chunks of one
sequence, processed by one program; a *lane* is a program of the backward pass, which may process several segments.
Splitting a sequence into segments computes the exponentials twice, and is done only if there are too few programs.

Sequence s begins at slot offsets[s] // per + s of an array with one slot per `per` steps: ascending, not overlapping,
at most R // per + S slots, and computed without a sum over lengths.
"""

import math
from dataclasses import dataclass

STEPS = 16
"""Steps of a chunk, and between two states that are stored for the backward pass."""

WIDTH = 32
"""Channels of a block: one per thread of a program's single warp."""

BUSY = 8
"""Programs that keep the exponential units of a multiprocessor busy (forward pass): two for each of its four units."""

LANES = 16
"""Maximum programs per multiprocessor in the backward pass; more would only lengthen the partial sums."""


@dataclass(frozen=True)
class Plan:
    """Sizes of one call."""

    segment: int
    """steps of a segment, a multiple of STEPS; larger than the number of rows if sequences are not split"""
    segments: int
    """number of slots for segments"""
    lanes: int
    """programs of the backward pass for each block of channels"""
    width: int = WIDTH
    """channels of a block"""

    def per_group(self, channels: int, groups: int) -> int:
        """Return the number of blocks of channels in one group."""
        return math.ceil(channels / groups / self.width)


def plan(rows: int, sequences: int, channels: int, groups: int, processors: int, segment: int | None = None) -> Plan:
    """Partition a batch for a device with this number of multiprocessors; `segment` sets the steps of a segment.

    Sequences are split if less than a third of the programs that keep the device busy would run, into segments of at
    least four chunks, on average at least two per sequence.
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
        raise ValueError(f"found a segment of {segment} steps, expected a multiple of {STEPS}")
    segment = min(segment, whole)
    segments = rows // segment + sequences
    rounds = math.ceil(segments / max(math.ceil(LANES * processors / blocks), 1))
    return Plan(segment, segments, math.ceil(segments / rounds))
