"""The command line: help, examples, exit codes, and the commands around a pipeline that is not needed here."""

import errno
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exuvia import __main__ as cli
from exuvia.commands import generate, import_motion, report, unlearn
from exuvia.commands.table import COMMAND, PART, Entry
from exuvia.config import settings
from exuvia.errors import ConfigError, DataError, OutputError
from exuvia.registry import UNLEARN
from exuvia.unlearning.settings import MethodSettings
from lab.experiments import parts as bench
from lab.ledger import numbers

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Toy:
    """Settings of a command made for a test."""

    failure: str = ""
    """What goes wrong."""
    steps: int = 1
    """A number."""


def toy(config: Toy) -> int:
    """Do as told.

    Returns:
        the steps
    """
    failures: dict[str, BaseException] = {
        "data": DataError("found 3 joints, expected 22; check the skeleton"),
        "stop": KeyboardInterrupt(),
        "full": OSError(errno.ENOSPC, "No space left on device", "out.npy"),
        "locked": OSError(errno.EROFS, "Read-only file system", "out.npy"),
        "pipe": BrokenPipeError(errno.EPIPE, "Broken pipe"),
        "bug": ZeroDivisionError("division by zero"),
        "io": OSError(errno.EINVAL, "Invalid argument"),
    }
    if config.failure:
        raise failures[config.failure]
    return config.steps


@pytest.fixture
def toy_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """`exuvia toy` and the group `exuvia play` on the command line."""
    table = {name: Entry(f"{__name__}:toy", "a toy", ("exuvia toy --steps 3",)) for name in ("toy", "play one")}
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    monkeypatch.setattr(cli, "COMMAND", table)


@pytest.mark.usefixtures("toy_command")
class TestExitCodes:
    """What the shell sees."""

    def test_command_returns_its_code(self) -> None:
        assert cli.main(["toy", "--steps", "0"]) == 0
        assert cli.main(["toy", "--steps", "1"]) == 1
        assert cli.main(["play", "one", "--steps", "0"]) == 0

    def test_bad_input_is_one_sentence_and_two(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["toy", "--failure", "data"]) == 2
        captured = capsys.readouterr()
        assert captured.err == "exuvia: found 3 joints, expected 22; check the skeleton\n"
        assert captured.out == ""

    def test_interruption(self) -> None:
        assert cli.main(["toy", "--failure", "stop"]) == 130

    @pytest.mark.parametrize("failure", ["full", "locked"])
    def test_full_or_locked_disk_is_one_sentence(self, failure: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["toy", "--failure", failure]) == 2
        error = capsys.readouterr().err
        assert "out.npy" in error
        assert error.count("\n") == 1

    @pytest.mark.parametrize(("failure", "kind"), [("bug", ZeroDivisionError), ("io", OSError)])
    def test_a_defect_keeps_its_traceback(self, failure: str, kind: type[Exception]) -> None:
        with pytest.raises(kind):
            cli.main(["toy", "--failure", failure])

    def test_usage_error_is_two_and_suggests(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["toy", "--step", "3"]) == 2
        assert "--steps" in capsys.readouterr().err

    def test_wrong_value_is_two(self) -> None:
        assert cli.main(["toy", "--steps", "many"]) == 2

    def test_unknown_command_suggests_the_nearest(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["toi"]) == 2
        assert "did you mean 'toy'?" in capsys.readouterr().err
        assert cli.main(["play", "two"]) == 2
        assert "unknown command 'play two'" in capsys.readouterr().err

    def test_help_is_zero_and_holds_docstring_and_examples(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["toy", "--help"]) == 0
        text = capsys.readouterr().out
        assert "Do as told." in text
        assert "exuvia toy --steps 3" in text
        assert "the steps" not in text

    def test_without_words_the_list_goes_to_stderr(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main([]) == 2
        assert "play one" in capsys.readouterr().err
        assert cli.main(["play"]) == 2
        assert cli.main(["play", "--help"]) == 0
        assert "play one" in capsys.readouterr().out


def test_a_closed_pipe_is_quiet() -> None:
    script = "import sys; from exuvia.__main__ import main; sys.exit(main(['list', '--kind', 'goldens']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", script], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    script = (
        "import sys; from exuvia.__main__ import main; main(['--help']);"
        "sys.exit(bool({'torch', 'numpy', 'scipy', 'tyro'} & set(sys.modules)))"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert time.perf_counter() - started < 5
    for name in COMMAND:
        assert f"  {name} " in done.stdout


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("exuvia 0.")


@pytest.mark.parametrize(
    ("name", "example"), [(name, example) for name, entry in COMMAND.items() for example in entry.examples]
)
def test_every_example_parses(name: str, example: str) -> None:
    import shlex

    words = shlex.split(example)
    assert words[: 1 + len(name.split())] == ["exuvia", *name.split()]
    cli.parse(name, COMMAND[name], words[1 + len(name.split()) :])


@pytest.mark.parametrize("name", COMMAND)
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*name.split(), "--help"]) == 0
    assert f"exuvia {name}" in capsys.readouterr().out.split("xample", 1)[1]


