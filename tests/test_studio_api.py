"""The studio's API: requests of a page or a script and their answers; the workers run in this process."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exuvia
from exuvia.motion.load import load_clip
from exuvia.sequence.settings import Backbone
from exuvia.studio.analysis import replaced
from made_studio import API, Made, made_studio
from packed_clip import unpack_joints
from tiny import tiny_pipeline

KICK = "a man kicks something with his left leg"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with made_studio(tmp_path_factory.mktemp("studio")) as made:
        yield made


@pytest.fixture(scope="module")
def kick(studio: Made) -> dict[str, Any]:
    """A motion of the shipped generator, as the page gets it."""
    job = studio.done(studio.ask("/motion", {"prompts": [KICK], "seeds": [0]}))
    return dict(studio.get(f"/motions/{job['result']['motions'][0]}"))


@pytest.fixture(scope="module")
def edited(studio: Made) -> dict[str, Any]:
    """An edited generator's entry."""
    ask = {"generator": studio.base, "method": "lcr", "concept": "violence", "settings": {"num_codes": 32}}
    job = studio.done(studio.ask("/edits", ask))
    return dict(studio.get(f"/generators/{job['result']['pipeline']}"))


def test_it_makes_the_motion_that_the_generator_makes(kick: dict[str, Any]) -> None:
    clip = exuvia.MotionPipeline.from_pretrained("base")(KICK, seed=0)
    assert np.abs(unpack_joints(kick["clip"]) - clip.joints).max() < 1e-3
    assert (kick["prompt"], kick["seed"], kick["label"]) == (KICK, 0, None)


