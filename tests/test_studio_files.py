"""Files in and out of the studio: downloads have the switches of the command line, uploads say how they were read."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exuvia
from exuvia.motion.bvh import parse_bvh, pose
from exuvia.motion.load import load_clip
from exuvia.motion.output import Output
from exuvia.motion.skeleton import SMPL22
from exuvia.registry import IMPORTER
from exuvia.studio.reading import FIELDS, in_fields
from exuvia.studio.settings import Limits
from lab.made_rigs import RIGS, bvh_of, gltf_of
from made_studio import API, Made, made_studio
from packed_clip import unpack_joints

KICK = "a man kicks something with his left leg"
CMU_M = 0.0254 / 0.45


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with made_studio(tmp_path_factory.mktemp("studio"), limits=Limits(frames=250)) as made:
        yield made


@pytest.fixture(scope="module")
def clip() -> exuvia.Clip:
    return exuvia.MotionPipeline.from_pretrained("base")(KICK, seed=0)


@pytest.fixture(scope="module")
def edited(studio: Made) -> str:
    ask = {"generator": studio.base, "method": "lcr", "concept": "violence", "settings": {"num_codes": 32}}
    return str(studio.done(studio.ask("/edits", ask))["result"]["pipeline"])


@pytest.fixture(scope="module")
def motions(studio: Made, edited: str) -> list[dict[str, Any]]:
    """The same prompt and seed of the shipped generator and of an edited one, as the page compares them."""
    job = studio.done(studio.ask("/motion", {"prompts": [KICK], "generators": [studio.base, edited]}))
    return [studio.get(f"/motions/{name}") for name in job["result"]["motions"]]


def file_of(studio: Made, motion: dict[str, Any], **switches: Any) -> bytes:
    answer = studio.client.get(f"{API}/motions/{motion['id']}/file", params=switches)
    assert answer.status_code == 200, answer.text
    return answer.content


def gltf_in(data: bytes) -> dict[str, Any]:
    return dict(json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")]))


def spread_m(joints: np.ndarray) -> float:
    """Largest difference of a bone's lengths over time."""
    bones = joints[:, 1:] - joints[:, list(SMPL22.parents[1:])]
    return float(np.ptp(np.linalg.norm(bones.astype(np.float64), axis=-1), axis=0).max())


def test_preview_comparison_and_files_show_the_same_rigid_body(
    studio: Made, motions: list[dict[str, Any]], clip: exuvia.Clip, tmp_path: Path
) -> None:
    decoded = exuvia.MotionPipeline.from_pretrained("base")(KICK, seed=0, raw=True)
    assert spread_m(decoded.joints) > 0.01
    assert np.abs(decoded.joints - clip.joints).max() > 0.01
    for motion in motions:
        seen = unpack_joints(motion["clip"])
        assert spread_m(seen) < 1e-3, "the packed joints are rounded"
        for form in ("npy", "npz", "bvh", "glb"):
            (tmp_path / f"a.{form}").write_bytes(file_of(studio, motion, form=form))
            taken = load_clip(tmp_path / f"a.{form}").joints
            assert spread_m(taken) < 1e-5, form
            assert np.abs(taken - seen).max() < 1e-3, form
    assert np.abs(unpack_joints(motions[0]["clip"]) - clip.joints).max() < 1e-3
    assert np.abs(unpack_joints(motions[0]["clip"]) - unpack_joints(motions[1]["clip"])).max() > 0.05


