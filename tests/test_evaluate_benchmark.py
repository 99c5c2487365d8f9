"""The benchmark: plans, processes, resuming, failures as results, and what is written."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from exuvia.__main__ import main
from exuvia.commands.benchmark import methods_of
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.errors import ConfigError
from exuvia.evaluation.benchmark import MethodSpec, Plan, measure_method, run_benchmark, sets_of
from exuvia.evaluation.report import read_report
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.readers import read_json
from exuvia.registry import UNLEARN
from exuvia.studio.catalogue import describe_method
from exuvia.unlearning.base import unlearn
from exuvia.unlearning.uce import projections
from tiny import tiny_pipeline


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Synthetic motion."""
    return prepare("synthetic", tmp_path_factory.mktemp("bench") / "store", count=80)


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny generator in a folder."""
    return tiny_pipeline().save_pretrained(tmp_path_factory.mktemp("bench") / "tiny")


def plan_of(store: Store, generator: Path, *methods: str, **more: object) -> Plan:
    """A small plan."""
    specs = tuple(MethodSpec.parse(text) for text in methods)
    settings = {"seeds": (0, 1), "limit": 3, "kinds": ("implicit", "long")} | more
    return Plan("violence", str(store.folder), specs, pipeline=str(generator), **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run(store: Store, generator: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a method that fails."""
    out = tmp_path_factory.mktemp("bench") / "run"
    run_benchmark(plan_of(store, generator, "none", "prompt_filter", "odd=lcr:levels=[9]"), out, workers=0)
    return out


def test_every_method_stands_on_every_set(run: Path) -> None:
    results = read_json(run / "report.json")
    sets = set(results["about"]["prompts"])
    assert {"forget", "retain", "all", "implicit", "long_violent", "long_benign"} <= sets
    for method in ("none", "prompt_filter"):
        assert {row["set"] for row in results["rows"] if row["method"] == method} == sets
    assert {row["set"] for row in results["rows"] if row["method"] == "real"} <= sets
    for row in results["rows"]:
        assert len(row["values"]) in (1, 2)
        assert np.isfinite(row["values"]).all()
        assert row["metric"] in results["metrics"]


def test_a_failing_method_is_a_line_and_not_a_traceback(run: Path) -> None:
    (odd,) = [one for one in read_json(run / "report.json")["methods"] if one["label"] == "odd"]
    assert odd["status"] == "failed"
    assert "level" in odd["message"]
    assert "- odd failed: " in str(read_report(run))


@pytest.mark.slow
def test_processes_give_the_same(run: Path, store: Store, generator: Path, tmp_path: Path) -> None:
    run_benchmark(plan_of(store, generator, "none", "prompt_filter", "odd=lcr:levels=[9]"), tmp_path / "run", workers=2)
    assert read_json(tmp_path / "run" / "report.json")["rows"] == read_json(run / "report.json")["rows"]


def test_costs_and_examples_are_kept(run: Path) -> None:
    results = read_json(run / "report.json")
    costs = {one["label"]: one for one in results["methods"]}
    assert costs["none"]["edit_s"] >= 0
    assert costs["none"]["evaluation_s"] > 0
    joints = load_file(run / "examples.safetensors")
    for example in results["examples"]:
        assert set(example["motions"]) == {"none", "prompt_filter"}
        shapes = {joints[key].shape for key in example["motions"].values()}
        assert len(shapes) == 1
        assert shapes.pop()[1:] == (22, 3)


def test_prompts_that_pass_the_filter_move_alike(run: Path) -> None:
    rows = {(r["method"], r["set"], r["metric"]): r["values"] for r in read_json(run / "report.json")["rows"]}
    for metric in ("mean_joint_speed_m_per_s", "violence_rate"):
        assert rows["none", "implicit", metric] == rows["prompt_filter", "implicit", metric]


def test_a_second_call_measures_only_what_is_new(run: Path, store: Store, generator: Path) -> None:
    before = (run / "found" / "none.json").stat().st_mtime_ns
    lines: list[str] = []
    run_benchmark(plan_of(store, generator, "none", "still=prompt_filter:instead=a man sits"), run, 0, lines.append)
    assert [line.split(":")[0] for line in lines] == ["still"]
    assert (run / "found" / "none.json").stat().st_mtime_ns == before
    lines.clear()
    run_benchmark(plan_of(store, generator, "none", seeds=(0,)), run, 0, lines.append)  # another plan: nothing is kept
    assert {line.split(":")[0] for line in lines} == {"real", "none"}


def test_a_killed_process_leaves_nothing_half_written(store: Store, generator: Path, tmp_path: Path) -> None:
    plan = plan_of(store, generator, "none", kinds=(), seeds=(0,))
    first = measure_method(plan, plan.methods[0], tmp_path)
    (tmp_path / "found" / "none.json").unlink()  # as if killed before the last file; motions and the model are kept
    motions = {path: path.stat().st_mtime_ns for path in (tmp_path / "motions").rglob("*.safetensors")}
    again = measure_method(plan, plan.methods[0], tmp_path)
    assert again["rows"] == first["rows"]
    assert motions == {path: path.stat().st_mtime_ns for path in (tmp_path / "motions").rglob("*.safetensors")}


def test_written_prompts_of_the_concept_and_none_that_is_blank(store: Store, generator: Path) -> None:
    kinds = ("implicit", "empty", "long", "lookalike")
    sets = {some.name: some for some in sets_of(plan_of(store, generator, "none", limit=None, kinds=kinds), store)}
    assert len(sets["implicit"]) >= 60
    assert all(text.strip() for text in sets["empty"].texts)
    assert {"written_lookalike", "long_violent", "long_benign"} <= set(sets)


