"""Every command that writes a folder leaves what stands there alone, and ends well when a signal comes."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest

from exuvia import __main__ as cli
from exuvia.checkpoint import load_metadata
from exuvia.commands.table import COMMAND
from exuvia.data.prepare import prepare
from exuvia.files import locked
from exuvia.registry import UNLEARN, resolve
from exuvia.run_folder import CHECKPOINT
from tiny import tiny_pipeline

FOLDER_COMMANDS = {
    "import momask": "import momask gone",
    "import bamm": "import bamm gone --tokenizer gone --residual gone",
    "import evaluator": "import evaluator gone --glove gone",
    "export momask": "export momask tiny",
    "export humanml3d": "export humanml3d store",
    "export prompts": "export prompts",
    **{f"unlearn {name}": f"unlearn {name} --pipeline tiny" for name in UNLEARN},
    "undo": "undo tiny record",
    "evaluate": "evaluate tiny --original tiny",
    "report": "report gone",
    "checkpoint pack": "checkpoint pack",
    "checkpoint unpack": "checkpoint unpack tiny",
    "checkpoint shrink": "checkpoint shrink run",
}
"""Commands that replace a folder, with arguments that reach the check; the last argument is the folder."""
PARTS = ("tokenizer", "mask", "bamm", "causal", "residual", "length", "evaluator", "retrieval", "classifier")
OTHERS = {
    "prepare",
    "convert",
    "import motion",
    "generate",
    "stream",
    "gallery",
    "audit",
    "benchmark",
    "studio",
    "demo",
}
OTHERS |= {"list", "export hub", "checkpoint finish", *(f"train {part}" for part in PARTS)}
"""Commands that write files under generated names, or continue in their own folder."""


def test_every_command_is_known_here() -> None:
    assert {*FOLDER_COMMANDS, *OTHERS} == set(COMMAND)
    for name in FOLDER_COMMANDS:
        entry = COMMAND[name]
        kind = cli.config_type(name, entry, resolve({name: entry.target}, name, "command"))
        assert "overwrite" in {field.name for field in fields(kind)}, name


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline `tiny`, a store `store` and a finished run `run`."""
    folder = tmp_path_factory.mktemp("home")
    tiny_pipeline().save_pretrained(folder / "tiny")
    prepare("synthetic", folder / "store", count=20)
    cli.main(["checkpoint", "unpack", str(folder / "tiny"), str(folder / "parts")])
    (folder / "parts" / "tokenizer" / "metrics.json").write_text("{}")
    (folder / "parts" / "tokenizer").rename(folder / "run")
    return folder


@pytest.mark.parametrize("name", FOLDER_COMMANDS)
def test_a_folder_of_something_else_is_left_alone(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(home)
    (tmp_path / "work" / "precious").mkdir(parents=True)
    (tmp_path / "work" / "precious" / "thesis.txt").write_text("years")
    words = FOLDER_COMMANDS[name].split()
    place = (
        [str(tmp_path / "work")]
        if name.startswith("export") or name in ("checkpoint unpack", "checkpoint shrink")
        else ["--out", str(tmp_path / "work")]
    )
    assert cli.main([*words, *place]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "holds precious, not a" in said
    assert "--overwrite" in said
    assert (tmp_path / "work" / "precious" / "thesis.txt").read_text() == "years"
    assert [path.name for path in tmp_path.rglob("*")] == ["work", "precious", "thesis.txt"]


@pytest.mark.parametrize(
    "words",
    [
        "checkpoint unpack tiny tiny",
        "checkpoint unpack tiny .",
        "checkpoint shrink run run",
        "export momask tiny tiny",
        "export humanml3d store store",
        "report tiny --out tiny",
        "evaluate tiny --original tiny --out tiny",
        "evaluate tiny --original tiny --out report --cache report/cache",
        "unlearn uce --pipeline tiny --out tiny",
    ],
)
def test_a_source_inside_the_target_is_never_replaced(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    monkeypatch.chdir(home)
    (home / "report" / "cache").mkdir(parents=True, exist_ok=True)
    before = sorted(home.rglob("*"))
    assert cli.main([*words.split(), "--overwrite"]) == 2
    assert "choose another folder" in capsys.readouterr().err
    assert sorted(home.rglob("*")) == before


def test_a_training_does_not_take_a_folder_of_something_else(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tiny_pipeline().save_pretrained(tmp_path / "tiny")
    before = (pipe / "config.json").read_bytes()
    assert cli.main([*TRAIN, "--corpus.data", str(home / "store"), "--out", str(pipe)]) == 2
    assert "holds config.json, but no run.json of a training" in capsys.readouterr().err
    assert (pipe / "config.json").read_bytes() == before


TRAIN = """train tokenizer --train.steps 4000 --train.precision no --batch-size 4 --train.checkpoint-s 3600
    --train.log-every 1 --model.num-codes 8 --model.code-dim 8 --model.num-quantizers 1 --model.width 8""".split()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_signal_ends_a_training_with_a_last_checkpoint(home: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "exuvia", *TRAIN, "--corpus.data", str(home / "store"), "--out", str(run)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        until(lambda: (run / "metrics.jsonl").exists() and lines(run) > 0)
        child.send_signal(signal.SIGTERM)
        _, said = child.communicate(timeout=120)
    assert (child.returncode, "Traceback" in said) == (143, False), said
    assert [path.name for path in run.glob(".*")] == []
    step = int(load_metadata(run / CHECKPOINT)["step"])
    assert step == lines(run)
    assert f"stopped at step {step} of 4000; run again to continue" in said


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_signal_ends_a_command_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, code: int
) -> None:
    def raises(*_: object) -> int:
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(5)
        return 0

    monkeypatch.setattr(cli, "run", raises)
    number, usual = getattr(signal, name), signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
    before = signal.signal(number, usual)  # tests may run where it is ignored, as in the background of a shell
    try:
        assert cli.main(["list"]) == code
        assert signal.getsignal(number) == usual
    finally:
        signal.signal(number, before)
    assert ("interrupted" if name == "SIGINT" else f"ended by {name}") in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_two_trainings_do_not_share_a_folder(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(tmp_path / "run"):
        assert cli.main([*TRAIN, "--corpus.data", str(home / "store"), "--out", str(tmp_path / "run")]) == 2
    assert "another process is writing" in capsys.readouterr().err
    assert list((tmp_path / "run").iterdir()) == []


def lines(folder: Path) -> int:
    return (folder / "metrics.jsonl").read_text().count("\n")


def until(true: object, seconds: float = 120) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on memory")
def test_too_little_memory_is_one_sentence(home: Path, tmp_path: Path) -> None:
    code = (
        "import resource, sys; from exuvia import __main__ as cli; import exuvia.evaluation.suite\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000,) * 2)\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    words = ["evaluate", "base", "--original", "base", "--out", str(tmp_path / "report"), "--limit", "2"]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}  # threads of OpenMP need memory before a command does
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, env=alone)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "not enough memory" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_record_inside_the_edited_folder_is_refused_before_work(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["unlearn", "uce", "--pipeline", str(home / "tiny"), "--out", str(tmp_path / "safe")]
    assert cli.main([*words, "--undo", str(tmp_path / "safe" / "undo.safetensors")]) == 2
    assert "lies inside --out" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", ["export prompts", "unlearn uce --pipeline tiny --out", "undo tiny record --out"])
def test_a_name_that_is_too_long_is_one_sentence(
    words: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    assert cli.main([*words.split(), "x" * 300]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "too long" in said or "record" in said