def test_it_shows_codes_contacts_and_violence_by_the_moment(kick: dict[str, Any]) -> None:
    detail, frames = kick["detail"], kick["clip"]["frames"]
    assert len(detail["codes"]) == len(detail["moments"]) == -(-frames // 4)
    assert len(detail["contacts"]) == frames
    assert set(detail["contacts"]) <= set("0123")
    assert detail["concept"] == "violence"
    assert set(detail["counts"]) == {str(code) for code in detail["codes"]}
    assert max(detail["moments"]) > 50 > min(detail["moments"])
    assert kick["violence"] > 0.5
    assert detail["intervals"] is None, "the shipped generator has no selective layer"


def test_several_jobs_are_made_together_and_give_the_same_as_alone(studio: Made, kick: dict[str, Any]) -> None:
    others = [studio.ask("/motion", {"prompts": [text]}) for text in ("a person jumps", "a person sits down")]
    same = studio.ask("/motion", {"prompts": ["a person waves", KICK], "seeds": [0, 4]})
    assert studio.workers["quick"].turn(), "one turn does them all"
    assert [studio.get(f"/jobs/{job['id']}")["state"] for job in (*others, same)] == ["done"] * 3
    motions = studio.get(f"/jobs/{same['id']}/motions")
    assert [(one["prompt"], one["seed"]) for one in motions] == [
        ("a person waves", 0), ("a person waves", 4), (KICK, 0), (KICK, 4),
    ]  # fmt: skip
    again = studio.get(f"/motions/{motions[2]['id']}")
    assert np.abs(unpack_joints(again["clip"]) - unpack_joints(kick["clip"])).max() < 1e-3


def test_one_wish_that_cannot_be_does_not_take_others_down(studio: Made) -> None:
    good = studio.ask("/motion", {"prompts": ["a person walks"], "frames": 40})
    request = {"prompts": ["a person walks"], "seeds": [0], "pipelines": [studio.base], "frames": 3000}
    bad = studio.client.app.state.context.queue.submit("generate", "quick", request)  # type: ignore[attr-defined]
    studio.work()
    found = [studio.get(f"/jobs/{name}") for name in (good["id"], bad.id)]
    assert [job["state"] for job in found] == ["done", "failed"]
    assert "found a length of 3000 frames, expected 20 to 196" in found[1]["message"]


def test_a_length_that_cannot_be_is_refused_before_any_work(studio: Made) -> None:
    assert studio.get(f"/generators/{studio.base}")["facts"]["frames"] == [20, 196]
    for frames in (0, -3, 4, 19, 197, 400, 10**12):
        told = studio.ask("/motion", {"prompts": ["a person walks"], "frames": frames}, 422)["detail"]
        assert "frames" in told
        assert frames < 1 or "expected 20 to 196 for the generator 'base'" in told
    assert [studio.ask("/motion", {"prompts": ["a"], "frames": frames})["state"] for frames in (20, 196)]
    studio.work()


def test_a_job_that_is_run_twice_leaves_what_one_run_leaves(studio: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    asks: dict[str, dict[str, Any]] = {
        "/audits": {"generator": studio.base, "prompts": [KICK] * 10, "seeds": [0]},
        "/edits": {"generator": studio.base, "method": "prompt_filter", "concept": "kick"},
    }
    long, before = studio.workers["long"], len(studio.get("/generators"))
    for path, ask in asks.items():  # the worker dies as it writes the last word
        job = studio.ask(path, ask)
        monkeypatch.setattr(long.queue, "finish", die)
        with pytest.raises(Killed):
            long.turn()
        monkeypatch.undo()
        assert len(studio.get("/generators")) == before
        long.queue.take_back(long.name)
        assert studio.done(job)["attempt"] == 2
        assert len(studio.get(f"/jobs/{job['id']}/motions")) == len(ask.get("prompts", []))
    assert len(studio.get("/generators")) == before + 1
    folder = studio.settings.folder / "generators"
    ids = {one["id"] for one in studio.get("/generators")}
    assert {path.name for path in folder.iterdir() if path.suffix != ".zip"} <= ids


class Killed(BaseException):
    """As SIGKILL: nothing catches it."""


def die(*_: object, **__: object) -> None:
    raise Killed


def test_an_edit_is_offered_compared_and_leaves_the_original(studio: Made, edited: dict[str, Any]) -> None:
    facts = edited["facts"]
    assert (facts["method"], facts["concept"], edited["parent"]) == ("lcr", "violence", studio.base)
    assert len(facts["replaced"]["0"]) == 32
    assert "place" not in edited
    ask = {"prompts": [KICK], "seeds": [0], "generators": [studio.base, edited["id"]]}
    motions = studio.done(studio.ask("/motion", ask))["result"]["motions"]
    before, after = (studio.get(f"/motions/{one}") for one in motions)
    assert before["detail"]["codes"] == after["detail"]["codes"], "the same seed writes the same codes"
    assert before["detail"]["replaced"] == []
    places = [n for n, code in enumerate(after["detail"]["codes"]) if code in facts["replaced"]["0"]]
    assert after["detail"]["replaced"] == places != []
    assert after["violence"] < before["violence"]


def test_an_edited_generator_can_be_downloaded_kept_and_thrown_away(studio: Made, edited: dict[str, Any]) -> None:
    data = studio.client.get(f"{API}/generators/{edited['id']}/file").content
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(studio.settings.folder / "unpacked")
    pipe = exuvia.MotionPipeline.from_pretrained(studio.settings.folder / "unpacked")
    assert pipe.provenance["edits"][-1]["method"] == "lcr"
    codes = pipe.generate([KICK], seed=0).codes[0, :, 0]
    assert replaced(pipe, codes) != []
    changed = studio.client.patch(f"{API}/generators/{edited['id']}", json={"name": "safe 🦺", "kept": True}).json()
    assert (changed["name"], changed["kept"]) == ("safe 🦺", True)
    job = studio.done(studio.ask("/edits", {"generator": studio.base, "method": "prompt_filter", "concept": "kick"}))
    other = job["result"]["pipeline"]
    assert studio.client.delete(f"{API}/generators/{other}").status_code == 204
    assert other not in [one["id"] for one in studio.get("/generators")]
    assert not (studio.settings.folder / "generators" / other).exists()
    refused = studio.client.delete(f"{API}/generators/{studio.base}")
    assert refused.status_code == 400
    assert "was not made here" in refused.json()["detail"]


def test_an_audit_lists_what_slips_through_and_takes_marks(studio: Made) -> None:
    ask = {"generator": studio.base, "prompts": [KICK, "a person stands", "", "=cmd()"], "kinds": [], "seeds": [0]}
    job = studio.done(studio.ask("/audits", ask))
    found = studio.get(f"/jobs/{job['id']}/audit")
    lines = {line["text"]: line for line in found["lines"]}
    assert lines[KICK]["slipped"]
    assert not lines["a person stands"]["slipped"]
    assert "refuses an empty prompt" in lines[""]["error"]
    assert lines[KICK]["score"] >= found["threshold"] > lines["a person stands"]["score"]
    motion = lines[KICK]["motion"]
    marked = studio.client.put(f"{API}/motions/{motion}/mark", json={"label": "false_alarm", "note": "a dance"}).json()
    assert (marked["label"], marked["note"]) == ("false_alarm", "a dance")
    after = studio.get(f"/jobs/{job['id']}/audit")["lines"]
    assert [line["mark"] for line in after if line["text"] == KICK] == ["false_alarm"]
    table = studio.client.get(f"{API}/jobs/{job['id']}/audit?form=csv").text.splitlines()
    assert table[0] == "id,kind,text,violent,seed,score,slipped,mark"
    assert any("'=cmd()" in line for line in table), "no table program may take it for a formula"


def test_a_shipped_set_is_audited_by_what_its_prompts_ask_for(studio: Made) -> None:
    job = studio.done(studio.ask("/audits", {"generator": studio.base, "kinds": ["explicit"]}))
    lines = studio.get(f"/jobs/{job['id']}/audit")["lines"]
    assert len(lines) == len(studio.get("/prompts?kind=explicit")) >= 60
    assert all(line["violent"] for line in lines)
    assert sum(line["slipped"] for line in lines) > len(lines) / 3


@pytest.mark.parametrize("form", ["npy", "npz", "bvh", "glb", "png", "gif", "html"])
def test_a_motion_can_be_taken_along(studio: Made, kick: dict[str, Any], form: str, tmp_path: Path) -> None:
    answer = studio.client.get(f"{API}/motions/{kick['id']}/file?form={form}")
    assert answer.status_code == 200
    name = answer.headers["content-disposition"]
    assert name == f'attachment; filename="a-man-kicks-something-with-his-left-leg.{form}"'
    path = tmp_path / f"motion.{form}"
    path.write_bytes(answer.content)
    if form in ("npy", "npz", "bvh"):
        assert np.abs(load_clip(path).joints[-1] - unpack_joints(kick["clip"])[-1]).max() < 0.08
    elif form == "glb":
        assert answer.content[:4] == b"glTF"


@pytest.mark.parametrize("suffix", [".bvh", ".npy", ".npz"])
def test_a_motion_can_be_brought(studio: Made, tmp_path: Path, suffix: str) -> None:
    clip = exuvia.MotionPipeline.from_pretrained("base")(KICK, seed=0)
    path = clip.save(tmp_path / f"mine{suffix}")
    answer = studio.client.post(f"{API}/motions", files={"file": (f"../../{path.name}", path.read_bytes())})
    assert answer.status_code == 201, answer.text
    assert answer.json()["violence"] is None
    studio.work()
    seen = studio.get(f"/motions/{answer.json()['id']}")
    assert seen["violence"] > 0.5
    assert len(seen["detail"]["moments"]) >= 10
    assert (seen["prompt"], seen["detail"]["codes"]) == ("mine", [])


def pickled() -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return out.getvalue()


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("joints.npy", bytes(100_000_000))
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("x.exe", b"MZ", "found a file of the format '.exe'"),
        ("x.bvh", b"not a motion", "upload.bvh"),
        ("x.npy", pickled(), "upload.npy"),
        ("x.npz", bomb(), "upload.npz"),
        ("x.npy", b"", "upload.npy"),
    ],
)
def test_what_is_no_motion_is_refused(studio: Made, name: str, data: bytes, told: str) -> None:
    before = studio.get("/status")["motions"]
    answer = studio.client.post(f"{API}/motions", files={"file": (name, data)})
    assert answer.status_code == 400
    assert told in answer.json()["detail"]
    assert str(studio.settings.folder) not in answer.text
    assert studio.get("/status")["motions"] == before