def test_files_state_their_origin(studio: Made, motions: list[dict[str, Any]]) -> None:
    about = [gltf_in(file_of(studio, motion))["asset"]["extras"] for motion in motions]
    for facts, motion in zip(about, motions, strict=True):
        assert facts == motion["origin"]
        assert (facts["prompt"], facts["seed"]) == (KICK, 0)
        assert facts["generator"].startswith("exuvia ")
        assert facts["licence"]
    assert not {"edits", "concept"} & set(about[0])
    assert (about[1]["edits"], about[1]["concept"]) == ("lcr", "violence")
    head = studio.client.get(f"{API}/motions/{motions[1]['id']}/file").headers["content-disposition"]
    assert head == 'attachment; filename="a-man-kicks-something-with-his-left-leg-without-violence.glb"'
    assert "extras" not in gltf_in(file_of(studio, motions[1], origin=False))["asset"]
    brought = bring(studio, "kick.bvh", file_of(studio, motions[1], form="bvh"))
    assert brought["origin"] == {key: str(value) for key, value in about[1].items()} | {"file": "kick.bvh"}
    bare = bring(studio, "my walk.npy", file_of(studio, motions[0], form="npy"))
    assert gltf_in(file_of(studio, bare))["asset"]["extras"] == {"file": "my walk.npy"}, "its name is no prompt"


@pytest.mark.parametrize(
    ("form", "switches"),
    [
        ("glb", {"rig": "unity", "in_place": True, "loop": True}),
        ("glb", {"rig": "mixamo", "root_bone": True, "origin": False}),
        ("bvh", {"rig": "unreal", "unit": "cm", "fps": 30.0}),
        ("npy", {"in_place": True, "fps": 10.0}),
    ],
)
def test_a_download_has_the_switches_of_the_command_line(
    studio: Made, motions: list[dict[str, Any]], clip: exuvia.Clip, form: str, switches: dict[str, Any], tmp_path: Path
) -> None:
    data = file_of(studio, motions[0], form=form, **switches)
    output = Output(**switches)
    expected = output.save(output.finished(clip), tmp_path / f"a.{form}").read_bytes()
    if form == "npy":
        np.testing.assert_allclose(np.load(io.BytesIO(data)), np.load(io.BytesIO(expected)), atol=1e-3)
        assert np.abs(np.load(io.BytesIO(data))[:, 0, [0, 2]]).max() == 0
    elif form == "glb":
        ours, theirs = gltf_in(data), gltf_in(expected)
        assert [node["name"] for node in ours["nodes"]] == [node["name"] for node in theirs["nodes"]]
        assert ours["asset"].keys() == theirs["asset"].keys()
        assert [one["count"] for one in ours["accessors"]] == [one["count"] for one in theirs["accessors"]]
        assert {"unity": "LeftUpperLeg", "mixamo": "root"}[switches["rig"]] in [node["name"] for node in ours["nodes"]]
    else:
        ours_bvh, theirs_bvh = (parse_bvh(text.decode()) for text in (data, expected))
        assert ours_bvh.names == theirs_bvh.names
        assert ours_bvh.fps == pytest.approx(30)
        np.testing.assert_allclose(pose(ours_bvh), pose(theirs_bvh), atol=0.1)


@pytest.mark.parametrize(
    ("switches", "told"),
    [
        ({"rig": "maya"}, "rig: Input should be 'exact', 'smpl', 'mixamo', 'unity' or 'unreal'"),
        ({"form": "bvh", "unit": "foot"}, "unit: Input should be 'm', 'dm', 'cm', 'mm' or 'inch'"),
        ({"root_bone": "perhaps"}, "root_bone: Input should be a valid boolean"),
        ({"fps": 0}, "fps: Input should be greater than 0"),
        ({"fps": "nan"}, "fps"),
        ({"fps": 100}, "frames, expected at most 250"),
        (
            {"form": "png", "rig": "unity"},
            "found .png, which has no skeleton; pass rig= or root_bone= for .bvh or .glb",
        ),
        ({"form": "glb", "unit": "cm"}, "found .glb, which is in metres; pass unit= for .bvh"),
        ({"form": "fbx"}, "form: Input should be"),
    ],
)
def test_switches_that_cannot_be_are_told(
    studio: Made, motions: list[dict[str, Any]], switches: dict[str, Any], told: str
) -> None:
    answer = studio.client.get(f"{API}/motions/{motions[0]['id']}/file", params=switches)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]


