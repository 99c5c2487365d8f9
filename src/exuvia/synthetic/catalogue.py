"""Every action: how it is performed, what it is called, and what people write about it.

In phrases, separated by |, `[verb]` is inflected and {side}, {level}, {n}, {times} and {their} are filled in. A phrase
that names no side, count or level is still true of the clip. Violence is aggression against a person, real or
imagined, or an attack with a weapon; kicks of a ball or in a dance, blocks, dodges, throws and drum beats are not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from exuvia.synthetic import fighting, gestures, moving, posture
from exuvia.synthetic.stage import Part, Stage

BOTH = ("left", "right")


@dataclass(frozen=True)
class Action:
    """One kind of action."""

    name: str
    perform: Callable[[Stage, Part], None]
    label: str
    """Frame label, one of `FRAME_LABELS`."""
    says: str
    """Phrases, separated by |."""
    says_side: str = ""
    """Phrases that name the side, used along with `says` for an action that has one."""
    sides: tuple[str, ...] = ("",)
    """What the side may be; the empty side means both or none."""
    levels: dict[str, str] = field(default_factory=lambda: {"": ""})
    """Variants, each with its words for {level}, separated by |."""
    counts: tuple[int, ...] = (1,)
    """What the number of repetitions may be."""
    violent: bool = False
    concepts: tuple[str, ...] = ()
    """Concepts that the motion shows, named as in the concept table of the data."""
    weight: float = 1.0
    """How often it is drawn."""
    before: str = "stand"
    after: str = "stand"
    """Posture in which it begins, and ends."""
    lively: bool = False
    """Not done in a tired, sad or otherwise calm manner."""

    unfit: tuple[str, ...] = ()
    """Styles in which it would not be called by its name."""

    @property
    def phrases(self) -> tuple[str, ...]:
        """Verb phrases that fit whatever the side."""
        return _split(self.says)

    @property
    def side_phrases(self) -> tuple[str, ...]:
        """Verb phrases that name the side."""
        return _split(self.says_side)

    def words(self, level: str) -> tuple[str, ...]:
        """Ways to say a level."""
        return _split(self.levels[level]) or ("",)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|")) if text.strip() else ()


_MOVING = (
    Action("stand", moving.stand, "stand",
           "[stand] still | [stand] in place | [stand] idle and [look] around a little | [stand] on the spot",
           weight=1.2),
    Action("walk", moving.walk, "walk",
           "[walk] forward | [walk] straight ahead | [walk] {n} steps forward | [take] {n} steps forward | "
           "[walk] in a straight line | [walk] forwards | [stroll] ahead",
           levels={"forward": ""}, counts=(4, 5, 6, 7, 8, 9, 10), weight=4.0),
    Action("walk_backward", moving.walk, "walk_backward",
           "[walk] backwards | [walk] backward | [step] back {n} times | [take] {n} steps backwards | [back] up",
           levels={"backward": ""}, counts=(3, 4, 5, 6, 7), weight=1.5),
    Action("walk_curve", moving.walk, "walk",
           "[walk] forward and [veer] to the {side} | [walk] in a curve to the {side} | "
           "[walk] forward, curving to the {side} | [walk] forward while turning {side}",
           sides=BOTH, levels={"curve": ""}, counts=(6, 7, 8, 9), weight=1.5),
    Action("walk_circle", moving.walk, "walk",
           "[walk] in a circle to the {side} | [walk] around in a circle to the {side} | "
           "[walk] in a circle, turning {side}",
           sides=BOTH, levels={"circle": ""}, counts=(9, 10, 11)),
    Action("run", moving.run, "run", "[run] forward | [run] straight ahead | [sprint] forward | "
           "[run] {n} steps forward",
           levels={"run": ""}, counts=(6, 8, 10, 12), weight=1.5, lively=True, unfit=("slow",)),
    Action("jog", moving.run, "run", "[jog] forward | [jog] ahead | [jog] {n} steps forward | [jog] in a straight line",
           levels={"jog": ""}, counts=(6, 8, 10, 12), weight=1.5, lively=True),
    Action("run_curve", moving.run, "run",
           "[jog] in a curve to the {side} | [jog] forward and [veer] to the {side} | "
           "[jog] forward while turning {side}",
           sides=BOTH, levels={"jog": ""}, counts=(8, 10, 12), lively=True),
    Action("turn", moving.turn, "turn",
           "[turn] {level} to the {side} | [rotate] {level} to the {side} | [turn] {level}, to {their} {side}",
           sides=BOTH,
           levels={"quarter": "90 degrees | a quarter of the way around", "half": "around | 180 degrees",
                   "full": "in a full circle | 360 degrees | all the way around"}, weight=1.5),
    Action("side_step", moving.sidestep, "side_step",
           "[step] to the {side} {times} | [walk] sideways to the {side} | [sidestep] to the {side} {times} | "
           "[move] sideways to the {side}", sides=BOTH, counts=(1, 2, 3, 4), weight=1.5),
    Action("push_object", moving.push_object, "push_object",
           "[push] a heavy box forward | [push] something heavy along | [push] a cart ahead | "
           "[lean] forward and [push] a heavy object with both hands", counts=(4, 5, 6), weight=0.8),
)  # fmt: skip
_POSTURE = (
    Action("sit_down", posture.sit_down, "sit_down",
           "[sit] down | [sit] down on a chair | [take] a seat | [sit] down in a chair", after="sit", weight=1.2),
    Action("sit", posture.sit, "sit", "[sit] still | [remain] seated | [sit] on a chair", before="sit", after="sit"),
    Action("stand_up", posture.stand_up, "stand_up",
           "[stand] up | [stand] up from a chair | [get] up from a chair | [rise] from a seat", before="sit",
           weight=1.2),
    Action("squat", posture.squat, "squat",
           "[squat] {times} | [squat] down and [stand] back up {times} | [bend] {their} knees into a squat {times} | "
           "[squat] down and [come] up again {times}", counts=(1, 2, 3), concepts=("duck_squat",), weight=1.2),
    Action("bow", posture.bow, "bow",
           "[bow] {times} | [bow] forward {times} | [bend] forward at the waist {times} | [bow] from the hips {times}",
           counts=(1, 1, 2)),
    Action("pick_up", posture.pick_up, "pick_up",
           "[pick] something up from the ground | [bend] down and [pick] up an object | "
           "[reach] down to the floor and [pick] something up",
           "[pick] something up from the floor with {their} {side} hand | "
           "[bend] down to grab something with the {side} hand",
           sides=BOTH, weight=1.5),
    Action("jump", posture.jump, "jump",
           "[jump] {level} {times} | [leap] {level} {times} | [jump] {level} with both feet {times}",
           levels={"up": "up | up in the air | in place", "forward": "forward"}, counts=(1, 1, 2, 3),
           concepts=("jump_leap_hop",), weight=2.0, lively=True),
    Action("hop", posture.hop, "hop",
           "[hop] {level} on the {side} leg {times} | [hop] {level} on {their} {side} foot {times} | "
           "[hop] {level} on one leg {times}",
           sides=BOTH, levels={"": "| in place", "forward": "forward"}, counts=(2, 3, 4),
           concepts=("jump_leap_hop",), lively=True),
    Action("jumping_jacks", posture.jumping_jacks, "jump",
           "[do] jumping jacks | [do] {n} jumping jacks | [perform] jumping jacks | "
           "[jump] while spreading arms and legs {times}",
           counts=(2, 3, 4, 5), concepts=("jump_leap_hop",), lively=True),
)  # fmt: skip
_OUT = {"side": "to the side | out to the side", "forward": "to the front | straight ahead",
        "up": "overhead | up | above the head"}  # fmt: skip
_GESTURES = (
    Action("wave", gestures.wave, "wave",
           "[wave] with one hand | [wave] hello | [wave] at someone | [raise] a hand and [wave]",
           "[wave] with {their} {side} hand | [wave] {their} {side} hand | [wave] hello with the {side} arm | "
           "[lift] {their} {side} arm and [wave]",
           sides=BOTH, levels={"": "", "high": "", "low": ""}, counts=(2, 3, 4), weight=2.0),
    Action("wave_both", gestures.wave, "wave", "[wave] with both hands | [wave] both arms | "
           "[raise] both arms and [wave]",
           levels={"": "", "high": ""}, counts=(2, 3, 4)),
    Action("clap", gestures.clap, "clap",
           "[clap] {their} hands {times} | [clap] {times} | [applaud] | [clap] both hands together {times}",
           levels={"": "", "low": "", "high": ""}, counts=(3, 4, 5, 6, 8), weight=1.5),
    Action("raise_arm", gestures.raise_arms, "raise_arms",
           "[raise] {their} {side} arm {level} {times} | [lift] {their} {side} arm {level} {times} | "
           "[raise] the {side} hand {level} {times}", sides=BOTH, levels=_OUT, counts=(1, 1, 2), weight=1.5),
    Action("raise_arms", gestures.raise_arms, "raise_arms",
           "[raise] both arms {level} {times} | [lift] both arms {level} {times} | "
           "[raise] {their} arms {level} {times}",
           levels=_OUT, counts=(1, 1, 2), weight=1.5),
    Action("point", gestures.point, "point", "[point] {level} | [point] at something",
           "[point] {level} with {their} {side} hand | [extend] {their} {side} arm and [point] {level}",
           sides=BOTH, levels={"forward": "forward | ahead", "side": "to the side"}),
    Action("drink", gestures.drink, "drink",
           "[drink] from a cup | [take] a drink | [bring] a cup to {their} mouth and [drink]",
           "[drink] something with {their} {side} hand | [lift] a cup to the mouth with the {side} hand", sides=BOTH),
    Action("throw", gestures.throw, "throw", "[throw] something {level} | [throw] a ball | [throw] an object {level}",
           "[throw] something with {their} {side} hand | [throw] a ball {level} with the {side} arm", sides=BOTH,
           levels={"overhand": "overhand | forward", "underhand": "underhand | from below"},
           concepts=("throw",), weight=1.8, lively=True),
    Action("kick_ball", gestures.kick_ball, "kick_ball",
           "[kick] a ball | [kick] a soccer ball | [kick] a football forward | [take] a shot with a ball",
           "[kick] a ball with {their} {side} foot | [kick] a soccer ball with the {side} leg",
           sides=BOTH, levels={"": "", "run": "", "high": ""}, weight=2.0, lively=True),
    Action("swing_bat", gestures.swing_bat, "swing_bat",
           "[swing] a bat | [swing] a baseball bat | [hit] a ball with a bat | [swing] both arms to hit a ball",
           "[swing] a bat from the {side} | [hit] a ball with a bat from {their} {side} side",
           sides=BOTH, weight=1.2, lively=True),
    Action("drum", gestures.drum, "drum",
           "[beat] a drum | [play] the drums | [beat] a drum with both hands | [drum] with both hands",
           counts=(2, 3, 4, 5)),
    Action("dance", gestures.dance, "dance",
           "[dance] | [dance] in place | [sway] to the music | [dance] from side to side | "
           "[move] {their} hips and arms to music", counts=(3, 4, 5, 6), weight=2.0, lively=True),
    Action("dance_kick", gestures.dance, "dance",
           "[dance] and [kick] {their} legs | [do] a dance with small kicks | "
           "[dance] while kicking {their} legs to the beat",
           levels={"kick": ""}, counts=(3, 4), lively=True),
    Action("look_around", gestures.look_around, "look_around",
           "[look] around | [look] from side to side | [turn] {their} head from side to side", counts=(1, 2)),
    Action("stretch", gestures.stretch, "stretch",
           "[stretch] both arms overhead and [lean] to the {side} | [stretch] to the {side} with both arms up | "
           "[reach] up with both arms and [bend] to the {side}", sides=BOTH),
)  # fmt: skip


def _kick(name: str, says: str, says_side: str, *, level: bool = True, weight: float = 1.0) -> Action:
    levels = {"low": "low | at shin height", "middle": "| at waist height", "high": "high | at head height"}
    return Action(
        name, fighting.kick, "kick", says, says_side, sides=BOTH, levels=levels if level else {"middle": ""},
        counts=(1, 1, 1, 2, 3), violent=True, concepts=("violence", "kick"), lively=True, weight=weight,
    )  # fmt: skip


def _punch(name: str, says: str, says_side: str = "", *, sides: tuple[str, ...] = BOTH, level: bool = True,
           counts: tuple[int, ...] = (1, 1, 2, 3), weight: float = 1.0) -> Action:  # fmt: skip
    levels = {"low": "low | to the body", "middle": "", "high": "high | at head height"}
    return Action(
        name, fighting.punch, "punch", says, says_side, sides=sides, levels=levels if level else {"middle": ""},
        counts=counts, violent=True, concepts=("violence", "punch_jab_box_hit_beat"), lively=True, weight=weight,
    )  # fmt: skip


_FIGHTING = (
    _kick("kick_front", "[kick] {level} {times} | [do] a front kick {level}",
          "[kick] {level} with {their} {side} leg {times} | [kick] forward with the {side} foot {times} | "
          "[lift] {their} {side} leg and [kick] {level} | [do] a front kick with the {side} leg {times}", weight=2.5),
    _kick("kick_side", "[do] a side kick {level} {times} | [kick] {level} to the side {times}",
          "[kick] {level} sideways with {their} {side} leg {times} | [do] a side kick with the {side} leg {times} | "
          "[kick] to the side with {their} {side} foot {times}", weight=1.5),
    _kick("kick_roundhouse", "[do] a roundhouse kick {level} | [throw] a roundhouse kick {times}",
          "[do] a roundhouse kick with the {side} leg {times} | [swing] {their} {side} leg around in a kick {level} | "
          "[kick] {level} with a swing of {their} {side} leg {times}", weight=1.5),
    _kick("kick_back", "[kick] backwards {times} | [do] a back kick {times}",
          "[kick] backwards with {their} {side} leg {times} | [do] a back kick with the {side} foot {times}",
          level=False, weight=0.8),
    Action("kick_knee", fighting.kick, "kick", "[strike] with {their} knee {times} | "
           "[hit] an opponent with a knee {times}",
           "[knee] someone with {their} {side} leg {times} | [strike] with {their} {side} knee {times}", sides=BOTH,
           levels={"middle": ""}, counts=(1, 2, 3), violent=True, concepts=("violence",), weight=0.8, lively=True),
    _punch("punch", "[punch] {times} | [punch] the air {times} | [throw] punches with both hands | "
           "[punch] with both fists | [box] | [hit] an opponent {times}", sides=("",), counts=(2, 3, 4, 5), weight=2.0),
    _punch("jab", "[jab] {level} {times} | [punch] {level} {times}",
           "[jab] {level} with {their} {side} hand {times} | [punch] forward with {their} {side} fist {times} | "
           "[throw] a {side} jab {level} {times} | [punch] {level} with the {side} arm {times}", weight=1.5),
    _punch("cross", "[punch] {level} {times} | [throw] a cross {times}",
           "[punch] {level} with {their} {side} hand {times} | [throw] a {side} cross {times} | "
           "[hit] someone with {their} {side} fist {times}", weight=1.5),
    _punch("hook", "[throw] a hook {level} {times} | [swing] a hook punch {times}",
           "[throw] a {side} hook {level} {times} | [punch] with a {side} hook {times} | "
           "[swing] {their} {side} fist in a hook {times}", weight=1.2),
    _punch("uppercut", "[throw] an uppercut {times} | [do] an uppercut {times}",
           "[throw] an uppercut with {their} {side} hand {times} | [punch] upwards with the {side} fist {times} | "
           "[do] a {side} uppercut {times}", level=False, weight=1.2),
    Action("push", fighting.push, "push",
           "[push] someone {times} | [shove] someone away {times} | [push] an opponent with both hands {times} | "
           "[step] forward and [push] a person away {times}", counts=(1, 1, 2), violent=True, concepts=("violence",),
           weight=1.5, lively=True),
    Action("slash", gestures.slash, "slash",
           "[swing] a sword down {times} | [slash] with a sword {times} | [attack] with a sword held in both hands | "
           "[raise] a sword overhead and [cut] down {times}", counts=(1, 2, 3), violent=True,
           concepts=("violence", "weapons"), lively=True),
    Action("dodge", fighting.dodge, "dodge",
           "[dodge] to the {side} {times} | [lean] to the {side} to dodge {times} | [lean] away to the {side} {times}",
           sides=BOTH, counts=(1, 1, 2), lively=True),
    Action("duck", fighting.dodge, "dodge", "[duck] {times} | [duck] down {times} | [duck] under something {times}",
           counts=(1, 1, 2), concepts=("duck_squat",), lively=True),
    Action("block", fighting.block, "block",
           "[block] {times} | [block] an attack {times}",
           "[block] an attack with {their} {side} arm {times} | [raise] the {side} forearm to block {times}",
           sides=BOTH, counts=(1, 2), lively=True),
)  # fmt: skip

ACTION: dict[str, Action] = {action.name: action for action in (*_MOVING, *_POSTURE, *_GESTURES, *_FIGHTING)}
"""Every action by name."""

FRAME_LABELS: tuple[str, ...] = ("stand", "guard", *sorted({action.label for action in ACTION.values()} - {"stand"}))
"""Vocabulary of the labels of single frames; a frame's label is an index into it."""

VIOLENT_FRAME_LABELS = frozenset(action.label for action in ACTION.values() if action.violent)
"""Frame labels that are violent; each label is either always or never violent."""
