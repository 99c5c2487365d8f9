"""The benchmark's own prompts: what every kind promises, the rules of their files, how concepts select."""

import re
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from exuvia.data.concepts import CONCEPT, KICKS, VIOLENCE, find_concept
from exuvia.errors import ConfigError
from exuvia.evaluation.prompts.load import (
    FOLDER,
    KIND,
    MARK,
    RULE,
    Prompt,
    fingerprint,
    library,
    load_prompts,
)
from exuvia.pipeline.settings import check_prompts
from exuvia.readers import read_toml
from exuvia.text.hashed import HashedText
from exuvia.text.minilm import MiniLM
from exuvia.text.words import judge

ALL = load_prompts()
BY_ID = {prompt.id: prompt for prompt in ALL}
LETTERS = {
    letters
    for name in ("violence", "weapons", "martial_arts", "gun_shoot")
    for dataset in ("humanml3d", "motionx")
    for letters in CONCEPT[name].released_keywords(dataset)
}
PINNED = dict.fromkeys(KIND, 1), "64857cdada3bf2c3"
"""Versions of the files and the fingerprint that belongs to them."""


def ids(prompt: Prompt) -> str:
    return prompt.id


def same_text(text: str) -> str:
    """Words of a text, equal for texts that differ in capitals, blanks and punctuation only; else the text itself."""
    return " ".join(re.findall(r"\w+", text.casefold())) or text


@pytest.mark.parametrize("kind", KIND)
def test_every_kind_has_sixty_prompts_numbered_without_gaps(kind: str) -> None:
    prompts = load_prompts(kind)
    assert len(prompts) >= 60
    assert [p.id for p in prompts] == [f"{kind}-{n:03d}" for n in range(1, len(prompts) + 1)]
    assert {p.kind for p in prompts} == {kind}


def test_a_changed_prompt_counts_its_version_up() -> None:
    versions = {kind: file.version for kind, file in library().items()}
    assert (versions, fingerprint()) == PINNED, "count up `version` of the changed file, then pin both again"


@pytest.mark.parametrize("kind", KIND)
def test_every_file_says_who_wrote_it_how_and_under_which_licence(kind: str) -> None:
    file = library()[kind]
    assert (file.licence, file.author) == ("MIT", "written for Exuvia")
    assert len(file.written.split()) >= 8
    assert file.rules


def test_no_two_prompts_differ_in_capitals_blanks_and_punctuation_only() -> None:
    twice = [text for text, count in Counter(same_text(p.text) for p in ALL).items() if count > 1]
    assert not twice


def test_mark_of_the_words_rule_is_what_the_rule_says() -> None:
    wrong = [p.id for p in ALL if p.fires != (judge(p.text, RULE) == "yes")]
    assert not wrong


@pytest.mark.parametrize("kind", ["implicit", "compositional", "empty"])
def test_prompts_without_keyword_have_not_even_its_letters(kind: str) -> None:
    found = [(p.id, letters) for p in load_prompts(kind) for letters in LETTERS if letters in p.text.lower()]
    assert not found


def test_every_written_prompt_is_a_caption_in_one_line_without_regional_spelling() -> None:
    regional = re.compile(
        r"\b(towards?|practi[sc]\w+|colou?r\w*|gr[ae]y|cent(er|re)|met(er|re)s?|soccer|football|anti?-?clockwise"
        r"|counter-?clockwise|sidewalk|pavement|apartment|flat ?mate|trousers|pants)\b"
    )
    for prompt in ALL:
        if prompt.kind != "empty":
            assert prompt.text == " ".join(prompt.text.split()), prompt.id
            assert prompt.text.isascii(), prompt.id
            assert not regional.search(prompt.text), prompt.id
            assert not prompt.text.endswith("."), prompt.id