def test_list_names_methods_and_concepts(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in (*UNLEARN, "violence", ".bvh", ".html", "minilm", "humanml3d"))
    assert cli.main(["list", "--kind", "method"]) == 2


class FakePipe:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.saved: Path | None = None

    def from_pretrained(self, name: str, device: str = "cpu") -> "FakePipe":
        """Itself, whatever the name."""
        return self

    def __call__(self, prompts: list[str], **settings: Any) -> list[Any]:
        """A standing body for every prompt."""
        from exuvia.motion.clip import Clip

        self.calls.append({"prompts": prompts, **settings})
        return [Clip(np.zeros((4, 22, 3), np.float32), caption=prompt) for prompt in prompts]

    def save_pretrained(self, folder: Path) -> None:
        """A folder with one file."""
        self.saved = folder


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> FakePipe:
    """A pipeline without weights in the place of the real one."""
    fake = FakePipe()
    for module in (generate, unlearn, bench):
        monkeypatch.setattr(
            module,
            "part",
            lambda name: {
                "pipeline": fake,
                "unlearn": lambda method, pipe, **settings: _edited(fake, method, settings),
            }[name],
        )
    return fake


def _edited(fake: FakePipe, method: str, settings: dict[str, Any]) -> FakePipe:
    fake.calls.append({"method": method, **settings})
    return fake


