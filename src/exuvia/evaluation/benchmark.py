"""The unlearning benchmark: all methods edit the same generator, with the same prompts and the same judges.

A run is a folder. Every method runs in its own process. Edited generators, motions and measurements are stored: a
stopped run continues, and an additional method costs only its own time:

    plan.json  models/METHOD/  motions/  found/METHOD.json  report.json  examples.safetensors
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import replace
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from typing_extensions import TypedDict

from exuvia.cache import keep_json, recall_json
from exuvia.checkpoint import find_pipeline, origin, read_config, save_tensors
from exuvia.config import Count, Natural, Seed, settings, to_dict
from exuvia.data.concepts import Concept, find_concept
from exuvia.data.store import Store
from exuvia.errors import ConfigError, ExuviaError, OutputError
from exuvia.evaluation.judge import Judge, is_seen
from exuvia.evaluation.ncs import ConceptRanker, Gallery
from exuvia.evaluation.prompt_sets import Generations, PromptSet, prompt_sets
from exuvia.evaluation.prompts.load import KIND, fingerprint, load_prompts
from exuvia.evaluation.refine import clips_without_concept
from exuvia.evaluation.report import FILE, REAL, Example, Method, Row, report_of
from exuvia.features.humanml3d import HUMANML3D
from exuvia.files import locked, write_json
from exuvia.judges.shipped import shipped_detector, shipped_evaluator, shipped_retrieval
from exuvia.judges.tasks import load_evaluator
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.readers import as_type, read_json
from exuvia.registry import DEFAULT_GENERATOR, UNLEARN, suggest
from exuvia.unlearning.base import unlearn
from exuvia.unlearning.settings import parse_settings

try:
    import resource
except ImportError:  # Windows: no memory is measured there
    resource = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

HEARD_S = 30.0
"""Maximum time between log lines during a benchmark, in seconds."""
WRITTEN_FRAMES = 120
"""Length of motions for prompts without a clip: six seconds."""
EXAMPLES = {"forget": 3, "retain": 2, "implicit": 2, "lookalike": 1}
"""Number of example prompts per set; examples show the motions of all methods under the first seed."""
MEGABYTE = 1e6
RUN_FILES = ("models", "motions", "found", "report", "report.json", "examples.safetensors")
"""Files that a run writes in addition to plan.json."""


@settings
class MethodSpec:
    """One line of the comparison."""

    label: str
    """Name in tables and of files."""
    name: str
    """Key of registry.UNLEARN."""
    settings: Mapping[str, Any]
    """Settings that differ from the defaults."""

    @classmethod
    def parse(cls, text: str) -> "MethodSpec":
        """Parse `lcr`, or `label=lcr` with settings: `lcr16=lcr:num_codes=16,levels=[0,1]`. Raises ConfigError."""
        head, _, tail = text.partition(":")
        label, equals, name = head.partition("=")
        name = name if equals else label
        if name not in UNLEARN:
            raise ConfigError(f"unknown unlearning method {name!r} in {text!r}; {suggest(name, UNLEARN)}")
        if not label.replace("_", "").replace("-", "").replace(".", "").isalnum():
            raise ConfigError(f"found the label {label!r}, expected letters, digits, dots, - and _")
        return cls(label, name, parse_settings(name, tail))


@settings
class Plan:
    """Methods, data and settings of a comparison."""

    concept: str
    data: str
    """Prepared store."""
    methods: tuple[MethodSpec, ...]
    pipeline: str = DEFAULT_GENERATOR
    split: str = "test"
    sensors: tuple[str, ...] = ()
    """Sensors of the clips whose captions are prompts."""
    rule: str = "auto"
    seeds: tuple[Seed, ...] = (0, 1, 2, 3, 4)
    kinds: tuple[str, ...] = ()
    """Kinds of written prompts (evaluation/prompts)."""
    limit: Count | None = None
    """Maximum number of prompts in a set."""
    refine: Natural = 0
    """Number of motions for every forget caption to refine the forget set (refine.py); 0: it is not refined."""
    moved: tuple[str, ...] = ()
    """Ids that the refinement moved to the retain set; set by `run_benchmark`."""
    evaluator: str = ""
    """Folder of the text-motion evaluator; "": the shipped one."""
    threads: Count = 1
    """Number of threads of every process."""

    def __post_init__(self) -> None:
        self.to_forget  # noqa: B018 (raises for an unknown name)
        labels = [spec.label for spec in self.methods]
        if not labels or len(set(labels)) != len(labels):
            raise ConfigError(f"found methods {labels}, expected at least one, each label once")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ConfigError(f"found seeds {self.seeds}, expected distinct ones, at least one")
        for kind in self.kinds:
            if kind not in KIND:
                raise ConfigError(f"unknown kind of prompts {kind!r}; {suggest(kind, KIND)}")

    @cached_property
    def to_forget(self) -> Concept:
        """The concept that `concept` names."""
        return find_concept(self.concept)


def run_benchmark(plan: Plan, out: Path, workers: int = 2, log: Callable[[str], None] = lambda line: None) -> Path:
    """Run the missing methods, write report.json and examples.safetensors, and return the path of report.json.

    Results of another plan in `out` are reused if they also belong to this plan. `log` is called with a line after
    every method. Without `workers`, one method runs after another in this process. Raises ConfigError for unknown
    names, a concept that no clip shows, or a folder of a run on other data; CheckpointError, DataError, and OutputError
    if the folder holds something else or another process runs a benchmark there.
    """
    store = Store.open(Path(plan.data))
    sets_of(plan, store)  # raises now rather than in every process
    read_config(find_pipeline(plan.pipeline), "pipeline")
    with locked(out):
        _check_folder(out, store)
        plan = _refined(plan, store, out, log)
        write_json(out / "plan.json", to_dict(plan) | {"data_hash": store.data_hash})
        specs = [MethodSpec(REAL, REAL, {}), *plan.methods]
        missing = [spec for spec in specs if recall_json(_file(out, spec), _facts(plan, spec, store)) is None]
        for method in _each(plan, missing, out, workers):
            log(f"{method['label']}: {method['status']}, {method['message'] or 'measured'}")
        return _join(plan, out, store)


def _check_folder(out: Path, store: Store) -> None:
    """Raise ConfigError for the folder of a run on other data, OutputError for a folder that is not a run."""
    path = out / "plan.json"
    if not path.exists() and (taken := [name for name in RUN_FILES if (out / name).exists()]):
        raise OutputError(f"{out} holds {taken[0]}, but no plan.json of a benchmark; choose another folder")
    before = as_type(dict[str, Any], read_json(path), path).get("data_hash") if path.is_file() else None
    if before not in (None, store.data_hash):
        raise ConfigError(f"{out} holds a run on another data set than {store.name}; choose another folder")
    if before is None:
        write_json(path, {"data_hash": store.data_hash})


def _refined(plan: Plan, store: Store, out: Path, log: Callable[[str], None]) -> Plan:
    """The plan with the clips that leave the forget set, if it has a refinement. Raises ConfigError."""
    if not plan.refine:
        return plan
    ranker = _ranker(plan, store)
    pipe = MotionPipeline.from_pretrained(plan.pipeline)
    forget = sets_of(replace(plan, kinds=()), store)[0]
    facts = [plan.concept, plan.rule, pipeline_hash(pipe), store.data_hash]
    maker = Generations(pipe, out / "motions")
    moved = clips_without_concept(forget, maker, ranker, plan.refine, facts, out / "refined.json", log)
    return replace(plan, moved=moved)


def _each(plan: Plan, specs: Sequence[MethodSpec], out: Path, workers: int) -> Iterator[dict[str, Any]]:
    """Yield facts of every method as soon as it is finished."""
    if workers < 1:
        yield from (measure_method(plan, spec, out)["method"] for spec in specs)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), max_tasks_per_child=1) as pool:
        started, waiting = time.monotonic(), {pool.submit(measure_method, plan, spec, out) for spec in specs}
        while waiting:
            done, waiting = wait(waiting, HEARD_S, FIRST_COMPLETED)
            yield from (job.result()["method"] for job in done)
            logger.info("%d methods wait, %.0f s so far", len(waiting), time.monotonic() - started)


def measure_method(plan: Plan, spec: MethodSpec, out: Path) -> dict[str, Any]:
    """Edit, generate and judge one method, and write the result to found/LABEL.json. A failed edit is also a result."""
    torch.set_num_threads(plan.threads)
    store = Store.open(Path(plan.data))
    sets = sets_of(plan, store)
    about: dict[str, Any] = {"label": spec.label, "name": spec.name, "settings": dict(spec.settings)}
    about |= {"status": "ok", "message": "", "edit_s": None, "edit_peak_mb": None, "hash": ""}
    rows: list[dict[str, Any]] = []
    pipe = None
    if spec.name != REAL:
        pipe = MotionPipeline.from_pretrained(plan.pipeline)
        try:
            pipe = _edited(plan, spec, pipe, store, out, about)
        except ExuviaError as error:
            about |= {"status": "failed", "message": str(error)}
    if about["status"] == "ok":
        started, before = time.perf_counter(), _peak_mb()
        rows = _measured(plan, pipe, sets, store, out)
        about["evaluation_s"] = time.perf_counter() - started
        about["evaluation_peak_mb"] = _grown_mb(before)
    result = {"method": about, "rows": [{"method": spec.label, **row} for row in rows]}
    keep_json(_file(out, spec), _facts(plan, spec, store), result)
    return result


def _edited(
    plan: Plan, spec: MethodSpec, pipe: MotionPipeline, store: Store, out: Path, about: dict[str, Any]
) -> MotionPipeline:
    """The edited generator, read from models/LABEL if the same edit made it, else made and stored there."""
    folder = out / "models" / spec.label
    facts = [spec.name, dict(spec.settings), plan.concept, plan.rule, pipeline_hash(pipe), store.data_hash]
    costs = recall_json(folder / "edit.json", facts)
    if costs is None:
        started, before = time.perf_counter(), _peak_mb()
        edited = unlearn(
            spec.name, pipe, forget=plan.concept, data=store, rule=plan.rule, cache=out / "cache", **spec.settings
        )
        costs = {"edit_s": time.perf_counter() - started, "edit_peak_mb": _grown_mb(before)}
        edited.save_pretrained(folder, overwrite=True)
        keep_json(folder / "edit.json", facts, costs)
    about |= costs
    edited = MotionPipeline.from_pretrained(folder, text=pipe.text)
    about["hash"] = pipeline_hash(edited)
    return edited


def _measured(
    plan: Plan, pipe: MotionPipeline | None, sets: Sequence[PromptSet], store: Store, out: Path
) -> list[dict[str, Any]]:
    """Values of every metric on every set by seed, for a generator or, without one, for real motions."""
    concept = plan.to_forget.as_in(store.keywords)
    detector = shipped_detector() if is_seen(concept) else None
    evaluator = load_evaluator(Path(plan.evaluator)) if plan.evaluator else shipped_evaluator()
    judge = Judge(evaluator, detector, plan.seeds, concept, _ranker(plan, store))
    maker = None if pipe is None else Generations(pipe, out / "motions")
    rows = []
    for prompts in sets:
        if maker is not None:
            values = judge.values(prompts, [maker.motions(prompts, seed) for seed in plan.seeds], prompts.real)
        elif prompts.real:
            values = judge.values(prompts, [prompts.real], prompts.real, real=True)
        else:
            continue
        rows += [{"set": prompts.name, "metric": name, "values": each} for name, each in values.items()]
    return rows


def _ranker(plan: Plan, store: Store) -> ConceptRanker:
    """Retrieval among the captions of the training split."""
    retrieval = shipped_retrieval()
    captions = [caption for n in store.select(split="train") for caption in store.clips[int(n)].captions]
    gallery = Gallery.of(captions, plan.to_forget.as_in(store.keywords), retrieval.embed_text)
    return ConceptRanker(gallery, retrieval.embed_clips)


def sets_of(plan: Plan, store: Store) -> list[PromptSet]:
    """Captions of the data (forget, retain, all, lookalike), and written prompts that are not blank."""
    chosen: dict[str, Any] = {"rule": plan.rule, "split": plan.split, "sensors": plan.sensors, "limit": plan.limit}
    sets = prompt_sets(store, plan.to_forget, **chosen, moved=plan.moved)
    for kind in plan.kinds:
        prompts = [p for p in load_prompts(kind, plan.to_forget) if not p.is_blank]
        groups = {kind: prompts}
        if KIND[kind].violent is None:
            groups = {f"{kind}_violent": [p for p in prompts if p.violent]}
            groups[f"{kind}_benign"] = [p for p in prompts if not p.violent]
        for name, group in groups.items():
            texts = tuple(p.text for p in group)[: plan.limit]
            name = f"written_{name}" if name == "lookalike" else name
            sets.append(PromptSet(name, texts, (None,) * len(texts), (WRITTEN_FRAMES,) * len(texts)))
    return [prompts for prompts in sets if len(prompts)]


class _Measured(TypedDict):
    """The file of one method."""

    method: Method
    rows: list[Row]


def _join(plan: Plan, out: Path, store: Store) -> Path:
    """Write report.json and examples.safetensors of all methods."""
    files = {spec.label: _file(out, spec) for spec in (MethodSpec(REAL, REAL, {}), *plan.methods)}
    results = {label: as_type(_Measured, read_json(path), path) for label, path in files.items()}
    sets = sets_of(plan, store)
    about = {
        "concept": plan.concept, "data": store.name, "data_hash": store.data_hash, "split": plan.split,
        "sensors": list(plan.sensors), "rule": plan.rule, "seeds": list(plan.seeds), "pipeline": plan.pipeline,
        "prompts": {prompts.name: len(prompts) for prompts in sets}, "written_prompts": fingerprint(),
        "moved_by_refinement": list(plan.moved), "evaluator": plan.evaluator or "shipped",
        **origin(),
    }  # fmt: skip
    rows = [row for result in results.values() for row in result["rows"]]
    methods = [result["method"] for label, result in results.items() if label != REAL]
    report = report_of(about, methods, rows, examples=_examples(plan, sets, out))
    write_json(out / FILE, report.to_dict())
    return out / FILE


def _examples(plan: Plan, sets: Sequence[PromptSet], out: Path) -> list[Example]:
    """Store joints of a few prompts for every method, from the cached motions."""
    tensors: dict[str, torch.Tensor] = {}
    listed: list[Example] = []
    makers = {}
    for spec in plan.methods:
        if (out / "models" / spec.label / "edit.json").is_file():
            pipe = MotionPipeline.from_pretrained(out / "models" / spec.label)
            makers[spec.label] = Generations(pipe, out / "motions")
    for prompts in sets:
        count = min(len(prompts), EXAMPLES.get(prompts.name, 0))
        rows = np.linspace(0, len(prompts) - 1, count).round().astype(int)
        for row in dict.fromkeys(rows.tolist()):
            number, motions = len(listed), {}
            for label, maker in makers.items():
                key = f"{number}.{label}"
                joints = HUMANML3D.recover(maker.motions(prompts, plan.seeds[0])[row])
                tensors[key] = torch.from_numpy(joints).half()
                motions[label] = key
            listed.append(Example(prompts.name, prompts.texts[row], plan.seeds[0], motions))
    if tensors:
        save_tensors(out / "examples.safetensors", tensors)
    return listed


def _file(out: Path, spec: MethodSpec) -> Path:
    return out / "found" / f"{spec.label}.json"


def _facts(plan: Plan, spec: MethodSpec, store: Store) -> list[Any]:
    """Everything that determines the measurements of one method."""
    about = to_dict(plan) | {"methods": [], "data": store.data_hash, "prompts": fingerprint()}
    return [about, to_dict(spec)]


def _peak_mb() -> float | None:
    """Largest resident size of this process so far; None on Windows."""
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MEGABYTE if sys.platform == "darwin" else peak * 1024 / MEGABYTE


def _grown_mb(before: float | None) -> float | None:
    """Growth of the largest resident size."""
    now = _peak_mb()
    return None if now is None or before is None else max(0.0, now - before)
