"""Forget and retain sets: the released rule gives the published lists, and the rule `words` considers senses."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from exuvia.data.captions import Caption, read_captions
from exuvia.data.concepts import CONCEPT, VIOLENCE, find_concept
from exuvia.data.prepare import prepare
from exuvia.data.splits import ConceptSplit, Rule, caption_verdict, split_captions, split_store
from exuvia.errors import ConfigError, DataError
from made_mocap import mocap_folder


def says(text: str, concept: str, rule: str = "words") -> str:
    return caption_verdict(Caption(text), find_concept(concept), rule)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "a person kicks", "he kicked twice", "kicking high", "Kicks something with his left leg",
        "a man hits someone", "hitting the air", "she beats him", "a man is beating something",
        "a person boxes with his right hand", "the man shadow boxes", "is boxing", "a boxer moves around",
        "raises his left hand to box", "throws a left hook", "right upper cut", "jabs and punches",
        "kicks a ball and then punches someone",
    ],
)  # fmt: skip
def test_words_find_every_inflection(text: str) -> None:
    assert says(text, "violence") == "yes"


@pytest.mark.parametrize(
    "text",
    [
        "a white box", "mixing egg whites", "lifts a cardboard box", "puts boxes on a shelf", "walks to box",
        "a person kicks a ball back to a child", "dances to the beat", "is hitting two drums", "gets kicked and falls",
        "reacts to a kick, stepping away", "leans back as somebody kicks at them",
        "dodges a punch", "hits the gym", "hits a golf ball", "someone is beat boxing",
        "their hands hit the ground", "hangs the coat on a hook", "a dance with high kicks",
    ],
)  # fmt: skip
def test_look_alikes_are_not_violent(text: str) -> None:
    assert says(text, "violence") != "yes"


def test_the_ball_of_the_foot_is_not_a_ball() -> None:
    assert says("bounces on the balls of their feet and kicks", "violence") == "yes"


@pytest.mark.parametrize(
    ("concept", "yes", "no"),
    [
        ("jump", "he hops twice", "goes to the shop"),
        ("crawl", "a man crept along", "a creepy walk"),
        ("duck", "ducks under a beam", "walks like a duck"),
        ("throw", "throws a stone", "throws a left hook"),
        ("zombie", "walks like a zombie", "does a deadlift"),
        ("gun_shoot", "fires a gun", "shoots a basketball"),
        ("weapons", "stabs with a sword", "a stable stance"),
        ("martial_arts", "practices kung fu", "plays a game"),
    ],
)
def test_other_concepts(concept: str, yes: str, no: str) -> None:
    assert says(yes, concept) == "yes"
    assert says(no, concept) != "yes"


def test_released_rule_matches_letters_and_case() -> None:
    assert says("egg whites", "violence", "released") == "yes"
    assert says("Kicks", "violence", "released") == "no"
    assert caption_verdict(Caption("he moves", "kick/VERB"), VIOLENCE, "released") == "yes"


def test_every_clip_is_in_one_set() -> None:
    captions = {"a": [Caption("kicks"), Caption("moves")], "b": [Caption("kicks"), Caption("punches")], "c": []}
    split = split_captions(captions, VIOLENCE)
    assert split.forget == ("a", "b")
    assert split.retain == ("c",)
    assert split_captions(captions, CONCEPT["none"]).retain == ("a", "b", "c")


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'violence'"):
        find_concept("violense")
    with pytest.raises(ConfigError, match="did you mean 'motionx'"):
        find_concept("violence").words("motion-x")
    with pytest.raises(ConfigError, match="did you mean 'released'"):
        says("kicks", "violence", "release")
    assert find_concept("hop") is CONCEPT["jump_leap_hop"]
    assert "sword" in find_concept("violence").released_keywords("motionx")


def test_a_store_is_split_by_captions_or_by_label(tmp_path: Path) -> None:
    store = prepare(mocap_folder(tmp_path / "mocap", 8), tmp_path / "out")
    by_words = split_store(store, VIOLENCE)
    assert by_words.forget == split_store(store, VIOLENCE, "label").forget
    assert {"000003", "M000003"} <= set(by_words.lookalikes)  # a white box
    assert {"000003"} <= set(split_store(store, VIOLENCE, "released").forget)
    few = split_store(store, VIOLENCE, clips=np.asarray([0, 2]))
    assert len(few.forget) + len(few.retain) == 2
    with pytest.raises(ConfigError, match="clips are not labelled for 'jump_leap_hop'"):
        split_store(store, find_concept("jump"), "label")


@pytest.fixture(scope="module")
def official(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captions")
    archive = shared_data / "mocap" / "humanml3d-captions.tar.xz"
    subprocess.run(["tar", "-xJf", archive, "-C", folder], check=True)
    return folder / "humanml3d-captions"


def split_texts(folder: Path, ids: list[str], rule: Rule) -> ConceptSplit:
    return split_captions({name: read_captions(folder / f"{name}.txt") for name in ids}, VIOLENCE, rule)


def test_official_lists_of_humanml3d(official: Path) -> None:
    lists = {name: (official / f"{name}.txt").read_text().split() for name in ("train", "val", "test")}
    assert {name: len(ids) for name, ids in lists.items()} == {"train": 23384, "val": 1460, "test": 4384}
    test = split_texts(official / "texts", lists["test"], "released")
    assert (len(test.forget), len(test.retain)) == (304, 4080)
    assert {name[1:] for name in test.forget if name[0] == "M"} == {name for name in test.forget if name[0] != "M"}
    complete = split_texts(official / "texts", [*lists["train"], *lists["val"], *lists["test"]], "released")
    assert len(complete.forget) == 1868
    words = split_texts(official / "texts", lists["test"], "words")
    assert set(words.forget) <= set(test.forget)
    assert len(words.lookalikes) > 20
    with pytest.raises(DataError, match="does not exist; expected one caption file"):
        split_texts(official / "texts", ["nothing"], "words")


def test_official_captions_survive_reading_and_writing(official: Path) -> None:
    for name in (official / "test.txt").read_text().split()[:400]:
        path = official / "texts" / f"{name}.txt"
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        assert [caption.line for caption in read_captions(path)] == [
            line.strip().replace("#nan", "#0.0") for line in lines
        ]