def test_generate_writes_one_file(pipe: FakePipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.npy"
    generate.generate(generate.GenerateConfig(("a man walks",), out=out, seed=7, cond_scale=3.0))
    assert np.load(out, allow_pickle=False).shape == (4, 22, 3)
    assert pipe.calls == [{"prompts": ["a man walks"], "seed": [7], "frames": None, "cond_scale": 3.0}]
    assert capsys.readouterr().out.strip() == str(out)


def test_generate_reads_prompt_files_and_names_files_by_prompt(pipe: FakePipe, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a man walks#120\n\nA woman, jumping!#NA\nno length\n")
    out = tmp_path / "out"
    generate.generate(generate.GenerateConfig(file=prompts, out=out, formats=("npy",), repeats=2))
    assert sorted(path.name for path in out.iterdir()) == [
        "0_a_man_walks_seed0.npy", "0_a_man_walks_seed1.npy", "1_a_woman_jumping_seed0.npy",
        "1_a_woman_jumping_seed1.npy", "2_no_length_seed0.npy", "2_no_length_seed1.npy",
    ]  # fmt: skip
    assert pipe.calls[0] == {"prompts": ["a man walks"] * 2, "seed": [0, 1], "frames": [120, 120]}
    assert pipe.calls[1]["frames"] is None
    assert len(pipe.calls[1]["prompts"]) == 4


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (generate.GenerateConfig(), "found no prompt"),
        (generate.GenerateConfig(("  ",)), "found no prompt"),
        (generate.GenerateConfig(("a", "b"), out=Path("x.npy")), "2 motions for the file"),
        (generate.GenerateConfig(("a",), out=Path("x.pmg")), "did you mean '.png'"),
        (generate.GenerateConfig(("a",), formats=("mp5",)), "did you mean '.mp4'"),
        (generate.GenerateConfig(("a",), frames=0), "length of 0"),
        (generate.GenerateConfig(("a",), repeats=0), "0 repeats"),
    ],
)
def test_generate_refuses_before_loading_anything(config: generate.GenerateConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generate.generate(config)


def test_ten_thousand_captions_are_written_as_they_are_made(pipe: FakePipe, tmp_path: Path) -> None:
    path, out = tmp_path / "p.txt", tmp_path / "out"
    path.write_text("".join(f"a man walks {number}\n" for number in range(10_000)))
    written_before = []
    call = pipe.__class__.__call__

    class Counting(FakePipe):
        def __call__(self, prompts: list[str], **settings: Any) -> list[Any]:
            written_before.append(len(list(out.iterdir())) if out.exists() else 0)
            return call(self, prompts, **settings)

    pipe.__class__ = Counting
    generate.generate(generate.GenerateConfig(file=path, out=out, formats=("npy",)))
    assert len(list(out.iterdir())) == 10_000
    sizes = [len(one["prompts"]) for one in pipe.calls]
    assert max(sizes) == generate.AT_ONCE
    assert written_before == [generate.AT_ONCE * n for n in range(len(sizes))]


def test_prompt_files_with_bad_lengths_name_their_line(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("fine\na man walks#0\n")
    with pytest.raises(DataError, match=r"p.txt:2: found the length '0'"):
        generate.read_prompts(path)
    path.write_text("fine\nbad#many\n")
    with pytest.raises(DataError, match=r"p.txt:2: found the length 'many'"):
        generate.read_prompts(path)
    with pytest.raises(DataError, match="not a readable text file"):
        generate.read_prompts(tmp_path / "none.txt")


@settings
class Fade(MethodSettings):
    """Settings of a method made for a test."""

    strength: float = 0.5
    """How much."""
    layers: tuple[int, ...] = (0,)
    """Which."""


class Fader:
    """A method whose settings stand in its own file."""

    Config = Fade

    def __init__(self, config: Fade) -> None:
        self.config = config


def test_a_new_method_brings_its_settings_to_the_command_line(
    pipe: FakePipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(UNLEARN, "fade", f"{__name__}:Fader")
    entry = Entry("exuvia.commands.unlearn:unlearn", "", config="exuvia.commands.unlearn:settings_type")
    words = ["--out", str(tmp_path / "safe"), "--strength", "0.25", "--layers", "1", "2", "--forget", "kick"]
    cli.parse("unlearn fade", entry, words)()
    wanted = {"method": "fade", "forget": "kick", "data": None, "rule": "auto", "strength": 0.25, "layers": (1, 2)}
    assert pipe.calls == [wanted]
    assert "without kick, by fade in" in capsys.readouterr().out


@pytest.mark.parametrize("method", UNLEARN)
def test_unlearn_passes_the_methods_own_settings(method: str, pipe: FakePipe, tmp_path: Path) -> None:
    kind = unlearn.settings_type(f"unlearn {method}")
    unlearn.unlearn(kind(out=tmp_path / "safe", forget="kick"))
    assert pipe.saved == tmp_path / "safe"
    assert (pipe.calls[0]["method"], pipe.calls[0]["forget"]) == (method, "kick")


def test_lcr_takes_the_number_of_codes_on_the_command_line(pipe: FakePipe, tmp_path: Path) -> None:
    assert cli.main(["unlearn", "lcr", "--out", str(tmp_path / "safe"), "--num-codes", "5"]) == 0
    assert pipe.calls[0]["num_codes"] == 5


def test_unlearn_keeps_what_is_in_the_folder(pipe: FakePipe, tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("x")
    kind = unlearn.settings_type("unlearn lcr")
    with pytest.raises(OutputError, match="already exists"):
        unlearn.unlearn(kind(out=tmp_path))
    unlearn.unlearn(kind(out=tmp_path, overwrite=True))


def test_import_converts_and_leaves_bad_files_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (joints,) = bench.made_up_motions(1, 30, seed=0)
    np.save(tmp_path / "good.npy", joints)
    (tmp_path / "bad.bvh").write_text("HIERARCHY\nROOT")
    files = [str(tmp_path / "good.npy"), str(tmp_path / "bad.bvh")]
    assert cli.main(["import", "motion", *files, "--source-fps", "60", "--out", str(tmp_path / "clips")]) == 2
    captured = capsys.readouterr()
    assert "bad.bvh" in captured.err
    assert "1 of 2 files were left out" in captured.err
    assert len(np.load(tmp_path / "clips" / "good.npy", allow_pickle=False)) == 10


def test_import_refuses_two_files_of_one_name() -> None:
    config = import_motion.ImportConfig((Path("a/x.bvh"), Path("b/x.bvh")), Path("out"))
    with pytest.raises(ConfigError, match=r"x.npy"):
        import_motion.targets(config)


def test_bench_features_records_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = tmp_path / "numbers.jsonl"
    bench.bench_features(bench.FeaturesBench(clips=4, frames=40, repeats=2, record=ledger))
    row = json.loads(ledger.read_text())
    assert set(row) == set(numbers.KEYS)
    assert row["name"] == "features.encode_4_clips_s"
    assert 0 < row["low"] <= row["value"] <= row["high"]
    assert "best" in capsys.readouterr().out


def test_bench_lcr_records_time_and_memory(pipe: FakePipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = tmp_path / "numbers.jsonl"
    bench.bench_lcr(bench.LCRBench(record=ledger))
    rows, problems = numbers.read_rows(ledger)
    assert not problems
    assert [row["name"] for row in rows] == ["lcr.edit_s", "lcr.peak_memory_mb"]


def test_report_puts_evaluations_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = tmp_path / "lcr.json", tmp_path / "retrain.json"
    one.write_text(json.dumps({"method": "lcr", "forget": {"fid": {"value": 1.23456, "low": 1.0, "high": 1.5}}}))
    two.write_text(json.dumps({"forget": {"fid": 2.0, "speed": 0.25}, "seeds": [1, 2]}))
    assert cli.main(["report", str(one), str(two)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| | lcr | retrain |", "|---|---|---|", "| forget.fid | 1.235 [1, 1.500] | 2 |", "| forget.speed |  | 0.2500 |",
    ]  # fmt: skip
    assert cli.main(["report", str(one), "--only", "retain"]) == 2
    two.write_text("[]")
    with pytest.raises(DataError, match="no estimates"):
        report.report(report.ReportConfig((two,)))


def test_parts_are_named_once() -> None:
    assert len(set(PART.values())) == len(PART)


def test_ci_script_is_executable_and_reads_nothing() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
