"""What a release rests on: workflows that call the Makefile, one version everywhere, no local addresses."""

import fnmatch
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import release_notes
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"(?m)^([a-z-]+):", MAKEFILE))
PROJECTS = (
    "pyproject.toml",
    "packages/ssm/pyproject.toml",
    "packages/base/pyproject.toml",
    "packages/research/pyproject.toml",
)
REPOSITORY = "https://github.com/exuvia/exuvia"
SITE = "https://exuvia.github.io/exuvia"
MAY = {"id-token", "pages", "contents"}
"""What a job may write; the workflows as a whole only read."""
NEVER = re.compile(r"file://|://(10|192\.168|172\.(1[6-9]|2\d|3[01]))(\.\d{1,3}){2,3}\b|(?<![\w.])/(root|Users)/\w")
"""Addresses of a private network, and folders that only one machine has."""
LOOPBACK = re.compile(r"127\.0\.0\.1|localhost")
SOURCES_OF_PACKAGES = (
    "*.lock",
    "*.toml",
    "*.npmrc",
    "*package-lock.json",
    "*requirements*.txt",
    "constraints.txt",
    "Makefile",
)
"""Files that say where packages come from: not even this machine itself may stand there."""


def load(path: Path) -> dict[Any, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def jobs() -> list[tuple[str, dict[str, Any]]]:
    return [(f"{path.name}: {name}", job) for path in WORKFLOWS for name, job in load(path)["jobs"].items()]


def project(name: str) -> dict[str, Any]:
    return dict(tomllib.loads((ROOT / name).read_text(encoding="utf-8"))["project"])


def local_addresses(name: str, text: str) -> list[str]:
    """Lines of a file that hold an address which other machines do not reach."""
    loopback = any(fnmatch.fnmatch(name, pattern) for pattern in SOURCES_OF_PACKAGES)
    return [
        f"{name}:{number}"
        for number, line in enumerate(text.splitlines(), 1)
        if NEVER.search(line) or (loopback and LOOPBACK.search(line))
    ]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_reads_only_and_ends_its_forerunner(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]


@pytest.mark.parametrize(("name", "job"), jobs(), ids=[name for name, _ in jobs()])
def test_a_job_calls_the_makefile_and_known_actions(name: str, job: dict[str, Any]) -> None:
    for step in job["steps"]:
        assert ("run" in step) != ("uses" in step)
        if "run" in step:
            (target,) = re.fullmatch(r"make (ci-[a-z-]+)", step["run"].strip()).groups()  # type: ignore[union-attr]
            assert target in TARGETS
        else:
            assert re.fullmatch(r"(actions/[\w-]+@v\d+|pypa/gh-action-pypi-publish@release/v1)", step["uses"])
            if step["uses"].startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
    assert 0 < job["timeout-minutes"] <= 60
    assert set(job.get("permissions", {})) <= MAY
    assert "contents" not in job.get("permissions", {}) or name == "release.yml: github"


def test_every_job_of_the_makefile_is_called() -> None:
    called = {step["run"].split()[-1] for _, job in jobs() for step in job["steps"] if "run" in step}
    assert called == {target for target in TARGETS if target.startswith("ci-")}


def test_systems_processors_and_versions_are_covered() -> None:
    matrices = [job["strategy"]["matrix"] for _, job in jobs() if "strategy" in job]
    rows = [row for matrix in matrices for row in matrix.get("include", [])]
    runners = {runner for matrix in matrices for runner in matrix["runner"]}
    assert {runner.split("-")[0] for runner in runners} == {"ubuntu", "macos", "windows"}
    assert any(runner.endswith("-arm") for runner in runners)
    (declared,) = {
        wanted.partition(">=")[2]
        for name in PROJECTS[:2]
        for wanted in project(name)["dependencies"]
        if wanted.startswith("torch")
    }
    assert f"{declared}.0" in {row["torch"] for row in rows}
    lowest = project("pyproject.toml")["requires-python"].removeprefix(">=")
    assert all(lowest in matrix["python"] for matrix in matrices if "python" in matrix)


def test_portable_tests_exist() -> None:
    names = re.search(r"addprefix tests/test_,([^)]*)", MAKEFILE)
    assert names
    missing = [name for name in names[1].replace("\\", " ").split() if not [*ROOT.glob(f"tests/test_{name}")]]
    assert not missing


def test_one_version_everywhere() -> None:
    (version,) = set(release_notes.versions().values())
    assert load(ROOT / "CITATION.cff")["version"] == version
    root = project("pyproject.toml")
    wanted = [
        *root["dependencies"],
        *(pin for name in ("base", "research") for pin in root["optional-dependencies"][name]),
    ]
    pins = sorted(pin for pin in wanted if "exuvia" in pin)
    assert pins == [f"exuvia-{name}=={version}" for name in ("base", "research", "ssm")]


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_says_where_it_lives(name: str) -> None:
    about = project(name)
    assert about["urls"]["Repository"] == about["urls"]["Homepage"] == REPOSITORY
    assert about["urls"]["Documentation"] == SITE == load(ROOT / "CITATION.cff")["url"]
    assert about["keywords"]
    assert "Typing :: Typed" in about["classifiers"]


def test_the_changelog_has_a_part_for_what_comes() -> None:
    assert release_notes.section((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), "Unreleased").startswith("### ")


def test_notes_of_a_tag_are_its_part_of_the_changelog(tmp_path: Path) -> None:
    for name in release_notes.VERSION_FILES:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text('"""."""\n\n__version__ = "1.2.0"\n', encoding="utf-8")
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(
        "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2027-01-01\n\n- New.\n\n## [1.1.0]\n\n- Old.\n"
    )
    assert release_notes.notes("v1.2.0", tmp_path) == "- New.\n"
    for tag in ("v1.1.0", "1.2.0", ""):
        with pytest.raises(ValueError, match="expected v and the version of every package"):
            release_notes.notes(tag, tmp_path)
    changelog.write_text("# Changelog\n\n## [Unreleased]\n\n- New.\n")
    with pytest.raises(ValueError, match=r"found no entries under ## \[1.2.0\]"):
        release_notes.notes("v1.2.0", tmp_path)
    (tmp_path / release_notes.VERSION_FILES[1]).write_text('__version__ = "1.2.1"\n')
    with pytest.raises(ValueError, match=r"1\.2\.1"):
        release_notes.notes("v1.2.0", tmp_path)


def test_a_development_version_is_never_released() -> None:
    (version,) = set(release_notes.versions().values())
    if ".dev" in version:
        with pytest.raises(ValueError, match="expected v and the version"):
            release_notes.notes(f"v{version}")


def test_no_tracked_file_holds_a_local_address() -> None:
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of the repository")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    wrong = []
    for name in filter(None, names.split("\0")):
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        wrong += [] if name == Path(__file__).relative_to(ROOT).as_posix() else local_addresses(name, text)
    assert not wrong


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("uv.lock", 'url = "http://127.0.0.1:3141/x.whl"'),
        ("web/package-lock.json", '"resolved": "http://localhost:4873/x.tgz"'),
        ("docs/data.md", "wget http://192.168.1.7/data.zip"),
        ("pyproject.toml", 'torch = { url = "file:///x.whl" }'),
        ("README.md", "pip install --find-links /root/wheels exuvia"),
    ],
)
def test_a_local_address_is_found(name: str, line: str) -> None:
    assert local_addresses(name, f"# fine: https://example.org\n{line}\n") == [f"{name}:2"]


def test_the_studio_may_speak_of_loopback() -> None:
    assert local_addresses("docs/studio.md", "curl localhost:8010/api/v1/motion") == []


def test_the_image_is_built_from_files_that_exist_and_runs_without_root() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    sources = [word for line in re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", text) for word in line.split()]
    assert sources
    for source in sources:
        assert (ROOT / source).exists()
        assert source in allowed, f"add !{source} to .dockerignore"
    assert re.findall(r"(?m)^USER (.+)$", text)[-1] not in ("root", "0")
    assert "-r /opt/exuvia/constraints.txt" in text
    assert "EXUVIA_STUDIO_TOKEN=" not in re.sub(r"(?m)^#.*$", "", text), "a token never stands in an image"
