"""Draws a motion with the steps that a branch keeps: poses, speeds of hands and feet, contacts, intervals."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.motion.kinematics import foot_contacts
from exuvia.motion.skeleton import SMPL22
from exuvia.shapes import Joints
from lab.figures import plots, save
from lab.frames import ENDS, FPS, STRIDE, Kept, kinds_of_steps

NAMES = ("left foot", "right foot", "left hand", "right hand")
COLOURS = ("#2563a8", "#0f766e", "#c2410c", "#a21caf")
LIMB, INK = {"left": "#2563a8", "right": "#c2410c"}, "#374151"
METRES_A_POSE = 1.1
"""Width reserved for each drawn pose."""


def draw_kept(joints: Joints, branch: Kept, path: Path, title: str) -> Path:
    """Four panels over time: poses from the side, speeds seen from the pelvis, contacts, and the branch's intervals.

    Args:
        joints: [F, 22, 3] metres
        branch: a branch's resampling of the same clip
        path: .svg or another format of matplotlib
        title: title of the figure
    Raises:
        ConfigError: matplotlib is not installed.
    """
    pyplot = plots()
    figure, panels = pyplot.subplots(4, 1, figsize=(9, 6), sharex=True, height_ratios=(2.4, 2, 0.8, 2))
    seconds = np.arange(len(joints)) / FPS
    stick_figures(panels[0], joints, FPS)
    ends = joints[:, ENDS] - joints[:, :1]
    for name, colour, speed in zip(NAMES, COLOURS, np.linalg.norm(np.diff(ends, axis=0), axis=-1).T * FPS, strict=True):
        panels[1].plot(seconds[1:], speed, color=colour, lw=1, label=name)
    panels[1].set_ylabel("m/s")
    panels[1].legend(loc="lower right", bbox_to_anchor=(1, 0.96), ncols=4, frameon=False, fontsize=7)
    contacts = foot_contacts(joints, FPS)[:, (0, 2)]
    for row, name in enumerate(("left", "right")):
        panels[2].fill_between(seconds[1:], row, row + 0.8 * contacts[:, row], step="mid", color=COLOURS[row], lw=0)
        panels[2].text(-0.01, row + 0.1, f"{name} foot down ", ha="right", fontsize=7)
    panels[2].set_yticks([])
    panels[2].spines["left"].set_visible(False)
    middle = (np.arange(len(branch.steps)) + 0.5) * STRIDE / FPS
    colours = np.where(branch.selected, "#1d4ed8", "#c7cdd6")
    panels[3].bar(middle, branch.steps, width=0.9 * STRIDE / FPS, color=colours)
    panels[3].set_ylabel("interval")
    panels[3].set_xlabel("seconds; blue: selected")
    turns = kinds_of_steps(joints)["reversal"]
    panels[3].scatter(middle[turns], np.full(turns.sum(), branch.steps.max() * 1.08), marker="v", s=14, c="#c2410c")
    panels[3].text(middle[-1], branch.steps.max() * 1.14, "triangle: a hand or foot turns back", ha="right", fontsize=7)
    figure.suptitle(textwrap.fill(title, 100), fontsize=10)
    figure.align_ylabels()
    return save(figure, path)


def stick_figures(place: Any, joints: Joints, fps: float, frames: Sequence[int] | None = None) -> None:
    """Poses over seconds, as wide as they are high, seen across the main direction of the clip's joints.

    Args:
        place: axes of matplotlib
        joints: [F, 22, 3] metres
        fps: frames per second
        frames: those to draw; None: as many as have room, at even times
    """
    ground = (joints - joints[:, :1])[..., (0, 2)].reshape(-1, 2).astype(np.float64)
    across = np.linalg.eigh(ground.T @ ground)[1][:, -1]
    last, top = (len(joints) - 1) / fps, float(joints[..., 1].max())
    place.set_xlim(-0.05 * last, 1.05 * last)
    place.set_ylim(min(0.0, float(joints[..., 1].min())), top)
    box = place.get_window_extent()
    seconds_a_metre = (box.height / top) / (box.width / (1.1 * last))
    if frames is None:
        poses = max(2, int(last / (METRES_A_POSE * seconds_a_metre)) + 1)
        frames = np.linspace(0, len(joints) - 1, poses).astype(int).tolist()
    for frame in frames:
        pose = joints[frame] - joints[frame, :1] * (1, 0, 1)
        for chain in SMPL22.chains:
            x = frame / fps + seconds_a_metre * pose[list(chain)][:, (0, 2)] @ across
            place.plot(x, pose[list(chain), 1], color=LIMB.get(SMPL22.joints[chain[-1]].split("_")[0], INK), lw=1)
    place.set_yticks([])
    place.spines["left"].set_visible(False)