def test_the_page_gets_lists_of_formats_and_switches(studio: Made) -> None:
    found = studio.get("/catalogue")
    assert found["uploads"] == [suffix for suffix in IMPORTER if suffix != ".amc"]
    output = {one["name"]: one for one in found["output"]}
    assert output["rig"]["choices"] == ["exact", "smpl", "mixamo", "unity", "unreal"]
    assert {"root_bone", "unit", "in_place", "loop", "fps", "origin"} < set(output)
    parameters = studio.get("/openapi.json")["paths"]["/api/v1/motions/{motion}/file"]["get"]["parameters"]
    assert set(output) < {one["name"] for one in parameters}


def bring(studio: Made, name: str, data: bytes, status: int = 201, **facts: Any) -> dict[str, Any]:
    answer = studio.client.post(f"{API}/motions", files={"file": (name, data)}, data=facts)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def npy(joints: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, joints)
    return out.getvalue()


def test_a_gltf_comes_alone_or_is_refused(studio: Made, motions: list[dict[str, Any]]) -> None:
    text = gltf_of(bvh_of(RIGS["unity"])[0])
    assert "unit      " in bring(studio, "a.gltf", text.encode())["understood"]
    glb = bring(studio, "kick.glb", file_of(studio, motions[0], rig="unreal"))
    assert np.abs(unpack_joints(glb["clip"]) - unpack_joints(motions[0]["clip"])).max() < 0.02
    apart = json.dumps(json.loads(text) | {"buffers": [{"uri": "a.bin", "byteLength": 4}]})
    told = bring(studio, "a.gltf", apart.encode(), 400)["detail"]
    assert "a.bin does not exist next to the file, which needs it; export .glb instead" in told
    assert ".amc" in bring(studio, "a.amc", b"", 400)["detail"]


def test_doubts_name_the_fields_of_an_upload_which_settle_them(studio: Made, clip: exuvia.Clip) -> None:
    odd = npy(clip.joints / CMU_M)
    brought = bring(studio, "odd.npy", odd)
    (doubt,) = brought["doubts"]
    assert doubt.endswith('if not, give "Unit in metres" (source_unit_m)')
    assert doubt in brought["understood"]
    studio.work()
    seen = studio.get(f"/motions/{brought['id']}")
    assert (seen["doubts"], seen["understood"]) == ([doubt], brought["understood"])
    assert seen["violence"] is not None
    settled = bring(studio, "odd.npy", odd, source_unit_m=CMU_M, source_up="y", source_fps="")
    assert settled["doubts"] == []
    assert "sure?     no doubt" in settled["understood"]
    refused = bring(studio, "odd.npy", npy(clip.joints * 1e6), 400)["detail"]
    assert refused.endswith('give the unit with "Unit in metres" (source_unit_m)')


def test_facts_of_an_upload_are_used(studio: Made, clip: exuvia.Clip) -> None:
    z_up = npy(clip.joints[..., [0, 2, 1]] * [-1, 1, 1])
    brought = bring(studio, "z.npy", z_up, source_up="z", source_fps="40")
    assert brought["frames"] == -(-clip.frames // 2)
    assert f"{clip.frames} frames at 40 a second" in brought["understood"], "as in the file"
    np.testing.assert_allclose(unpack_joints(brought["clip"]), clip.joints[::2], atol=1e-3)
    for name, value, told in (
        ("source_up", "x", "source_up: Input should be 'y' or 'z'"),
        ("source_unit_m", "-1", "source_unit_m: Input should be greater than 0"),
        ("source_unit_m", "cm", "source_unit_m: Input should be a valid number"),
        ("source_fps", "1001", "source_fps: Input should be less than or equal to 1000"),
        ("source_fps", "1", "frames at 20 a second, expected at most 250"),
    ):
        status = 400 if value == "1" else 422
        assert told in bring(studio, "z.npy", z_up, status, **{name: value})["detail"]


def test_no_message_names_an_argument_of_python() -> None:
    for name in FIELDS:
        assert in_fields(f"give Source({name}=...)") == f'give "{FIELDS[name]}" (source_{name})'
    assert in_fields("a file: Source(body_models=...)") == "a file: exuvia convert --body-models"