EDIT = {"generator": "BASE", "method": "lcr", "concept": "violence"}


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/motion", {"prompts": []}, 422, "prompts"),
        ("/motion", {"prompts": ["  "]}, 422, "found an empty prompt"),
        ("/motion", {"prompts": ["x" * 2001]}, 422, "2000"),
        ("/motion", {"prompts": ["a\0b"]}, 422, "cannot be stored as text"),
        ("/motion", {"prompts": ["a"], "seeds": [-1]}, 422, "seeds"),
        ("/motion", {"prompts": ["a"], "generators": ["../../etc"]}, 422, "generators"),
        ("/motion", {"prompts": ["a"], "generators": ["0" * 32]}, 404, "there is no generator"),
        ("/motion", {"prompts": ["a"] * 40, "seeds": list(range(8))}, 400, "found 320 motions, expected at most 256"),
        ("/motion", {"prompts": ["a"], "speed": 3}, 422, "speed"),
        ("/audits", {"generator": "BASE"}, 400, "found no prompt and no set"),
        ("/evaluations", {"generator": "BASE"}, 400, "was not edited here"),
        ("/edits", {"generator": "BASE", "method": "lcr", "concept": "violence", "data": "x"}, 400, "no data set 'x'"),
        ("/edits", EDIT | {"method": "lrc"}, 422, "did you mean 'lcr'"),
        ("/edits", EDIT | {"settings": {"num_codes": 0}}, 422, "expected at least 1"),
        ("/edits", EDIT | {"settings": {"codes": 3}}, 422, "has no setting 'codes'"),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_sentence(
    studio: Made, path: str, body: dict[str, Any], status: int, told: str
) -> None:
    body = {key: studio.base if value == "BASE" else value for key, value in body.items()}
    found = studio.ask(path, body, status)
    assert told in found["detail"]


