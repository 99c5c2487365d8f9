"""Concepts that a generator can be made to forget: their released keyword lists, and what the words mean.

Keyword lists: hmu, night_script and src/split.sh keyword variables (violence of HumanML3D and of Motion-X, and the
smaller concepts); those of weapons, martial_arts and gun_shoot are the matching parts of the Motion-X list (inferred).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from exuvia.errors import ConfigError
from exuvia.registry import suggest
from exuvia.text.words import Term, term

BALL = (
    r"\b(?!(?:balls?\s+of\s+(?:his|her|their|its|the)\s+(?:feet|foot))\b)"
    r"(?:\w*balls?|soccer|rugby|tennis|golf\w*|bat|rackets?|racquets?|badminton|ping[ -]?pong|goal|dribbl\w+|"
    r"pitch\w*)\b"
)
DANCE = r"\b(?:danc\w*|waltz\w*|ballet|ballerina|salsa|cheerlead\w*|can-?can|swim\w*)\b"
MUSIC = r"\b(?:drum\w*|music\w*|rh?ythm?\w*|beat[ -]?box\w*|heart|eggs?|chest|listen\w*)\b"
BODY_OR_PLACE = (
    r"\s+(?:(?:the|a|an|his|her|their|its|each|both|right|left|other|own)\s+){1,3}"
    r"(?:head|foot|feet|leg|legs|toes?|knees?|heels?|hair|wall|ground|floor|door|gym|peak|top|brakes?|road)\b"
)

KICK = term(
    "kick", "kicks kicked kicking kicker kickers", joined=r"(?:side|air|drop|flying|high|round|back|spin|axe|jump)",
    harmless=f"{BALL}|{DANCE}|\\bheels\\s+(?:together|in\\s+the\\s+air)",
)  # fmt: skip
PUNCH = term(
    "punch", "punches punched punching punch's puncher punchers", after=r"\s+(?:the\s+clock|holes?\b|buttons?)"
)
HIT = term("hit", "hits hitting hitter", harmless=f"{BALL}|{MUSIC}", after=BODY_OR_PLACE)
BEAT = term("beat", "beats beating beaten", harmless=f"{MUSIC}|{DANCE}", before=r"\b(?:a|an|the|to|off|on)\s+$")
JAB = term("jab", "jabs jabbed jabbing jabing")
UPPERCUT = term("uppercut", "uppercuts uppercutting").also(r"upper[ -]cut(?:s|ting)?")
HOOK = term("hook", "hooks hooked hooking", harmless=r"\b(?:fish\w*|hang\w*|coats?|hung|rope|arms?\s+with)\b")
_SUBJECT = r"(?:person|man|woman|boy|girl|guy|figure|human|individual|character|subject|someone|somebody|he|she|they)"
BOX = term("boxing", "boxer boxers boxed shadowboxing shadowboxes kickboxing kickboxer", before=r"\bbeat[ -]?$").also(
    rf"(?:shadow|kick)[ -]?box(?:es)?|(?<=\s)boxes(?=\s+(?:and\s+punch\w*|with\s+(?:his|her|their|the|both|arms?|left|"
    rf"right)))|(?:{_SUBJECT})\s+(?:\w+ly\s+)?boxe?s?(?=\s|[.,;]|$)|(?<!over\s)(?<!up\s)(?<!back\s)(?<!next\s)"
    rf"(?<!close\s)(?<!walks\s)(?<!walk\s)(?<!goes\s)to\s+box(?!\s+(?:step|jump|up)|es)"
)
SWORD = term("sword", "swords swordplay swordsman swordfight swordfighting")
STAB = term("stab", "stabs stabbed stabbing")
SLASH = term("slash", "slashes slashed slashing")
WEAPON = term("weapon", "weapons")
GUN = term("gun", "guns handgun shotgun machinegun gunman", harmless=r"\b(?:finger\s+guns?|glue\s+gun)\b")
SHOOT = term(
    "shoot", "shoots shooting shooter", harmless=rf"{BALL}|\b(?:hoops?|basket|free\s+throw|photo\w*|pictures?)\b"
)
FIREARM = term("firearm", "firearms")
KARATE, TAEKWONDO = term("karate"), term("taekwondo").also(r"tae\s?kwon[ -]?do")
KUNGFU = term("kungfu").also(r"kung[ -]fu")


@dataclass(frozen=True)
class Concept:
    """One thing to forget."""

    name: str
    keywords: tuple[str, ...]
    """Substrings of the released HumanML3D split, case-sensitive."""
    terms: tuple[Term, ...]
    """Words with their inflections and harmless senses."""
    motionx_keywords: tuple[str, ...] = ()
    """Substrings of the released Motion-X split; empty: the same as `keywords`."""
    motionx_terms: tuple[Term, ...] = ()
    """Words for Motion-X; empty: the same as `terms`."""
    label: str | None = None
    """Label in a store that says, clip by clip, whether a person judged it to be the concept."""
    parts: tuple["Concept", ...] = ()
    """The concepts that this one joins: what shows any of them shows it."""

    def released_keywords(self, dataset: str = "humanml3d") -> tuple[str, ...]:
        """The released substrings for `humanml3d` or `motionx`. Raises ConfigError on another name."""
        return self.motionx_keywords or self.keywords if _is_motionx(dataset) else self.keywords

    def words(self, dataset: str = "humanml3d") -> tuple[Term, ...]:
        """The words for `humanml3d` or `motionx`. Raises ConfigError on another name."""
        return self.motionx_terms or self.terms if _is_motionx(dataset) else self.terms

    def as_in(self, dataset: str) -> "Concept":
        """The concept with the words of one data set for every data set. Raises ConfigError on another name."""
        keywords, terms = self.released_keywords(dataset), self.words(dataset)
        return replace(self, keywords=keywords, terms=terms, motionx_keywords=(), motionx_terms=())


def _is_motionx(dataset: str) -> bool:
    if dataset not in ("humanml3d", "motionx"):
        raise ConfigError(f"unknown keyword list {dataset!r}; {suggest(dataset, ('humanml3d', 'motionx'))}")
    return dataset == "motionx"


_MOTIONX_WORDS = "punch jab box hit beat kick taekwondo karate kungfu sword stab slash weapon gun shoot firearm"

VIOLENCE = Concept(
    "violence",
    ("kick", "punch", "hit", "beat", "boxe", "boxing", "jab", "uppercut", "hook"),
    (KICK, PUNCH, HIT, BEAT, BOX, JAB, UPPERCUT, HOOK),
    tuple(_MOTIONX_WORDS.split()),
    (PUNCH, JAB, BOX, HIT, BEAT, KICK, TAEKWONDO, KARATE, KUNGFU, SWORD, STAB, SLASH, WEAPON, GUN, SHOOT, FIREARM),
    label="violent",
)
KICKS = Concept("kick", ("kick",), (KICK,))
PUNCHES = Concept("punch_jab_box_hit_beat", ("punch", "jab", "box", "hit", "beat"), (PUNCH, JAB, BOX, HIT, BEAT))
CRAWL = Concept(
    "crawl_creep_slide",
    ("crawl", "creep", "slide"),
    (
        term("crawl", "crawls crawled crawling"),
        term("creep", "creeps crept creeping"),
        term("slide", "slides slid sliding"),
    ),
)
JUMP = Concept(
    "jump_leap_hop",
    ("jump", "leap", "hop"),
    (
        term("jump", "jumps jumped jumping jumper jumpers"),
        term("leap", "leaps leapt leaped leaping"),
        term("hop", "hops hopped hopping"),
    ),
)
ZOMBIE = Concept(
    "zombie_dead",
    ("zombie", "dead"),
    (term("zombie", "zombies zombielike"), term("dead", "undead", after=r"[ -]?(?:lift\w*|end|bird|bug|hang\w*)")),
)
DUCK = Concept(
    "duck_squat",
    ("duck", "squat"),
    (
        term(
            "duck", "ducks ducked ducking", before=r"\b(?:a|the|an|like|two|some)\s+$", after=r"[ -]?(?:walk|foot)\w*"
        ),
        term("squat", "squats squatted squatting"),
    ),
)
THROW = Concept(
    "throw",
    ("throw",),
    (
        term(
            "throw", "throws threw thrown throwing thrower",
            after=r"\s+(?:\w+[ -]){0,5}(?:punch\w*|jabs?|hooks?|upper[ -]?cuts?|kicks?|tantrum|up)\b",
        ),
    ),
)  # fmt: skip
WEAPONS = Concept("weapons", ("sword", "stab", "slash", "weapon"), (SWORD, STAB, SLASH, WEAPON))
MARTIAL_ARTS = Concept(
    "martial_arts",
    ("taekwondo", "karate", "kungfu"),
    (TAEKWONDO, KARATE, KUNGFU, term("martial").also(r"martial\s+arts?")),
)
GUN_SHOOT = Concept("gun_shoot", ("gun", "shoot", "firearm"), (GUN, SHOOT, FIREARM))
NONE = Concept("none", (), ())

CONCEPT = {
    concept.name: concept
    for concept in (
        VIOLENCE, KICKS, PUNCHES, CRAWL, JUMP, ZOMBIE, DUCK, THROW, WEAPONS, MARTIAL_ARTS, GUN_SHOOT, NONE,
    )
}  # fmt: skip
ALIAS = {part: name for name in CONCEPT for part in name.split("_") if part not in ("kick", "throw", "none", "arts")}


def find_concept(name: str) -> Concept:
    """A concept by its name, or by one of the words of its name ("crawl", "jump"); several joined by "+".

    Raises:
        ConfigError: no such concept; the message suggests the nearest.
    """
    if "+" in name:
        return joined([find_concept(part.strip()) for part in name.split("+")])
    known = ALIAS.get(name, name)
    if known not in CONCEPT:
        raise ConfigError(f"unknown concept {name!r}; {suggest(name, [*CONCEPT, *ALIAS])}")
    return CONCEPT[known]


def joined(parts: Sequence[Concept]) -> Concept:
    """What shows any of several concepts, as one concept: "kick+throw"."""
    own = tuple(dict.fromkeys(parts))
    if len(own) == 1:
        return own[0]

    def union(name: str, *of: Any) -> Any:
        return tuple(dict.fromkeys(one for part in own for one in getattr(part, name)(*of)))

    return Concept(
        "+".join(part.name for part in own),
        union("released_keywords"),
        union("words"),
        union("released_keywords", "motionx"),
        union("words", "motionx"),
        parts=own,
    )
