"""Output files and folders: whole or not at all, and never in place of something of the user's."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exuvia import files
from exuvia.checkpoint import save_tensors
from exuvia.errors import OutputError
from exuvia.files import MARKER, check_folder, locked, whole_folder, write_text

needs_posix = pytest.mark.skipif(os.name == "nt", reason="signals, permissions and locks of POSIX")


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def write(folder: Path, kind: str = "report", name: str = "new.txt", *, overwrite: bool = False) -> None:
    with whole_folder(folder, kind, overwrite=overwrite) as made:
        (made / name).write_text("new")


def in_child(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run Python code in another process."""
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def no_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that cannot exchange two folders."""

    class Without:
        def __init__(self, *_: object, **__: object) -> None:
            pass

    monkeypatch.setattr(files.ctypes, "CDLL", Without)


NAMES = st.sampled_from(["a", "b.txt", "config.json", "report.json", ".hidden", MARKER, "index.html"])
RUN, OWN = '{"format": "exuvia/1", "kind": "pipeline"}', '{"kind": "report page", "files": ["a"]}'
CONTENT = st.sampled_from(
    ["", "{", "[]", "thesis", RUN, OWN, '{"kind": "report"}', '{"kind": 5}', '{"kind": "pipeline", "files": null}']
)


@given(st.dictionaries(NAMES, CONTENT, max_size=5), st.sampled_from(["report", "pipeline", "MoMask export"]))
def test_a_folder_goes_only_if_it_is_empty_or_says_that_it_is_of_the_same_kind(
    content: dict[str, str], kind: str
) -> None:
    with tempfile.TemporaryDirectory() as home:
        target = Path(home, "out")
        target.mkdir()
        for name, text in content.items():
            (target / name).write_text(text)
        before = tree(target)
        refused = ""
        try:
            write(target, kind)
        except OutputError as error:
            refused = str(error)
        if refused:
            assert "--overwrite" in refused
            assert tree(target) == before
            assert content
        else:
            assert not content or f'"kind": "{kind}"' in content.get(MARKER, "")
            assert set(tree(target)) == {"new.txt", MARKER}
        assert [path.name for path in Path(home).iterdir()] == ["out"]
        write(target, kind, overwrite=True)
        assert set(tree(target)) == {"new.txt", MARKER}


def test_what_someone_added_to_an_own_folder_is_not_lost(tmp_path: Path) -> None:
    write(tmp_path / "out")
    (tmp_path / "out" / "notes.md").write_text("mine")
    with pytest.raises(OutputError, match=r"holds notes\.md, which is no part of the report; .*--overwrite"):
        write(tmp_path / "out")
    assert (tmp_path / "out" / "notes.md").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_read_meanwhile_is_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    write(tmp_path / "out")
    for source in (tmp_path / "out", tmp_path / "out" / "new.txt"):
        with pytest.raises(OutputError, match="which is read for the report"):
            check_folder(tmp_path / "out", "report", overwrite=overwrite, sources=[source])
    check_folder(tmp_path / "out", "report", sources=[tmp_path, tmp_path / "gone", "base"])
    (tmp_path / "link").symlink_to(tmp_path / "out" / "new.txt")
    with pytest.raises(OutputError, match="which is read"):
        check_folder(tmp_path / "out", "report", overwrite=overwrite, sources=[tmp_path / "link"])


@pytest.mark.parametrize("target", [".", "..", "/", "../.."])
def test_the_working_directory_and_what_holds_it_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "deeper")
    with pytest.raises(OutputError, match="working directory, or holds it"):
        write(Path(target), overwrite=True)


def test_the_home_directory_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    with pytest.raises(OutputError, match="home directory"):
        write(tmp_path / "home", overwrite=True)


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="is a file, expected a folder"):
        write(tmp_path / "out", overwrite=True)


@needs_posix
def test_a_reader_always_finds_the_old_or_the_new_folder(tmp_path: Path) -> None:
    write(tmp_path / "out")
    missing, stop = [], threading.Event()

    def look() -> None:
        while not stop.is_set():
            if not (tmp_path / "out" / "new.txt").exists():
                missing.append(1)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for _ in range(100):
            write(tmp_path / "out")
    finally:
        stop.set()
        reader.join()
    assert not missing


def test_without_an_exchange_the_folder_is_replaced_too(tmp_path: Path, no_exchange: None) -> None:
    write(tmp_path / "out", name="old.txt")
    write(tmp_path / "out")
    assert set(tree(tmp_path / "out")) == {"new.txt", MARKER}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failed_second_rename_puts_the_old_folder_back(
    tmp_path: Path, no_exchange: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "out", name="old.txt")
    rename, calls = os.rename, []

    def second_fails(old: Path, new: Path) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        rename(old, new)

    monkeypatch.setattr(files.os, "rename", second_fails)
    with pytest.raises(OutputError, match="Input/output error"):
        write(tmp_path / "out")
    assert set(tree(tmp_path / "out")) == {"old.txt", MARKER}


KILLED = """
import os, signal, sys
from pathlib import Path
from exuvia import files
when, target = sys.argv[1], Path(sys.argv[2])
class Without:
    def __init__(self, *_, **__): pass
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if when == "between":
    files.ctypes.CDLL = Without
    rename = os.rename
    files.os.rename = lambda a, b: die() if a.parent.name.startswith(".exuvia-") and b == target else rename(a, b)
