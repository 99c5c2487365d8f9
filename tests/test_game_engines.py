"""The clients for game engines in examples/ use paths, fields and states that the studio's API has."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from exuvia.studio import queue
from exuvia.studio.app import create_app
from exuvia.studio.settings import Settings

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "game_engines"
CLIENTS = ("motion.sh", "ExuviaMotion.cs", "ExuviaMotion.h")


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """The studio's OpenAPI document."""
    app = create_app(Settings(folder=tmp_path_factory.mktemp("studio")), workers=False)
    return app.openapi()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_speaks_the_api_of_the_studio(client: str, schema: dict[str, dict[str, object]]) -> None:
    text = (FOLDER / client).read_text(encoding="utf-8")
    paths = set(schema["paths"])
    for path in ("/api/v1/motion", "/api/v1/jobs/{job}", "/api/v1/motions/{motion}/file"):
        assert path in paths
        assert path.removeprefix("/api/v1").partition("{")[0] in text
    ask, job = (schema["components"]["schemas"][name]["properties"] for name in ("MotionAsk", "JobView"))  # type: ignore[index]
    assert {"prompts", "seeds"} <= set(ask)
    assert {"id", "state", "message", "result"} <= set(job)
    used = set(re.findall(r"\b(queued|waiting|running|done|failed|cancelled)\b(?=[\"') |])", text))
    assert "done" in used
    assert used <= {*queue.OPEN, *queue.ENDED}
    assert "file?form=" in text
    assert "foot_lock=true" in text


def test_the_script_says_what_is_wrong(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    words = ["bash", str(FOLDER / "motion.sh"), "a person waves", str(tmp_path / "wave.glb")]
    done = subprocess.run(words, env={"PATH": "/usr/bin:/bin", "EXUVIA_URL": "http://127.0.0.1:9"}, capture_output=True)
    assert (done.returncode, done.stderr) == (1, b"no studio answers at http://127.0.0.1:9/api/v1\n")
    assert not (tmp_path / "wave.glb").exists()
