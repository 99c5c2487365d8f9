"""Access to a studio: hosts, origins, tokens, versions and sizes; and inputs that must be harmless."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from starlette.responses import PlainTextResponse

from exuvia import __version__
from exuvia.__main__ import main
from exuvia.errors import ConfigError
from exuvia.motion.clip import Clip
from exuvia.studio.app import create_app
from exuvia.studio.guard import Guard
from exuvia.studio.serve import address
from exuvia.studio.settings import Limits, Settings, is_loopback
from exuvia.studio.views import report_id

TOKEN = "a-token-of-thirty-two-characters"
STATUS = "/api/v1/status"


@pytest.fixture
def local(tmp_path: Path) -> Iterator[TestClient]:
    """A studio for this machine alone."""
    report = tmp_path / "report.html"
    report.write_text("<h1>numbers</h1>")
    limits = Limits(body_bytes=10_000, waiting=2)
    about = Settings(folder=tmp_path / "studio", limits=limits, reports={"numbers": report, "gone": tmp_path / "no"})
    with TestClient(create_app(about, workers=False), base_url="http://localhost:8010") as client:
        yield client


@pytest.fixture
def open_to_all(tmp_path: Path) -> Iterator[TestClient]:
    """A studio that others can reach."""
    about = Settings(folder=tmp_path, host="0.0.0.0", token=TOKEN)
    with TestClient(create_app(about, workers=False), base_url="http://studio.example") as client:
        yield client


def test_a_name_of_somebody_else_that_points_here_is_not_answered(local: TestClient) -> None:
    assert local.get(STATUS, headers={"host": "127.0.0.1:8010"}).status_code == 200
    for host in ("evil.example", "localhost.evil.example", "", "[", "localhost:99999999"):
        assert local.get(STATUS, headers={"host": host}).status_code == 421, host


def test_pages_of_other_sites_change_nothing(local: TestClient) -> None:
    ask = {"prompts": ["a person walks"]}
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:9999"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        answer = local.post("/api/v1/motion", json=ask, headers=headers)
        assert answer.status_code == 403, headers
    same = {"origin": "http://localhost:8010", "sec-fetch-site": "same-origin"}
    assert local.post("/api/v1/motion", json=ask, headers=same).status_code == 202


def test_without_the_token_nothing_is_answered(open_to_all: TestClient) -> None:
    for path in ("/", STATUS, "/assets/studio.js", "/api/v1/openapi.json", "/nothing"):
        answer = open_to_all.get(path)
        assert answer.status_code == 401, path
        assert "needs its token" in answer.json()["detail"]
    wrong = {"authorization": "Bearer " + TOKEN[:-1] + "x"}
    assert open_to_all.get(STATUS, headers=wrong).status_code == 401
    assert open_to_all.get(STATUS, headers={"cookie": 'exuvia_studio="bad'}).status_code == 401
    assert open_to_all.get(STATUS, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_printed_address_gives_the_browser_its_cookie(open_to_all: TestClient) -> None:
    page = open_to_all.get(f"/?token={TOKEN}&more=1")
    assert (page.status_code, page.url) == (200, "http://studio.example/?more=1"), "the bar shows no token"
    cookie = page.history[0].headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert open_to_all.get(STATUS).status_code == 200, "the cookie is enough from now on"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40))
@example("kF+3/aZ0q&x=1#%41;b c")
@example("  blanks at both ends  ")
@example("čeština 🔑 " + '"\\,')
def test_a_token_of_any_characters_opens_the_printed_address(tmp_path: Path, token: str) -> None:
    about = Settings(folder=tmp_path, host="0.0.0.0", token=token)
    printed = address(about)
    client = TestClient(Guard(PlainTextResponse("in"), about), "http://studio.example")
    assert client.get("/").status_code == 401
    page = client.get(printed.replace("http://0.0.0.0:8010", ""))
    assert (page.status_code, page.url) == (200, "http://studio.example/")
    assert client.get(STATUS).status_code == 200, "the cookie is enough from now on"
    client.cookies.clear()
    assert client.get(STATUS).status_code == 401
    headers = {"authorization": f"Bearer {quote(token, safe='')}"}
    assert client.get(STATUS, headers=headers).status_code == 200
    if token == token.strip():
        assert client.get(STATUS, headers={b"authorization": b"Bearer " + token.encode()}).status_code == 200


@pytest.mark.parametrize(
    "token", ["a token of a\nline and a half", "\0" * 20, "nineteen letters \x7f..", "\ud800" * 20]
)
def test_a_token_that_no_browser_can_send_is_refused(tmp_path: Path, token: str) -> None:
    with pytest.raises(ConfigError, match="found a control character in the token"):
        Settings(folder=tmp_path, token=token)


def test_a_page_whose_address_names_another_site_is_not_left_for_it(open_to_all: TestClient) -> None:
    answer = open_to_all.get(f"http://studio.example//evil.example/x?token={TOKEN}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/evil.example/x")


LOCAL = st.one_of(st.integers(1, 2**24 - 2).map(lambda n: str(ip_address(0x7F000000 + n))), st.just("::1"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(host=LOCAL | st.sampled_from(["localhost", "LOCALHOST"]))
def test_whatever_asks_for_no_token_answers_to_this_machine_s_names_alone(tmp_path: Path, host: str) -> None:
    assert is_loopback(host)
    client = TestClient(Guard(PlainTextResponse("in"), Settings(folder=tmp_path, host=host)), "http://localhost")
    own = f"[{host}]:8010" if ":" in host else f"{host}:8010"
    for name, status in ((own, 200), ("localhost", 200), ("evil.com", 421), ("10.0.0.1:8010", 421), ("0.0.0.0", 421)):
        assert client.get("/", headers={"host": name}).status_code == status, name


@given(st.ip_addresses() | st.text(max_size=20))
@example("0.0.0.0")
@example("")
@example("::")
@example("127.1")
@example("0177.0.0.1")
@example("127.0.0.1.evil.com")
@example("::ffff:10.0.0.1")
def test_every_other_host_asks_for_a_token(host: object) -> None:
    name = str(host)
    try:
        ours = ip_address(name) in ip_network("127.0.0.0/8") or ip_address(name) == ip_address("::1")
    except ValueError:
        ours = name.lower() == "localhost"
    assert is_loopback(name) == ours


def test_a_page_of_another_version_is_told_to_load_again(local: TestClient) -> None:
    answer = local.get(STATUS, headers={"X-Exuvia-Version": "0.0.1"})
    assert answer.status_code == 409
    assert "reload the page" in answer.json()["detail"]
    assert local.get(STATUS, headers={"X-Exuvia-Version": __version__}).status_code == 200


def test_what_is_too_large_is_not_read(local: TestClient) -> None:
    answer = local.post("/api/v1/motion", json={"prompts": ["x" * 20_000]})
    assert answer.status_code == 413
    assert "more than 10,000 bytes" in answer.json()["detail"]

    def pieces() -> Iterator[bytes]:
        for _ in range(30):
            yield b"x" * 1000

    headers = {"content-type": "application/json"}
    assert local.post("/api/v1/motion", content=pieces(), headers=headers).status_code == 413


def test_no_more_jobs_wait_than_may(local: TestClient) -> None:
    codes = [local.post("/api/v1/motion", json={"prompts": ["a person walks"]}).status_code for _ in range(3)]
    assert codes == [202, 202, 429]


def test_one_damaged_job_does_not_hide_the_others(local: TestClient) -> None:
    bad, good = (local.post("/api/v1/motion", json={"prompts": ["a person walks"]}).json()["id"] for _ in range(2))
    for damage in ("request = '{'", "request = '{}'", "request = '{\"prompts\": []}'", "state = 'asleep'"):
        with local.app.state.context.queue.engine.begin() as link:  # type: ignore[attr-defined]
            link.execute(text(f"UPDATE jobs SET {damage} WHERE id = '{bad}'"))
        answer = local.get("/api/v1/jobs")
        assert answer.status_code == 200, damage
        assert {job["id"] for job in answer.json()} == {bad, good}
    assert "is damaged" in local.get(f"/api/v1/jobs/{bad}").json()["message"]
    assert local.delete(f"/api/v1/jobs/{bad}").status_code == 204


@pytest.mark.parametrize("damage", ["detail = '\"a\"'", "detail = '[1]'", "detail = '{'", "fps = 'x'", "frames = 'x'"])
def test_one_damaged_motion_does_not_hide_the_others(local: TestClient, damage: str) -> None:
    library = local.app.state.context.library  # type: ignore[attr-defined]
    job = local.post("/api/v1/motion", json={"prompts": ["a person walks"]}).json()["id"]
    row = {"clip": Clip(np.zeros((4, 22, 3), np.float32)), "prompt": "x", "job": job, "seed": None, "violence": None}
    with library.engine.begin() as link:
        bad, good = library.add_motions(link, [row | {"detail": {}} for _ in range(2)])
        link.execute(text(f"UPDATE motions SET {damage} WHERE id = '{bad}'"))
    assert good in {motion.id for motion in library.motions_of(job)}
    assert local.get(f"/api/v1/jobs/{job}").status_code == 200
    assert local.get(f"/api/v1/motions/{bad}").status_code == (200 if damage.startswith("detail") else 404)


def test_another_method_hears_all_that_are_allowed(local: TestClient) -> None:
    for path, allowed in (("generators/" + "0" * 32, "DELETE, GET, PATCH"), ("motions", "POST"), ("jobs", "GET")):
        answer = local.put(f"/api/v1/{path}", json={})
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert f"found PUT, expected one of {allowed}" == answer.json()["detail"]


def test_every_answer_is_sealed(local: TestClient) -> None:
    for path in ("/", STATUS, "/nothing", "/api/v1/jobs/x"):
        headers = local.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-exuvia-version"] == __version__


def test_a_report_stays_in_its_sandbox(local: TestClient) -> None:
    pages = {one["name"]: one["id"] for one in local.get("/api/v1/reports").json()}
    answer = local.get(f"/reports/{pages['numbers']}")
    assert answer.text == "<h1>numbers</h1>"
    assert answer.headers["content-security-policy"].startswith("sandbox allow-scripts; default-src 'none'")
    assert local.get(f"/reports/{pages['gone']}").status_code == 404
    assert local.get(f"/reports/{report_id('x')}").status_code == 404


@pytest.mark.parametrize("name", ["../app.py", "..%2fapp.py", "index.html", "%00", "studio.js/../../app.py"])
def test_only_the_page_s_own_files_can_be_read(local: TestClient, name: str) -> None:
    answer = local.get(f"/assets/{name}")
    assert answer.status_code in (404, 422)
    assert "import" not in answer.text


def test_a_full_disk_is_told(local: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    monkeypatch.setattr(local.app.state.context.queue, "submit", full)  # type: ignore[attr-defined]
    answer = local.post("/api/v1/motion", json={"prompts": ["a person walks"]})
    assert answer.status_code == 507
    assert "free some space" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--host", "0.0.0.0"], "can be reached by others; set a token"),
        (["--host", "0.0.0.0", "--token", "short"], "at least 16 characters"),
        (["--pipelines", "safe", "runs/no-such-run"], "--pipelines safe"),
        (["--pipelines", "base", "base"], "choose another name"),
        (["--data", "mocap", "no-such-folder"], "no-such-folder does not exist"),
        (["--host", "203.0.113.7", "--token", TOKEN], "cannot listen at 203.0.113.7"),
        (["--database", "nonsense"], "is not a usable database"),
    ],
)
def test_a_studio_that_cannot_be_started_says_why(
    options: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["studio", "--folder", str(tmp_path), "--port", "0", *options]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
