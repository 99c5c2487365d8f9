"""Pushing to the Hugging Face hub and loading from it, against a server on this machine that speaks its API."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from exuvia.__main__ import main
from exuvia.errors import ConfigError
from exuvia.pipeline.hub import model_card
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import unlearn
from tiny import tiny_pipeline

pytest.importorskip("huggingface_hub")
COMMIT = "c" * 40
ROOT = Path(__file__).resolve().parents[1]
SOURCES = os.pathsep.join(map(str, (ROOT / "src", *ROOT.glob("packages/*/src"))))


class Hub(BaseHTTPRequestHandler):
    """Repositories in memory: create, commit, list and fetch, as huggingface_hub asks for them."""

    repos: dict[str, dict[str, bytes]]
    made: list[dict[str, Any]]

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("authorization") != "Bearer good":
            return self.answer({"error": "Invalid credentials"}, 401)
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            self.made.append(asked)
            name = f"{asked.get('organization', 'me')}/{asked['name']}"
            self.repos.setdefault(name, {})
            return self.answer({"url": f"http://{self.headers['host']}/{name}"})
        if self.path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = json.loads(body)["files"]
            how = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None} for f in files]
            return self.answer({"files": how})
        if "/commit/" in self.path:
            name = "/".join(self.path.split("/")[3:5])
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.repos[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return self.answer(
                {"commitUrl": f"http://{self.headers['host']}/{name}/commit/{COMMIT}", "commitOid": COMMIT}
            )
        return self.answer({"error": "what?"}, 404)

    def do_GET(self) -> None:
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            name = "/".join(parts[2:4])
            if name not in self.repos:
                return self.answer({"error": "Repository not found"}, 404)
            files = self.repos[name]
            if "tree" in parts:
                tree = [{"type": "file", "path": p, "size": len(d), "oid": git(d)} for p, d in files.items()]
                return self.answer(tree)
            siblings = [{"rfilename": path} for path in files]
            return self.answer({"id": name, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})
        data = self.repos.get("/".join(parts[:2]), {}).get("/".join(parts[4:]))
        return self.answer({"error": "Entry not found"}, 404) if data is None else self.send(data, 200)

    do_HEAD = do_GET

    def answer(self, value: Any, status: int = 200) -> None:
        """Send JSON."""
        self.send(json.dumps(value).encode(), status)

    def send(self, data: bytes, status: int) -> None:
        """Send bytes with the heads that the client looks for."""
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.send_header("etag", f'"{git(data)}"')
        self.send_header("x-repo-commit", COMMIT)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def git(data: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@pytest.fixture
def hub() -> Iterator[tuple[str, type[Hub]]]:
    """Address and repositories of a hub."""
    kind = type("OneHub", (Hub,), {"repos": {}, "made": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", kind
    server.shutdown()
    server.server_close()


def run(code: str, address: str, home: Path, token: str = "good") -> subprocess.CompletedProcess[str]:
    """Run Python whose huggingface_hub asks the server: it reads its address when it is imported."""
    about = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1"}
    about |= {"NO_PROXY": "*", "PYTHONPATH": SOURCES}
    words = [sys.executable, "-c", code]
    around = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    return subprocess.run(words, env=around | about, capture_output=True, text=True, timeout=120)


def test_what_is_pushed_can_be_loaded_by_its_name(hub: tuple[str, type[Hub]], tmp_path: Path) -> None:
    address, server = hub
    safe = unlearn("prompt_filter", tiny_pipeline())
    folder = safe.save_pretrained(tmp_path / "safe")
    words = ["export", "hub", str(folder), "team/safe", "--licence", "cc-by-nc-4.0", "--private"]
    pushed = run(f"from exuvia.__main__ import main; raise SystemExit(main({words!r}))", address, tmp_path / "home")
    assert (pushed.returncode, pushed.stdout.strip()) == (0, f"{address}/team/safe/commit/{COMMIT}"), pushed.stderr
    asked = server.made[0]
    assert asked.get("private") or asked.get("visibility") == "private"
    files = server.repos["team/safe"]
    assert "config.json" in files
    assert not [name for name in files if name.startswith(".")], "marks of folders stay at home"
    card = files["README.md"].decode()
    assert card.startswith("---\n")
    for words_of_card in (
        "license: cc-by-nc-4.0",
        "- motion-unlearning",
        "## Edit: prompt_filter",
        "team/safe",
    ):
        assert words_of_card in card
    code = "import exuvia; from exuvia.pipeline.identity import pipeline_hash; "
    code += "print(pipeline_hash(exuvia.MotionPipeline.from_pretrained('team/safe')))"
    loaded = run(code, address, tmp_path / "home")
    assert loaded.stdout.strip() == pipeline_hash(safe), loaded.stderr[-2000:]


def test_a_refusal_of_the_hub_is_one_sentence(hub: tuple[str, type[Hub]], tmp_path: Path) -> None:
    folder = tiny_pipeline().save_pretrained(tmp_path / "pipe")
    code = "from exuvia.__main__ import main\nfor name in ('team/safe', 'team/--safe'):\n"
    code += f"    print(main(['export', 'hub', {str(folder)!r}, name, '--licence', 'mit']))"
    done = run(code, hub[0], tmp_path / "home", token="bad")
    assert done.stdout.split() == ["2", "2"], done.stderr
    assert done.stderr.count("\n") == 2
    assert done.stderr.count("the hub did not take") == 2
    assert hub[1].repos == {}


def test_a_hub_that_cannot_be_reached_is_one_sentence(tmp_path: Path) -> None:
    folder = tiny_pipeline().save_pretrained(tmp_path / "pipe")
    code = "from exuvia.__main__ import main\n"
    code += f"print(main(['export', 'hub', {str(folder)!r}, 'team/safe', '--licence', 'mit']))\n"
    code += "print(main(['generate', 'a man walks', '--pipeline', 'team/safe', '--out', 'x.npy']))"
    done = run(code, "http://127.0.0.1:9", tmp_path / "home")
    assert done.stdout.split() == ["2", "2"], done.stderr
    assert done.stderr.count("\n") == 2


def test_weights_without_a_licence_are_not_pushed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny_pipeline().save_pretrained(tmp_path / "pipe")
    assert main(["export", "hub", str(folder), "team/safe"]) == 2
    assert "names no licence" in capsys.readouterr().err


def test_a_card_keeps_its_head_and_text() -> None:
    pipe = tiny_pipeline()
    pipe.card = "---\nlicense: other\nlicense_name: research\ntags: [mine]\n---\n\n# Ours\n\nMade from our own data.\n"
    card = model_card(pipe, "team/ours")
    for words in ("license: other", "license_name: research", "- mine", "- text-to-motion", "# Ours", "our own data"):
        assert words in card
    assert card.count("# Ours") == 1
    assert "## Edit" not in card
    with pytest.raises(ConfigError, match="the weights' card says 'research'"):
        model_card(pipe, "team/ours", "mit")
    with pytest.raises(ConfigError, match="names no licence"):
        model_card(tiny_pipeline(), "team/ours")


def test_the_shipped_generator_says_its_licence() -> None:
    assert "license: other" in model_card(MotionPipeline.from_pretrained("base"), "team/base")