def edits(a: str, b: str) -> int:
    """Insertions, deletions and replacements that lead from one text to the other."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        last, row = row, [i]
        for j, y in enumerate(b, start=1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y)))
    return row[-1]


SIGNS = str.maketrans("0134!", "oieai")


@pytest.mark.parametrize("prompt", load_prompts("misspelling"), ids=ids)
def test_misspelling_is_its_source_but_for_a_few_letters(prompt: Prompt) -> None:
    source = BY_ID[str(prompt.source)]
    assert source.kind == "explicit"
    assert source.concepts == prompt.concepts
    plain = [re.sub(r"[^a-z]", "", text.lower().translate(SIGNS)) for text in (prompt.text, source.text)]
    damaged = sum(judge(word, RULE) == "yes" for word in re.findall(r"\w+", source.text))
    assert edits(*plain) <= 2 * max(1, damaged)


def test_paraphrase_says_it_in_other_words() -> None:
    for prompt in load_prompts("paraphrase"):
        source = BY_ID[str(prompt.source)]
        assert source.kind == "explicit"
        assert prompt.concepts == source.concepts
        assert edits(prompt.text, source.text) > 0.4 * max(len(prompt.text), len(source.text)), prompt.id
    assert sum(p.fires for p in load_prompts("paraphrase")) < 20, "most get past a filter of words"


def test_explicit_paraphrase_and_misspelling_are_parallel() -> None:
    for kind in ("paraphrase", "misspelling"):
        assert [p.source for p in load_prompts(kind)] == [p.id for p in load_prompts("explicit")]


def test_long_prompts_are_long_and_half_of_them_violent() -> None:
    prompts = load_prompts("long")
    assert min(len(p.text.split()) for p in prompts) >= 40
    assert sum(p.violent for p in prompts) * 2 == len(prompts)
    assert {p.fires for p in prompts if p.violent} == {p.fires for p in prompts if not p.violent} == {True, False}
    check_prompts([p.text for p in prompts])


def test_place_of_the_act_in_long_prompts_is_as_written() -> None:
    terms = re.compile("|".join(rf"\b(?:{term.pattern})\b" for term in RULE), re.IGNORECASE)
    for number, prompt in enumerate(load_prompts("long")[:32], start=1):
        if prompt.fires:
            first = len(prompt.text[: terms.search(prompt.text).start()].split())  # type: ignore[union-attr]
            early, middle, late = first < 8, 8 <= first < 28, first >= 28
            assert (early, middle, late)[(number > 12) + (number > 23)], (prompt.id, first)


def test_empty_prompts_are_short_and_only_blank_ones_are_refused() -> None:
    for prompt in load_prompts("empty"):
        assert len(prompt.text.split()) <= 6
        assert not prompt.concepts
        if prompt.is_blank:
            with pytest.raises(ConfigError):
                check_prompts([prompt.text])
        else:
            check_prompts([prompt.text])
    assert BY_ID["empty-001"].text == ""


@pytest.mark.parametrize("encoder", [HashedText, MiniLM])
def test_every_prompt_passes_the_caption_encoders(encoder: type[HashedText] | type[MiniLM]) -> None:
    try:
        made = encoder()
    except ConfigError as error:
        pytest.skip(str(error))
    encoded = made.encode([p.text for p in ALL])
    assert torch.isfinite(encoded.pooled).all()
    assert torch.isfinite(encoded.states).all()
    assert encoded.valid.any(1).all()
    assert torch.allclose(encoded.pooled.norm(dim=1), torch.ones(len(ALL)), atol=1e-4)


def test_a_concept_selects_its_own_prompts_and_those_of_none() -> None:
    kicks = load_prompts(concept=KICKS)
    assert all("kick" in p.concepts or not p.concepts for p in kicks)
    assert "explicit-001" in {p.id for p in kicks}
    assert "explicit-025" not in {p.id for p in kicks}
    assert set(load_prompts("empty")) < set(kicks)
    assert load_prompts("implicit", VIOLENCE) == load_prompts("implicit")
    assert all(len(load_prompts(kind, CONCEPT[name])) >= 7 for kind in KIND for name in MARK.values())


def test_explicit_kicks_and_punches_agree_with_the_words_of_their_concepts() -> None:
    only = {"kick": "kick", "punch": "punch_jab_box_hit_beat"}
    for prompt in load_prompts("explicit"):
        for mark, name in only.items():
            if judge(prompt.text, CONCEPT[name].words()) == "yes":
                assert mark in prompt.concepts or "weapon" in prompt.concepts, prompt.id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "implict"}, "did you mean 'implicit'"),
        (
            {"concept": find_concept("crawl")},
            "no built-in prompts for 'crawl_creep_slide'; known: violence, kick, punch, weapon",
        ),
    ],
)
def test_unknown_kinds_and_concepts_get_one_sentence(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_prompts(**arguments)


def test_ids_and_marks_keep_the_rules() -> None:
    for prompt in ALL:
        assert re.fullmatch(rf"{prompt.kind}-[0-9]{{3}}", prompt.id)
        assert set(prompt.concepts) <= set(MARK), prompt.id
        assert len(set(prompt.concepts)) == len(prompt.concepts), prompt.id
        assert "violence" in prompt.concepts or not (prompt.concepts or prompt.violent), prompt.id


def test_entries_do_not_repeat_what_their_kind_or_source_decides() -> None:
    for kind, rules in KIND.items():
        decided = {name for name in ("violent", "fires") if getattr(rules, name) is not None} | {"kind"}
        decided |= {"concepts"} if rules.has_source else {"source"}
        file = read_toml(FOLDER / f"{kind}.toml")
        assert file["kind"] == kind
        assert not [entry["id"] for entry in file["prompts"] if decided & entry.keys()]


def test_no_prompt_is_a_caption_of_humanml3d(shared_data: Path) -> None:
    archive = shared_data / "mocap" / "humanml3d-captions.tar.xz"
    if not archive.is_file():
        pytest.skip("the captions of HumanML3D are not there")
    captions = set()
    with tarfile.open(archive) as opened:
        for member in opened:
            if member.isfile() and "/texts/" in member.name and not Path(member.name).stem.startswith("M"):
                lines = opened.extractfile(member).read().decode("utf-8", "replace").splitlines()  # type: ignore[union-attr]
                captions |= {same_text(line.split("#")[0]) for line in lines}
    assert len(captions) > 10_000
    assert not [p.id for p in ALL if same_text(p.text) in captions and not p.is_blank]


def test_the_page_gives_the_counts_of_the_files() -> None:
    page = Path(__file__).resolve().parents[1] / "docs" / "prompts.md"
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", page.read_text(encoding="utf-8"), re.M)
    written = {kind: tuple(map(int, counts)) for kind, *counts in rows}
    assert written == {
        kind: (len(prompts), *(sum(mark in p.concepts for p in prompts) for mark in ("kick", "punch", "weapon")))
        for kind in KIND
        if (prompts := load_prompts(kind))
    }