with files.whole_folder(target, "report") as made:
    (made / "new.txt").write_text("half")
    if when == "inside":
        with files.whole_file(made / "deep.txt") as path:
            path.write_text("half")
            die()
"""


@needs_posix
@pytest.mark.parametrize("when", ["inside", "between"])
def test_a_kill_loses_nothing_and_the_next_call_cleans_up(tmp_path: Path, when: str) -> None:
    write(tmp_path / "out", name="old.txt")
    assert in_child(KILLED, when, tmp_path / "out").returncode == -signal.SIGKILL
    assert any(path.name.startswith(".exuvia-") for path in tmp_path.iterdir())
    write_text(tmp_path / "other.txt", "any other file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.txt", "out"]
    assert set(tree(tmp_path / "out")) == {"old.txt", MARKER}


@needs_posix
def test_what_another_process_is_writing_is_not_taken_for_a_leftover(tmp_path: Path) -> None:
    code = (
        "import sys; from exuvia.files import whole_file\n"
        "with whole_file(sys.argv[1]) as path:\n"
        "    print('ready', flush=True); sys.stdin.readline(); path.write_text('done')"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "slow.txt")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        for number in range(20):
            write_text(tmp_path / f"{number}.txt", "")
        child.communicate("\n")
    assert child.returncode == 0
    assert (tmp_path / "slow.txt").read_text() == "done"


@needs_posix
def test_links_stay_links(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    write_text(tmp_path / "disk" / "real.txt", "old")
    (tmp_path / "link.txt").symlink_to("disk/real.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "disk" / "real.txt").read_text() == "new"
    (tmp_path / "disk" / "runs").mkdir()
    (tmp_path / "runs").symlink_to("disk/runs")
    write(tmp_path / "runs")
    assert (tmp_path / "runs").is_symlink()
    assert set(tree(tmp_path / "disk")) == {"real.txt", "runs", "runs/new.txt", f"runs/{MARKER}"}


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@needs_posix
def test_the_umask_is_respected_and_permissions_that_were_set_stay(tmp_path: Path, umask: Callable[[int], int]) -> None:
    for mask, file_mode, folder_mode in ((0o077, 0o600, 0o700), (0o022, 0o644, 0o755), (0o002, 0o664, 0o775)):
        umask(mask)
        write(tmp_path / f"{mask}")
        save_tensors(tmp_path / f"{mask}.safetensors", {"a": torch.zeros(1)})
        made = (tmp_path / f"{mask}" / MARKER, tmp_path / f"{mask}.safetensors")
        assert [path.stat().st_mode & 0o777 for path in made] == [file_mode] * 2
        assert (tmp_path / f"{mask}").stat().st_mode & 0o777 == folder_mode
    (tmp_path / "mine").write_text("")
    (tmp_path / "mine").chmod(0o640)
    write_text(tmp_path / "mine", "new")
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o640


@needs_posix
def test_a_full_disk_is_one_sentence_for_weights_too(tmp_path: Path) -> None:
    code = (
        "import resource, sys, torch\n"
        "from exuvia.checkpoint import save_tensors; from exuvia.errors import OutputError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try: save_tensors(sys.argv[1], {'a': torch.zeros(100_000)})\n"
        "except OutputError as error: print(error)"
    )
    done = in_child(code, tmp_path / "w.safetensors")
    assert done.stdout.startswith(f"cannot write {tmp_path / 'w.safetensors'}: "), done.stderr
    assert list(tmp_path.iterdir()) == []


@needs_posix
def test_a_name_of_the_longest_length_can_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("n" * 255), "")
    write(tmp_path / ("m" * 255))


@needs_posix
def test_a_folder_is_held_by_one_process(tmp_path: Path) -> None:
    code = "import sys; from exuvia.files import locked\nwith locked(sys.argv[1]): pass"
    with locked(tmp_path / "run"):
        done = in_child(code, tmp_path / "run")
        assert "another process is writing" in done.stderr
    assert in_child(code, tmp_path / "run").returncode == 0
    assert list((tmp_path / "run").iterdir()) == []
    shutil.rmtree(tmp_path / "run")


def test_equal_tensors_and_facts_give_equal_bytes_in_every_process(tmp_path: Path) -> None:
    code = (
        "import sys, torch; from exuvia.checkpoint import load_metadata, save_tensors\n"
        "facts = {name: name for name in 'abcdefgh'}\n"
        "save_tensors(sys.argv[1], {'x': torch.zeros(2), 'y': torch.ones(3)}, facts)\n"
        "assert load_metadata(sys.argv[1]) == facts"
    )
    for number in range(3):
        assert in_child(code, tmp_path / str(number)).returncode == 0
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
