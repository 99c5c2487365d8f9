"""The forgetting report: prompts, cached motions, tables, intervals, and what it says of small sets."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from exuvia import MotionPipeline
from exuvia.data.concepts import VIOLENCE, find_concept
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.errors import CheckpointError, ConfigError
from exuvia.evaluation.judge import Judge
from exuvia.evaluation.metric_table import METRICS, Metric
from exuvia.evaluation.prompt_sets import Generations, PromptSet, built_in_sets, prompt_sets
from exuvia.evaluation.report import Report, read_report
from exuvia.evaluation.sample import Sample
from exuvia.evaluation.suite import evaluate
from exuvia.features.humanml3d import HUMANML3D
from exuvia.judges.classifier import ViolenceDetector
from exuvia.judges.guo import MotionTextEvaluator
from exuvia.judges.metrics import fid, interval, kid, mm_dist
from exuvia.judges.roc import OperatingPoint
from exuvia.shapes import Features
from exuvia.unlearning.base import ship_statistics, unlearn
from made_mocap import mocap_folder
from tiny import tiny_pipeline


class Embedder(MotionTextEvaluator):
    """Captions and motions in a space of 6 dimensions; counts its calls."""

    def __init__(self) -> None:
        self.map = np.random.default_rng(0).standard_normal((263, 6))

    def embed_clips(self, clips: Sequence[Features]) -> Tensor:
        return torch.from_numpy(np.stack([clip.mean(0) @ self.map + 0.01 * len(clip) for clip in clips])).float()

    def embed_text(self, texts: Sequence[str], tokens: Sequence[str | None] | None = None) -> Tensor:
        return torch.tensor([[float(len(text) + i) for i in range(6)] for text in texts]) / 10


class Detector(ViolenceDetector):
    """Sees violence where the pelvis is high."""

    def __init__(self) -> None:
        self.point = OperatingPoint(0.5, 0.9, 0.05)

    def violent_share(self, clips: Sequence[Features]) -> float:
        return float(np.mean([clip[:, 3].mean() > 0.9 for clip in clips]))


class Ranks:
    """The concept is the nearest to the first motion and the third for the others."""

    def first_ranks(self, clips: Sequence[Features]) -> np.ndarray:
        return np.asarray([1, *[3] * (len(clips) - 1)])


class Counted:
    """A generator that counts the motions it makes."""

    def __init__(self, pipe: MotionPipeline) -> None:
        self.pipe, self.made = pipe, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.pipe, name)

    def generate_codes(self, prompts: Sequence[str], **settings: object) -> object:
        self.made += len(prompts)
        return self.pipe.generate_codes(prompts, **settings)  # type: ignore[arg-type]


FEW = {"seeds": (0, 1, 2), "evaluator": Embedder(), "detector": Detector()}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return prepare(mocap_folder(tmp_path_factory.mktemp("made") / "mocap", 60), tmp_path_factory.mktemp("out") / "s")


@pytest.fixture(scope="module")
def pair(store: Store) -> tuple[MotionPipeline, MotionPipeline]:
    pipe = tiny_pipeline()
    pipe.statistics = ship_statistics(pipe, store)
    return pipe, unlearn("lcr", pipe, num_codes=8, min_count=1)


@pytest.fixture(scope="module")
def report(pair: tuple[MotionPipeline, MotionPipeline], store: Store) -> Report:
    return evaluate(pair[1], original=pair[0], data=store, split="train", limit=6, **FEW)  # type: ignore[arg-type]


def test_prompts_are_captions_of_real_clips_and_motions_are_as_long(store: Store) -> None:
    forget, retain, both, alike = prompt_sets(store, VIOLENCE, split="train")
    assert (forget.name, retain.name, both.name, alike.name) == ("forget", "retain", "all", "lookalike")
    assert both.texts == forget.texts + retain.texts
    assert set(forget.texts) <= {"a person kicks with the left leg", "a person kicks with the right leg"}
    assert set(alike.texts) == {"a man picks up a white box"}
    assert not set(forget.texts) & set(retain.texts)
    for some in (forget, retain, alike):
        assert [len(clip) for clip in some.real] == list(some.frames)
        assert all(frames % 4 == 0 and 20 <= frames <= 196 for frames in some.frames)
    assert len(prompt_sets(store, VIOLENCE, split="train", limit=5)[1]) == 5


def test_a_report_has_every_set_generator_and_metric(report: Report) -> None:
    measured = {(row.set, row.method) for row in report.rows}
    assert measured == {
        (s, m) for s in ("forget", "retain", "all", "lookalike") for m in ("original", "edited", "real")
    }
    wanted = {"fid", "kid", "mm_dist", "diversity", "multimodality", "violence_rate", "freeze_rate", "foot_skate_rate"}
    for model in ("original", "edited"):
        assert wanted <= {row.metric for row in report.rows if (row.set, row.method) == ("forget", model)}
    assert not {"fid", "kid"} & {row.metric for row in report.rows if row.method == "real"}
    assert {row.metric for row in report.rows} <= set(METRICS)
    assert any("FID is biased" in note for note in report.notes)
    assert any("finds 90% of violent and 5% of other" in note for note in report.notes)
    assert any("R-precision needs 32" in note for note in report.notes)


def test_numbers_are_those_of_the_metrics(
    report: Report, pair: tuple[MotionPipeline, MotionPipeline], store: Store
) -> None:
    forget = prompt_sets(store, VIOLENCE, split="train", limit=6)[0]
    embed = Embedder()
    real, texts = embed.embed_clips(forget.real), embed.embed_text(forget.texts)
    made = [embed.embed_clips(Generations(pair[1]).motions(forget, seed)) for seed in (0, 1, 2)]
    for name, values in (
        ("fid", [fid(real, x) for x in made]),
        ("kid", [kid(real, x) for x in made]),
        ("mm_dist", [mm_dist(texts, x) for x in made]),
    ):
        (row,) = [r for r in report.rows if (r.set, r.method, r.metric) == ("forget", "edited", name)]
        expected = interval(values)
        assert row.values == pytest.approx(values, rel=1e-6)
        assert row.estimate.low == pytest.approx(expected.low, rel=1e-6)


def test_the_same_run_gives_the_same_report(
    report: Report, pair: tuple[MotionPipeline, MotionPipeline], store: Store
) -> None:
    again = evaluate(pair[1], original=pair[0], data=store, split="train", limit=6, batch_size=5, **FEW)  # type: ignore[arg-type]
    for a, b in zip(report.rows, again.rows, strict=True):
        assert (a.set, a.method, a.metric) == (b.set, b.method, b.metric)
        assert a.values == pytest.approx(b.values, rel=1e-4, abs=1e-6)


def test_an_unchanged_generator_measures_like_its_original(
    pair: tuple[MotionPipeline, MotionPipeline], store: Store
) -> None:
    same = unlearn("lcr", pair[0], strength=0.0)
    found = evaluate(same, original=pair[0], data=store, split="train", limit=4, **FEW)  # type: ignore[arg-type]
    for row in found.rows:
        if row.method == "edited":
            assert row.estimate.mean == found.value(row.set, "original", row.metric)


def test_motions_are_made_once_and_a_killed_run_goes_on(
    pair: tuple[MotionPipeline, MotionPipeline], tmp_path: Path
) -> None:
    many = PromptSet("forget", ("a person kicks",) * 70, (None,) * 70, (20, 24) * 35)
    counted = Counted(pair[0])
    first = Generations(counted, tmp_path).motions(many, 3)  # type: ignore[arg-type]
    assert counted.made == 70
    files = sorted(tmp_path.rglob("*.safetensors"))
    assert len(files) == 4  # codes and motions of two chunks
    smallest = min((f for f in files if "codes" not in f.parts), key=lambda f: f.stat().st_size)
    for path in files:
        if path.stem.partition("-")[2] == smallest.stem.partition("-")[2]:
            path.unlink()
    again = Generations(counted, tmp_path).motions(many, 3)  # type: ignore[arg-type]
    assert counted.made == 70 + 6
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    Generations(counted, tmp_path).motions(many, 4)  # type: ignore[arg-type]
    Generations(counted, tmp_path, steps=2).motions(many, 3)  # type: ignore[arg-type]
    assert counted.made == 76 + 140
    assert not np.array_equal(first[0], first[2]), "equal prompts get different motions"


def test_a_damaged_file_of_the_cache_is_made_again(pair: tuple[MotionPipeline, MotionPipeline], tmp_path: Path) -> None:
    one = PromptSet("forget", ("a person kicks",), (None,), (20,))
    first = Generations(pair[0], tmp_path).motions(one, 0)
    for path in tmp_path.rglob("*.safetensors"):
        path.write_bytes(b"broken")
    assert np.array_equal(Generations(pair[0], tmp_path).motions(one, 0)[0], first[0])


def test_an_edited_codebook_shares_the_codes(pair: tuple[MotionPipeline, MotionPipeline], tmp_path: Path) -> None:
    many = PromptSet("forget", ("a person kicks", "a person walks"), (None,) * 2, (20, 24))
    edited = pair[0].clone()
    edited.tokenizer.quantizer.layers[0].codebook.add_(1.0)
    before, after = Counted(pair[0]), Counted(edited)
    first = Generations(before, tmp_path).motions(many, 0)  # type: ignore[arg-type]
    second = Generations(after, tmp_path).motions(many, 0)  # type: ignore[arg-type]
    assert (before.made, after.made) == (2, 0)
    alone = Generations(edited).motions(many, 0)
    assert any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    for kept, made in zip(second, alone, strict=True):
        np.testing.assert_array_equal(kept, made)


def test_without_data_the_prompts_are_ours_and_the_original_is_the_reference(
    pair: tuple[MotionPipeline, MotionPipeline],
) -> None:
    told: list[tuple[int, int]] = []
    found = evaluate(
        pair[1], original=pair[0], seeds=(0,), limit=2, evaluator=Embedder(), progress=lambda *n: told.append(n)
    )
    assert {row.method for row in found.rows} == {"original", "edited"}
    assert all(len(row.values) == 1 for row in found.rows)
    assert (
        "violence_rate" not in {row.metric for row in found.rows}
        or found.value("forget", "edited", "violence_rate") >= 0
    )
    assert any("No real motion" in note for note in found.notes)
    assert told[-1] == (12, 12)
    assert [len(some) for some in built_in_sets(VIOLENCE)] == [48, 48]


def test_r_precision_where_there_are_enough_motions(pair: tuple[MotionPipeline, MotionPipeline]) -> None:
    found = evaluate(
        pair[0], original=pair[0], seeds=(0,), evaluator=Embedder(), detector=Detector(), limit=32, steps=1
    )
    shares = [found.value("forget", "edited", f"r_precision@{k}") for k in (1, 2, 3)]
    assert 0 <= shares[0] <= shares[1] <= shares[2] <= 1
    assert found.about["sampling"] == "steps=1"


def test_tables_and_files(report: Report, tmp_path: Path) -> None:
    text = str(report)
    assert text.startswith("**forget**")
    assert [cell.strip() for cell in text.splitlines()[2].strip("|").split("|")] == [
        "method",
        "original",
        "edited",
        "real",
    ]
    folder = report.save(tmp_path / "report")
    rows = list(csv.DictReader((folder / "report.csv").open(encoding="utf-8")))
    assert len(rows) == len(report.rows)
    assert {row["metric"]: row["better"] for row in rows}["fid"] == "lower"
    assert read_report(folder) == read_report(folder / "report.json") == report
    assert (folder / "report.md").read_text(encoding="utf-8") == text + "\n"
    with pytest.raises(ConfigError, match="no fid of real on the forget set"):
        report.value("forget", "real", "fid")


def test_two_prompt_sets_never_share_what_a_judge_keeps() -> None:
    judge = Judge(Embedder(), None, (0,))
    for length in range(1, 200):  # sets that die at once: their ids are used again
        texts = judge.questions(PromptSet("forget", ("a" * length,), (None,), (20,))).texts
        assert texts[0, 0] == pytest.approx(length / 10)


def test_mistakes_are_named(pair: tuple[MotionPipeline, MotionPipeline], store: Store) -> None:
    with pytest.raises(ConfigError, match="expected distinct ones"):
        evaluate(pair[1], original=pair[0], seeds=(1, 1), evaluator=Embedder())
    with pytest.raises(ConfigError, match="neither data nor an original"):
        evaluate(pair[1], evaluator=Embedder())
    with pytest.raises(ConfigError, match="did you mean 'violence'"):
        evaluate(pair[1], original=pair[0], benchmark="violense", evaluator=Embedder())
    with pytest.raises(ConfigError, match="no built-in prompts for 'throw'"):
        evaluate(pair[1], original=pair[0], benchmark="throw", evaluator=Embedder())
    with pytest.raises(ConfigError, match="are taken"):
        evaluate(pair[1], original=pair[0], others={"real": pair[0]}, evaluator=Embedder())
    with pytest.raises(ConfigError, match="no forget clip with a caption in the test split"):
        evaluate(pair[1], data=store, benchmark="crawl", evaluator=Embedder())


def test_another_concept_has_no_rate_of_violence_unless_asked(
    pair: tuple[MotionPipeline, MotionPipeline], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> Detector:
        raise CheckpointError("this installation ships no classifier")

    monkeypatch.setattr("exuvia.evaluation.suite.shipped_detector", none)
    found = evaluate(pair[1], data=store, split="train", seeds=(0,), limit=2, evaluator=Embedder())
    assert "violence_rate" not in {row.metric for row in found.rows}


def test_the_page_on_adding_a_metric_is_true(
    pair: tuple[MotionPipeline, MotionPipeline], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "add-a-metric.md").read_text(encoding="utf-8")
    function, line = re.findall(r"(?ms)^```python\n(.*?)^```", page)
    names = {"np": np, "HUMANML3D": HUMANML3D, "Sample": Sample, "Metric": Metric}
    exec(function, names)
    metric = eval(line.rstrip().rstrip(","), names)
    monkeypatch.setitem(METRICS, metric.name, metric)
    report = evaluate(pair[1], original=pair[0], data=store, split="train", limit=4, **FEW)  # type: ignore[arg-type]
    for method in ("edited", "real"):
        assert 0.1 < report.value("forget", method, "pelvis_height_m") < 2
    assert "pelvis_height_m →" in str(report)
    assert metric.column.title == "pelvis, m →"


def test_a_metric_is_left_out_where_it_lacks_what_it_needs(pair: tuple[MotionPipeline, MotionPipeline]) -> None:
    clips = Generations(pair[0]).motions(PromptSet("x", ("a person kicks",) * 2, (None,) * 2, (20, 24)), 0)
    prompts = PromptSet("x", ("a person kicks",) * 2, (None,) * 2, (20, 24))
    bare = Judge(Embedder(), None, (0,))
    assert not {"fid", "violence_rate", "mm_safe", "ncs@1", "multimodality", "r_precision@1"} & set(
        bare.values(prompts, [clips])
    )
    whole = Judge(Embedder(), Detector(), (0, 1), find_concept("kick"), Ranks())  # type: ignore[arg-type]
    values = whole.values(prompts, [clips, clips], clips)
    assert {"fid", "violence_rate", "mm_safe", "ncs@1", "multimodality"} <= set(values)
    assert (values["ncs@1"], values["ncs@2"], values["mean_rank"]) == ([0.5, 0.5], [0.5, 0.5], [2.0, 2.0])
    assert values["multimodality"] == [0.0]
    assert values["fid"] == pytest.approx([0.0, 0.0], abs=1e-6)
