"""The command line: help, examples, exit codes, and the commands around a pipeline that is not needed here."""

import errno
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import options
import pytest

from exuvia import __main__ as cli
from exuvia.commands import generate, import_motion, unlearn
from exuvia.commands.table import COMMAND, RENAMED, Entry
from exuvia.config import settings
from exuvia.errors import ConfigError, DataError, OutputError
from exuvia.registry import UNLEARN
from exuvia.unlearning.settings import MethodSettings
from lab.table import COMMAND as EXPERIMENT
from made_mocap import body

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
    script = "import sys; from exuvia.__main__ import main; sys.exit(main(['list', '--kind', 'concepts']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", script], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    script = (
        "import sys; from exuvia.__main__ import main; main(['--help']);"
        "sys.exit(bool({'torch', 'numpy', 'scipy', 'tyro', 'pydantic'} & set(sys.modules)))"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert time.perf_counter() - started < 5
    for name, entry in COMMAND.items():
        assert f"  {entry.family.name if entry.family else name} " in done.stdout


def test_help_of_no_command_loads_pytorch() -> None:
    script = (
        "import sys; from exuvia.__main__ import main\n"
        "for name in sys.argv[1:]:\n"
        "    code = main([*name.split(), '--help'])\n"
        "    if code or 'torch' in sys.modules: sys.exit(name)"
    )
    done = subprocess.run([sys.executable, "-c", script, *COMMAND], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_line_stays_small() -> None:
    assert options.count_commands() <= 30
    assert options.count_options() <= 400
    names = {name for name, _ in options.options_of("generate", COMMAND["generate"])}
    assert {"prompts", "--file", "--pipeline", "--seed"} <= names


@pytest.mark.parametrize("family", ["train", "unlearn"])
def test_a_family_lists_its_members_with_a_line_each(family: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([family, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, entry in COMMAND.items():
        if name.split()[0] == family:
            assert entry.family is not None
            assert entry.family.example in {one for other in COMMAND.values() for one in other.examples}
            assert any(line.split()[:2] == name.split() and line.endswith(entry.line) for line in lines)
            assert len(entry.line.split()) > 2


BENCH = (
    "features statistics tokenizer classifier sweep evaluation defects lcr scan serpent lra pipeline long backbones "
    "across information formats studio frames intervals generators lm selectivity"
).split()
OLD = ["pack", "unpack", "ship", "finish", "check goldens", "check numbers", *(f"bench {name}" for name in BENCH)]


@pytest.mark.parametrize("old", OLD)
def test_a_name_of_the_first_version_leads_to_the_new_one(old: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*old.split(), "--out", "my runs"]) == 2
    captured = capsys.readouterr()
    first, *rest = old.split()
    new = " ".join([RENAMED[first], *rest])
    assert captured.err == f"exuvia: `exuvia {first}` is now: {new} --out 'my runs'\n"
    assert captured.out == ""
    program, *words = new.split()
    assert " ".join(words) in COMMAND if program == "exuvia" else words[2] in EXPERIMENT


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("benchmark violence --record numbers.jsonl", "`exuvia benchmark` has no --record any more"),
        ("benchmark violence --tag=.kinect", "`exuvia benchmark` has no --tag any more"),
        ("benchmark violence --document a.md", "`exuvia benchmark` has no --document any more"),
        ("evaluate base --record numbers.jsonl", "`exuvia evaluate` has no --record any more"),
        ("demo --record numbers.jsonl", "`exuvia demo` has no --record any more"),
        ("list --kind goldens", "unknown kind 'goldens'; known: concepts, "),
    ],
)
def test_an_option_that_is_gone_says_so(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(line.split()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("exuvia 0.")


@pytest.mark.parametrize(
    ("name", "example"), [(name, example) for name, entry in COMMAND.items() for example in entry.examples]
)
def test_every_example_parses(name: str, example: str) -> None:
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
    monkeypatch.setattr("exuvia.pipeline.pipeline.MotionPipeline", fake)
    edit = lambda method, pipe, **settings: _edited(fake, method, settings)  # noqa: E731
    monkeypatch.setattr("exuvia.unlearning.base.unlearn", edit)
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
    ],
)
def test_generate_refuses_before_loading_anything(config: generate.GenerateConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generate.generate(config)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("generate a --frames 0", "found frames 0, expected"),
        ("generate a --repeats 0", "found repeats 0, expected"),
        ("stream a --repeat 0", "found repeat 0, expected"),
        ("convert a.bvh b.npy --workers 0", "found workers 0, expected"),
        ("studio --port 70000", "found port 70000, expected"),
    ],
)
def test_a_number_outside_its_range_is_one_sentence(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(line.split()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_many_captions_are_written_as_they_are_made(
    pipe: FakePipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = tmp_path / "p.txt", tmp_path / "out"
    path.write_text("".join(f"a man walks {number}\n" for number in range(100)))
    monkeypatch.setattr(generate, "AT_ONCE", 32)
    written_before = []
    call = FakePipe.__call__

    def counted(self: FakePipe, prompts: list[str], **settings: Any) -> list[Any]:
        written_before.append(len(list(out.iterdir())) if out.exists() else 0)
        return call(self, prompts, **settings)

    monkeypatch.setattr(FakePipe, "__call__", counted)
    generate.generate(generate.GenerateConfig(file=path, out=out, formats=("npy",)))
    assert len(list(out.iterdir())) == 100
    sizes = [len(one["prompts"]) for one in pipe.calls]
    assert sizes == [32, 32, 32, 4], "no more motions are held than are made at once"
    assert written_before == [0, 32, 64, 96]


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
    np.save(tmp_path / "good.npy", body(30, 0))
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


def test_ci_script_is_executable_and_reads_nothing() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
