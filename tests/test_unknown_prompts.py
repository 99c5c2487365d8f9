"""Prompts that a caption encoder does not know: they are named in one warning, and their files have names."""

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia.commands.generate import GenerateConfig, requests
from exuvia.data.concepts import find_concept
from exuvia.evaluation.prompts.load import KIND, load_prompts
from exuvia.pipeline.stream import Scene
from exuvia.text import tags
from exuvia.text.hashed import HashedText
from exuvia.text.minilm import MiniLM
from exuvia.text.tags import unknown_words, warn_of_unknown
from tiny import tiny_pipeline

OTHER_LETTERS = (
    "一个人向前走", "人走", "человек идёт вперёд", "رجل يمشي", "एक आदमी चलता है", "男の人が歩く", "🙂🕺", "!!!",
    "ἄνθρωπος",
)  # fmt: skip
OTHER_LANGUAGES = (
    "un hombre camina hacia adelante", "ein Mann geht vorwärts", "una persona patea con la pierna derecha",
    "człowiek idzie do przodu", "bir adam yürüyor", "un uomo cammina in avanti", "asdfgh qwrtz xyzzy", "kljsdf",
)  # fmt: skip
ENGLISH = (
    "a man walks", "A person does a cartwheel, then backflips!", "twirls", "cartwheels", "someone kickboxes",
    "the café's man turns 45° – slow…", "he steps 2.5 m → left", "tai chi", "moonwalk", "１２ steps",
)  # fmt: skip


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(tags, "_warned", set())
    caplog.set_level(logging.WARNING)
    return caplog


@pytest.mark.parametrize("prompt", OTHER_LETTERS)
def test_other_letters_are_unknown_to_every_encoder(prompt: str, encoder: MiniLM) -> None:
    assert unknown_words(prompt)
    assert unknown_words(prompt, encoder.tokenizer) == unknown_words(prompt)


@pytest.mark.parametrize("prompt", OTHER_LANGUAGES)
def test_other_languages_and_gibberish_are_unknown_to_a_vocabulary(prompt: str, encoder: MiniLM) -> None:
    assert set(unknown_words(prompt, encoder.tokenizer)) <= set(prompt.split())
    assert unknown_words(prompt, encoder.tokenizer)


@pytest.mark.parametrize("prompt", ENGLISH)
def test_english_is_known(prompt: str, encoder: MiniLM) -> None:
    assert unknown_words(prompt, encoder.tokenizer) == []
    assert unknown_words(prompt) == []


def test_written_english_prompts_are_known_but_for_those_that_are_none(encoder: MiniLM) -> None:
    prompts = [one.text for kind in KIND if kind != "empty" for one in load_prompts(kind, find_concept("violence"))]
    assert len(prompts) > 100
    assert [prompt for prompt in prompts if unknown_words(prompt, encoder.tokenizer)] == []


def test_one_warning_names_all_words_and_says_them_once(encoder: MiniLM, said: pytest.LogCaptureFixture) -> None:
    prompts = ["a man walks", "一个人向前走", "a man walks 🙂", "一个人向前走"]
    warn_of_unknown(prompts, encoder)
    warn_of_unknown(prompts, encoder)
    (record,) = said.records
    assert record.levelno == logging.WARNING
    assert "'一个人向前走', '🙂'" in record.getMessage()
    assert "English" in record.getMessage()
    assert "walks" not in record.getMessage()


def test_a_warning_stays_short(said: pytest.LogCaptureFixture) -> None:
    warn_of_unknown([chr(0x4E00 + number) * 900 for number in range(30)], HashedText())
    assert len(said.records[0].getMessage()) < 600
    assert "and 22 more" in said.records[0].getMessage()


def test_generators_warn_alone_in_batches_and_in_scenes(said: pytest.LogCaptureFixture) -> None:
    pipe = tiny_pipeline()
    pipe("a man walks", frames=20)
    assert not said.records
    pipe(["a man walks", "идёт"], frames=20)
    list(pipe.stream([Scene("走", 40)]))
    assert [record.getMessage().count("English") for record in said.records] == [1, 1]


@given(st.lists(st.text(max_size=300).filter(str.strip), min_size=1, max_size=5), st.integers(1, 3))
def test_file_names_are_distinct_safe_and_short(prompts: list[str], repeats: int) -> None:
    wanted = requests(GenerateConfig(prompts=tuple(prompts), repeats=repeats, seed=2**31))
    names = [one.name for one in wanted]
    assert len({name.casefold() for name in names}) == len(prompts) * repeats
    for name in names:
        assert len(f".{name}-12345678.html".encode()) <= 255
        assert not set(name) & set('/\\:*?"<>|. \n\r\t\0')
        assert Path(name).name == name


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("一个人向前走", "0_一个人向前走"), ("Человек идёт!", "0_человек_идёт"), ("🙂", "0"), ("एक आदमी", "0_एक_आदमी"),
        ("a man walks, 2 m", "0_a_man_walks_2_m"), ("../../etc/passwd", "0_etc_passwd"), ("走" * 200, "0_" + "走" * 40),
    ],
)  # fmt: skip
def test_file_names_keep_letters_of_every_script(prompt: str, name: str) -> None:
    (one,) = requests(GenerateConfig(prompts=(prompt,)))
    assert one.name == name
