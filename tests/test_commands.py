"""What `generate`, `unlearn` and `import motion` ask of a pipeline, write and refuse; the pipeline is a stand-in."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from exuvia import __main__ as cli
from exuvia.commands import generate, import_motion, unlearn
from exuvia.commands.table import Entry
from exuvia.config import settings
from exuvia.errors import ConfigError, DataError, OutputError
from exuvia.motion.clip import Clip
from exuvia.registry import UNLEARN
from exuvia.unlearning.settings import MethodSettings
from made_mocap import body


class FakePipe:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.saved: Path | None = None

    def from_pretrained(self, name: str, device: str = "cpu") -> "FakePipe":
        """Itself, whatever the name."""
        return self

    def generate(self, prompts: list[str], progress: Any, **settings: Any) -> Any:
        """A standing body for every prompt."""
        progress(len(prompts), len(prompts))
        from exuvia.motion.clip import Clip

        self.calls.append({"prompts": prompts, **settings})
        clips = [Clip(np.zeros((4, 22, 3), np.float32), caption=prompt) for prompt in prompts]
        return SimpleNamespace(clips=clips)

    def save_pretrained(self, folder: Path, overwrite: bool = False) -> None:
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


def test_motions_without_a_concept_are_recognised(
    pipe: FakePipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edited(prompts: list[str], **settings: Any) -> Any:
        clips = [Clip(body(40, 1), caption=prompt, meta={"concept": "violence"}) for prompt in prompts]
        return SimpleNamespace(clips=clips)

    monkeypatch.setattr(pipe, "generate", edited)
    config = generate.GenerateConfig(("a man walks",), out=tmp_path / "m", formats=("bvh",), fps=30.0, loop=True)
    generate.generate(config)
    (path,) = (tmp_path / "m").iterdir()
    assert path.name == "0_a_man_walks_without_violence.bvh"
    assert "concept=violence" in path.read_text()
    assert "Frame Time: 0.0333" in path.read_text()
    together = generate.GenerateConfig(("a man walks", "he stops"), out=tmp_path / "all.glb", rig="unity")
    generate.generate(together)
    content = (tmp_path / "all.glb").read_bytes()
    assert all(f'"name":"{name}"'.encode() in content for name in ("a man walks", "he stops", "LeftUpperLeg"))


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
    make = FakePipe.generate

    def counted(self: FakePipe, prompts: list[str], **settings: Any) -> Any:
        written_before.append(len(list(out.iterdir())) if out.exists() else 0)
        return make(self, prompts, **settings)

    monkeypatch.setattr(FakePipe, "generate", counted)
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
    with pytest.raises(DataError, match="does not exist; expected one text file"):
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
    with pytest.raises(OutputError, match=r"holds old\.txt, not a pipeline; .* --overwrite"):
        unlearn.unlearn(kind(out=tmp_path))
    unlearn.unlearn(kind(out=tmp_path, overwrite=True))


def test_import_converts_and_leaves_bad_files_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "good.npy", body(30, 0))
    (tmp_path / "bad.bvh").write_text("HIERARCHY\nROOT")
    files = [str(tmp_path / "good.npy"), str(tmp_path / "bad.bvh")]
    assert cli.main(["import", "motion", *files, "--source-fps", "60", "--out", str(tmp_path / "clips")]) == 2
    captured = capsys.readouterr()
    assert "bad.bvh" in captured.err
    assert "1 of 2 files were skipped" in captured.err
    assert len(np.load(tmp_path / "clips" / "good.npy", allow_pickle=False)) == 10


def test_import_refuses_two_files_of_one_name() -> None:
    config = import_motion.ImportConfig((Path("a/x.bvh"), Path("b/x.bvh")), Path("out"))
    with pytest.raises(ConfigError, match=r"x.npy"):
        import_motion.targets(config)