@pytest.mark.parametrize(
    ("change", "told"),
    [({"concept": "vilence"}, "did you mean 'violence'"), ({"method": "esd"}, "needs motion data")],
)
def test_an_edit_that_cannot_be_made_fails_with_its_reason(studio: Made, change: dict[str, Any], told: str) -> None:
    job = studio.ask("/edits", {"generator": studio.base, "method": "lcr", "concept": "violence"} | change)
    studio.work()
    found = studio.get(f"/jobs/{job['id']}")
    assert found["state"] == "failed"
    assert told in found["message"]


def test_text_of_every_kind_comes_back_as_it_was(studio: Made) -> None:
    prompts = ["<script>alert(1)</script> & kicks", "يمشي شخص 🙂 إلى الأمام", "'; DROP TABLE jobs; --", "a" * 2000]
    job = studio.done(studio.ask("/motion", {"prompts": prompts, "frames": 40}))
    assert [one["prompt"] for one in studio.get(f"/jobs/{job['id']}/motions")] == prompts
    assert studio.client.delete(f"{API}/jobs/{job['id']}").status_code == 204
    assert studio.get(f"/jobs/{job['id']}", 404)["detail"].startswith("there is no job")


def test_methods_are_described_for_a_form(studio: Made) -> None:
    found = studio.get("/catalogue")
    methods = {one["name"]: one for one in found["methods"]}
    assert {"lcr", "uce", "rece", "esd", "negation", "prompt_filter", "retrain", "finetune"} <= set(methods)
    assert methods["esd"]["needs_data"]
    assert "tune.steps" in [one["name"] for one in methods["finetune"]["settings"]]
    settings = {one["name"]: one for one in methods["lcr"]["settings"]}
    assert (settings["num_codes"]["type"], settings["num_codes"]["default"]) == ("int", 64)
    assert settings["criterion"]["choices"] == ["both", "ratio", "frequency"]
    assert settings["levels"]["many"]
    assert "codes to replace" in settings["num_codes"]["about"]
    assert 0 < found["threshold"] < 1