def test_specs_are_parsed_and_wrong_ones_named() -> None:
    assert MethodSpec.parse("lcr") == MethodSpec("lcr", "lcr", {})
    spec = MethodSpec.parse("lcr16=lcr:num_codes=16,destination=random,levels=[0]")
    assert spec.settings == {"num_codes": 16, "destination": "random", "levels": [0]}
    assert MethodSpec.parse("lcr16=lcr:num_codes=16,alpha=1.0").settings == {"num_codes": 16, "alpha": 1.0}
    for text, settings in (
        ("lcr:levels=[0,1]", {"levels": [0, 1]}),
        ("lcr:levels=(0,1),noise=once", {"levels": [0, 1], "noise": "once"}),
        ("lcr:levels=0", {"levels": [0]}),
        ("lcr:orthogonal=true,alpha=None", {"orthogonal": True, "alpha": None}),
        ("uce:forget_words=kick,target=5", {"forget_words": ["kick"], "target": "5"}),
        (
            "uce:forget_words=[kick,'a punch, thrown'],target=",
            {"forget_words": ["kick", "a punch, thrown"], "target": ""},
        ),
        ("esd:tune.steps=50,eta=2", {"tune": {"steps": 50}, "eta": 2}),
        ("retrain:weights=runs/d_r", {"weights": "runs/d_r"}),
    ):
        assert MethodSpec.parse(text).settings == settings
    for text, message in (
        ("lcx", "did you mean 'lcr'"),
        ("lcr:codes=3", "LCRConfig has no setting 'codes'; did you mean 'num_codes'"),
        ("lcr:num_codes=many", "found num_codes 'many', expected a whole number"),
        ("lcr:levels=[0,x]", r"found levels\[1\] 'x', expected a whole number"),
        ("lcr:levels=[0,0]", "expected distinct level numbers"),
        ("esd:tune.step=5", "did you mean 'tune.steps'"),
        ("a/b=lcr", "the label 'a/b'"),
        ("lcr:codes", "setting=value"),
    ):
        with pytest.raises(ConfigError, match=message):
            MethodSpec.parse(text)
    labels = [spec.label for spec in methods_of(("lcr", "quick"), "runs/d_r")]
    assert labels[:2] == ["none", "retrain"]
    assert len(labels) == len(set(labels))


def test_methods_come_in_groups_by_their_cost() -> None:
    labels = {name: [spec.label for spec in methods_of((name,), None)] for name in ("quick", "slow", "all")}
    assert labels["quick"] == ["none", "prompt_filter", "uce", "rece", "lcr"]
    assert labels["slow"] == ["none", "finetune", "esd", "negation"]
    assert set(labels["all"]) == {*labels["quick"], *labels["slow"]}


def test_bad_plans_are_one_sentence(store: Store, generator: Path, tmp_path: Path) -> None:
    for more, message in (
        ({"seeds": ()}, "expected distinct ones"),
        ({"kinds": ("explict",)}, "did you mean 'explicit'"),
    ):
        with pytest.raises(ConfigError, match=message):
            plan_of(store, generator, "none", **more)
    with pytest.raises(ConfigError, match="each label once"):
        plan_of(store, generator, "none", "none")
    with pytest.raises(ConfigError, match="no forget clip"):
        run_benchmark(Plan("zombie_dead", str(store.folder), (MethodSpec.parse("none"),)), tmp_path / "run")


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "violense", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    assert "violense" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_what_is_refused_leaves_no_folder(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "benchmark",
        "violence",
        "--data",
        str(store.folder),
        "--methods",
        "none",
        "--out",
        str(tmp_path / "run"),
    ]
    judge = tmp_path / "judge"
    for more, message in (
        (["--pipeline", str(store.folder)], "is not a run folder"),
        (["--workers", "-1"], "expected 0 to 256"),
        (["--refine", "-1"], "expected 0 to 1000"),
        (["--seeds", "0", "0", "--evaluator", str(judge)], "expected distinct ones"),
    ):
        assert main([*command, *more]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "run").exists()
        assert not judge.exists(), "an evaluator is trained for a sound plan only"


def test_tables_hold_every_number(run: Path) -> None:
    report = read_report(run)
    text = str(report)
    for name in report.about["prompts"]:
        assert f"**{name}**" in text


def test_the_page_on_adding_a_method_is_true(generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[1] / "docs" / "add-a-method.md").read_text(encoding="utf-8")
    (tmp_path / "deaf_method.py").write_text(re.findall(r"(?ms)^```python\n(.*?)^```", page)[0], encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(UNLEARN, "deaf", "deaf_method:Deaf")
    assert MethodSpec.parse("half=deaf:strength=0.5").settings == {"strength": 0.5}
    assert "deaf" in [spec.label for spec in methods_of(("quick",), None)]
    assert describe_method("deaf")["settings"][0]["maximum"] == 1
    pipe = MotionPipeline.from_pretrained(generator)
    deaf = unlearn("deaf", pipe)
    half = unlearn("deaf", pipe, strength=0.5)
    for old, new, less in zip(*(projections(one) for one in (pipe, deaf, half)), strict=True):
        assert old.weight.abs().max() > 0
        assert not new.weight.any()
        torch.testing.assert_close(less.weight, old.weight / 2)
    with pytest.raises(ConfigError, match="strength 2"):
        unlearn("deaf", pipe, strength=2.0)
