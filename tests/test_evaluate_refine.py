"""The refined forget set, Motion-X's words, and an evaluator of one's own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exuvia.commands import benchmark as command
from exuvia.data.concepts import VIOLENCE
from exuvia.data.export_humanml3d import export_humanml3d
from exuvia.data.prepare import prepare
from exuvia.data.settings import CorpusConfig
from exuvia.data.splits import ConceptSplit, split_captions, split_store
from exuvia.data.store import Store
from exuvia.errors import ConfigError
from exuvia.evaluation import benchmark
from exuvia.evaluation.benchmark import MethodSpec, Plan, run_benchmark, sets_of
from exuvia.evaluation.prompt_sets import Generations, prompt_sets
from exuvia.evaluation.refine import clips_without_concept
from exuvia.files import write_json
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.readers import read_json
from exuvia.recipes.judges import EvaluatorRecipe
from exuvia.shapes import Features
from exuvia.unlearning.base import unlearn
from tiny import tiny_pipeline


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Synthetic motion."""
    return prepare("synthetic", tmp_path_factory.mktemp("refine") / "store", count=80)


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny generator in a folder."""
    return tiny_pipeline().save_pretrained(tmp_path_factory.mktemp("refine") / "tiny")


class Alternating:
    """Finds the concept near every second motion of the first call, and near none later but the first's."""

    def __init__(self) -> None:
        self.calls = 0

    def first_ranks(self, clips: list[Features]) -> np.ndarray:
        self.calls += 1
        return np.where(np.arange(len(clips)) % 2, 101, 1 + 100 * (np.arange(len(clips)) == 2))


def test_clips_whose_motions_do_not_show_the_concept_move(store: Store, generator: Path, tmp_path: Path) -> None:
    forget = prompt_sets(store, VIOLENCE, limit=6)[0]
    ranker, maker = Alternating(), Generations(MotionPipeline.from_pretrained(generator))
    moved = clips_without_concept(forget, maker, ranker, 2, "key", tmp_path / "refined.json")
    assert moved == tuple(forget.ids[i] for i in range(len(forget)) if i % 2 or i == 2)
    assert clips_without_concept(forget, maker, ranker, 2, "key", tmp_path / "refined.json") == moved
    assert ranker.calls == 2  # the second answer came from the file
    clips_without_concept(forget, maker, ranker, 2, "another", tmp_path / "refined.json")
    assert ranker.calls == 4


def test_a_refined_benchmark_has_the_moved_clips_in_retain(
    store: Store, generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "_ranker", lambda plan, store: Alternating())
    plan = Plan("violence", str(store.folder), (MethodSpec.parse("none"),), pipeline=str(generator), seeds=(0,))
    before = {some.name: some for some in sets_of(plan, store)}
    plan = replace(plan, refine=1)
    results = read_json(run_benchmark(plan, tmp_path / "run", workers=0))
    moved = results["about"]["moved_by_refinement"]
    assert 0 < len(moved) < len(before["forget"])
    assert results["about"]["prompts"]["forget"] == len(before["forget"]) - len(moved)
    assert results["about"]["prompts"]["retain"] == len(before["retain"]) + len(moved)


def test_a_folder_of_another_data_set_is_refused(store: Store, generator: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "run" / "plan.json", {"data_hash": "another"})
    plan = Plan("violence", str(store.folder), (MethodSpec.parse("none"),), pipeline=str(generator))
    with pytest.raises(ConfigError, match="another data set than store"):
        run_benchmark(plan, tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == [tmp_path / "run" / "plan.json"]


def test_forget_and_retain_share_no_clip() -> None:
    with pytest.raises(ConfigError, match="1 clips are in the forget and in the retain set, such as 'b'"):
        ConceptSplit("kick", "words", ("a", "b"), ("b", "c"), ())


def test_a_motionx_folder_is_split_by_its_own_words(store: Store, tmp_path: Path) -> None:
    folder = export_humanml3d(store, tmp_path / "Motion-X")
    chosen = sorted((folder / "texts").glob("*.txt"))[:3]
    for path, text in zip(chosen, ("a man slashes with a sword", "a man fires a gun", "a man hooks"), strict=True):
        path.write_text(f"{text}#{'/X '.join(text.split())}/X#0.0#0.0\n", encoding="utf-8")
    made = prepare(folder, tmp_path / "store", mirror=False)
    assert made.keywords == "motionx"
    assert store.keywords == "humanml3d"
    for rule in ("words", "released"):
        ours = set(split_store(made, VIOLENCE, rule).forget)
        captions = {clip.id: clip.captions for clip in made.clips}
        theirs = set(split_captions(captions, VIOLENCE, rule, "humanml3d").forget)
        slashing, shooting, hooking = (path.stem for path in chosen)
        assert {slashing, shooting} <= ours - theirs
        assert hooking in theirs - ours
    filtered = unlearn("prompt_filter", tiny_pipeline(), data=made)
    again = MotionPipeline.from_pretrained(filtered.save_pretrained(tmp_path / "filtered"))
    assert again.guards[0].detector.flags(["a man slashes with a sword"], lambda texts: None).tolist() == [True]


def test_a_missing_evaluator_is_trained_and_said_so(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[EvaluatorRecipe] = []
    monkeypatch.setattr("exuvia.recipes.judges.train_judge", asked.append)
    config = command.BenchmarkConfig("violence", data=store.folder, evaluator=tmp_path / "mine")
    assert command._evaluator(config) == str(tmp_path / "mine")
    assert asked == [EvaluatorRecipe(out=str(tmp_path / "mine"), corpus=CorpusConfig(data=(str(store.folder),)))]
    assert "training one" in capsys.readouterr().out
    assert command._evaluator(command.BenchmarkConfig("violence")) == ""


def test_ids_go_with_prompts(store: Store) -> None:
    for some in prompt_sets(store, VIOLENCE, limit=5):
        assert len(some.ids) == len(some) > 0
        assert set(some.ids) <= set(store.index_of)