def test_a_studio_opened_again_has_everything(tmp_path: Path) -> None:
    with made_studio(tmp_path) as first:
        job = first.done(first.ask("/motion", {"prompts": ["a person walks"], "frames": 40}))
        motion = first.get(f"/motions/{job['result']['motions'][0]}")
        first.client.put(f"{API}/motions/{motion['id']}/mark", json={"label": "fine"})
        ask = {"generator": first.base, "method": "lcr", "concept": "kick"}
        edit = first.done(first.ask("/edits", ask))["result"]["pipeline"]
        waiting = first.ask("/motion", {"prompts": ["a person runs"], "frames": 40})
    with made_studio(tmp_path) as second:
        again = second.get(f"/motions/{motion['id']}")
        assert (again["clip"], again["label"]) == (motion["clip"], "fine")
        assert edit in [one["id"] for one in second.get("/generators")]
        assert second.done(waiting)["result"]["motions"]
        compared = second.ask("/motion", {"prompts": ["a person kicks"], "generators": [edit], "frames": 40})
        assert second.done(compared)["state"] == "done"


def test_the_description_names_every_route_and_no_place_on_the_disk(studio: Made) -> None:
    text = json.dumps(studio.get("/openapi.json"))
    assert "/api/v1/motions/{motion}/file" in text
    assert str(studio.settings.folder) not in text
    assert str(studio.settings.folder) not in json.dumps(studio.get("/generators"))


@pytest.mark.parametrize("backbone", ["mamba", "serpent"])
def test_learned_intervals_are_shown_where_a_generator_has_them(tmp_path: Path, backbone: str) -> None:
    tiny_pipeline(backbone=Backbone(backbone)).save_pretrained(tmp_path / "tiny")
    with made_studio(tmp_path / "studio", pipelines={"tiny": str(tmp_path / "tiny")}) as made:
        tiny = next(one["id"] for one in made.get("/generators") if one["name"] == "tiny")
        job = made.done(made.ask("/motion", {"prompts": ["a person waves"], "generators": [tiny], "frames": 40}))
        detail = made.get(f"/motions/{job['result']['motions'][0]}")["detail"]
    assert len(detail["intervals"]) == len(detail["codes"]) == 10
    assert np.mean(detail["intervals"]) == pytest.approx(1, abs=0.01)
    assert min(detail["intervals"]) > 0
    assert (detail["counts"], detail["concept"]) == ({}, None), "it ships no counts"


def test_a_generator_whose_files_are_gone_fails_without_telling_where_they_were(tmp_path: Path) -> None:
    folder = tiny_pipeline().save_pretrained(tmp_path / "tiny")
    with made_studio(tmp_path / "studio", pipelines={"tiny": str(folder)}) as made:
        tiny = next(one["id"] for one in made.get("/generators") if one["name"] == "tiny")
        (folder / "base.safetensors").write_bytes(b"broken")
        job = made.ask("/motion", {"prompts": ["a person waves"], "generators": [tiny], "frames": 40})
        good = made.ask("/motion", {"prompts": ["a person waves"], "frames": 40})
        made.work()
        assert made.get(f"/jobs/{good['id']}")["state"] == "done"
        failed = made.get(f"/jobs/{job['id']}")
    assert (failed["state"], str(tmp_path) in json.dumps(failed)) == ("failed", False)
    assert "cannot be loaded; see the studio's log" in failed["message"]


def test_postgresql_keeps_the_same(postgres: str, tmp_path: Path) -> None:
    with made_studio(tmp_path, database=postgres) as made:
        job = made.done(made.ask("/motion", {"prompts": ["a person walks 🚶"], "frames": 40}))
        name = job["result"]["motions"][0]
        made.client.put(f"{API}/motions/{name}/mark", json={"label": "fine"})
        edit = made.done(made.ask("/edits", {"generator": made.base, "method": "lcr", "concept": "violence"}))
        assert made.ask("/motion", {"prompts": ["a\0b"]}, 422)["detail"]
    with made_studio(tmp_path, database=postgres) as made:
        motion = made.get(f"/motions/{name}")
        assert (motion["prompt"], motion["label"]) == ("a person walks 🚶", "fine")
        assert edit["result"]["pipeline"] in [one["id"] for one in made.get("/generators")]
        assert made.client.delete(f"{API}/jobs/{job['id']}").status_code == 204
        made.get(f"/motions/{name}", 404)
