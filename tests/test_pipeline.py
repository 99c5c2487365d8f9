"""Text to motion: seeds, batches, lengths, saving, bad prompts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia import Clip, MotionPipeline
from exuvia.checkpoint import load_tensors, save_tensors
from exuvia.data.concepts import find_concept
from exuvia.errors import CheckpointError, ConfigError
from exuvia.files import write_json
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.prompt_guard import LearnedDetector, PromptGuard, WordDetector
from exuvia.readers import read_json
from exuvia.text.hashed import HashedText
from tiny import tiny_pipeline

PIPE = tiny_pipeline()
PROMPTS = ["a person walks forward", "someone kicks with the left leg", "a man waves"]


def test_one_prompt_gives_a_clip_and_several_a_list() -> None:
    clip = PIPE("a person walks forward", seed=1)
    assert isinstance(clip, Clip)
    assert clip.fps == 20
    assert clip.caption == "a person walks forward"
    assert len(PIPE(PROMPTS)) == 3


@settings(max_examples=10, deadline=None)
@given(seeds=st.lists(st.integers(0, 2**40), min_size=3, max_size=3), order=st.permutations(range(3)))
def test_a_prompt_and_seed_give_the_same_motion_in_any_batch(seeds: list[int], order: list[int]) -> None:
    together = PIPE.generate([PROMPTS[i] for i in order], seed=[seeds[i] for i in order], batch_size=2)
    for row, i in enumerate(order):
        alone = PIPE.generate([PROMPTS[i]], seed=seeds[i])
        assert int(alone.lengths[0]) == int(together.lengths[row])
        assert torch.equal(alone.codes[0], together.codes[row, : int(alone.lengths[0])])
        assert alone.clips[0].joints.tobytes() == together.clips[row].joints.tobytes()


def test_devices_and_scales_that_are_none_are_refused(tmp_path: Path) -> None:
    folder = tiny_pipeline().save_pretrained(tmp_path / "tiny")
    for device in ("cuda:99", "tpv"):
        with pytest.raises(ConfigError, match=device):
            MotionPipeline.from_pretrained(folder, device=device)
    with pytest.raises(ConfigError, match="expected a finite number"):
        tiny_pipeline()("a man walks", cond_scale=float("nan"))


def test_seeds_differ() -> None:
    a, b = (PIPE.generate([PROMPTS[0]], seed=s, frames=80).codes for s in (0, 1))
    assert not torch.equal(a, b)


@pytest.mark.parametrize("frames", [20, 60, 196])
def test_length_is_what_was_asked_for(frames: int) -> None:
    assert PIPE(PROMPTS[0], frames=frames).frames == frames


@pytest.mark.parametrize("frames", [0, 7, 197, 100_000])
def test_lengths_out_of_range_are_named(frames: int) -> None:
    with pytest.raises(ConfigError, match=f"{frames} frames, expected 20 to 196"):
        PIPE(PROMPTS[0], frames=frames)


@pytest.mark.parametrize(("prompt", "said"), [("", "empty"), ("  \n", "empty"), ("walk " * 10_000, "10000 words")])
def test_bad_prompts_are_named(prompt: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        PIPE(prompt)


def test_unknown_sampling_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'temperature'"):
        PIPE(PROMPTS[0], temprature=2.0)


def test_saved_and_loaded_gives_the_same_motion(tmp_path: Path) -> None:
    PIPE.save_pretrained(tmp_path / "run")
    again = MotionPipeline.from_pretrained(tmp_path / "run", text=HashedText())
    assert np.array_equal(PIPE(PROMPTS[0], seed=4).joints, again(PROMPTS[0], seed=4).joints)
    assert again.provenance == PIPE.provenance


def test_half_precision_files_are_half_as_large(tmp_path: Path) -> None:
    PIPE.save_pretrained(tmp_path / "full")
    PIPE.save_pretrained(tmp_path / "half", half=True)
    sizes = [(tmp_path / name / "base.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.7 * sizes[0]
    assert MotionPipeline.from_pretrained(tmp_path / "half")(PROMPTS[0]).frames > 0


def test_a_clone_shares_no_weights() -> None:
    twin = PIPE.clone()
    twin.tokenizer.quantizer.layers[0].codebook.zero_()
    twin.provenance["edits"].append("x")
    assert PIPE.tokenizer.quantizer.layers[0].codebook.abs().sum() > 0
    assert PIPE.provenance["edits"] == []


def test_a_checkpoint_of_another_architecture_is_named(tmp_path: Path) -> None:
    PIPE.save_pretrained(tmp_path / "run")
    config = read_json(tmp_path / "run" / "config.json")
    config["base"]["num_layers"] = 2
    write_json(tmp_path / "run" / "config.json", config)
    with pytest.raises(CheckpointError, match=r"missing.*seqTransEncoder"):
        MotionPipeline.from_pretrained(tmp_path / "run")


def test_an_older_folder_makes_the_same_motion(tmp_path: Path) -> None:
    """It says `mask` for what is `base` now, a backbone in one word, and nothing of the kind."""
    pipe = PIPE.clone()
    pipe.provenance["parts"] = {"mask": {"step": 7}}
    pipe.guards = [
        PromptGuard(WordDetector(find_concept("kick")), base=pipe.base),
        PromptGuard(WordDetector(find_concept("violence")), "a person walks"),
    ]
    folder = pipe.save_pretrained(tmp_path / "run")
    config = read_json(folder / "config.json")
    assert list(config)[2:6] == ["tokenizer", "base", "residual", "length"]
    for place in (config, config["guards"][0]):
        old = place.pop("base")
        place["mask"] = {name: value for name, value in old.items() if name not in ("kind", "backbone")}
    write_json(folder / "config.json", config)
    (folder / "base.safetensors").rename(folder / "mask.safetensors")
    tensors = load_tensors(folder / "guard0.safetensors")
    save_tensors(folder / "guard0.safetensors", {f"mask{name[4:]}": value for name, value in tensors.items()})
    loaded = MotionPipeline.from_pretrained(folder)
    assert pipeline_hash(loaded) == pipeline_hash(pipe)
    assert loaded.provenance["parts"] == {"base": {"step": 7}}
    assert np.array_equal(loaded(PROMPTS[0], seed=3).joints, pipe(PROMPTS[0], seed=3).joints)
    again = loaded.save_pretrained(tmp_path / "again")
    assert (again / "base.safetensors").is_file()
    assert "mask" not in read_json(again / "config.json")


def test_missing_and_misnamed_checkpoints_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no generator 'bose'"):
        MotionPipeline.from_pretrained("bose")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        MotionPipeline.from_pretrained(tmp_path)
    PIPE.save_pretrained(tmp_path / "run")
    tensors = load_tensors(tmp_path / "run" / "length.safetensors")
    tensors.pop(next(iter(tensors)))
    save_tensors(tmp_path / "run" / "length.safetensors", tensors)
    with pytest.raises(CheckpointError, match="1 missing"):
        MotionPipeline.from_pretrained(tmp_path / "run")


def test_progress_is_reported() -> None:
    seen: list[tuple[int, int]] = []
    PIPE.generate(PROMPTS, batch_size=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 3), (3, 3)]


def test_lower_precision_makes_nearly_the_same_motion_and_leaves_the_weights(tmp_path: Path) -> None:
    folder = PIPE.save_pretrained(tmp_path / "tiny")
    exact, rough = (MotionPipeline.from_pretrained(folder, dtype=dtype) for dtype in ("float32", "bfloat16"))
    assert all(torch.equal(value, exact.base.state_dict()[name]) for name, value in rough.base.state_dict().items())
    one, other = (pipe.generate(PROMPTS, seed=5, frames=120) for pipe in (exact, rough))
    assert torch.equal(one.lengths, other.lengths)
    assert (one.codes == other.codes).float().mean() > 0.3  # codes are drawn: close logits often give the same ones
    assert np.isfinite(other.clips[0].joints).all()
    with pytest.raises(ConfigError, match="did you mean 'bfloat16'"):
        MotionPipeline.from_pretrained(folder, dtype="bfloat")


def same_in_any_batch(pipe: MotionPipeline, prompts: list[str], frames: list[int] | None) -> None:
    """Every motion alone, in a batch of three, of all, and in batches of four: equal codes, equal bytes of joints."""
    seeds = [7 * row for row in range(len(prompts))]

    def made(rows: list[int], **more: int) -> list[tuple[bytes, bytes]]:
        asked = None if frames is None else [frames[row] for row in rows]
        found = pipe.generate([prompts[row] for row in rows], seed=[seeds[row] for row in rows], frames=asked, **more)
        codes = [one[:steps] for one, steps in zip(found.codes, found.lengths.tolist(), strict=True)]
        return [(c.numpy().tobytes(), clip.joints.tobytes()) for c, clip in zip(codes, found.clips, strict=True)]

    rows = list(range(len(prompts)))
    together = made(rows, batch_size=len(rows))
    assert made(rows, batch_size=4) == together
    assert made(rows[::-1]) == together[::-1]
    assert made([5, 0, 3]) == [together[5], together[0], together[3]]
    assert [made([row])[0] for row in rows] == together


MANY = [f"{who} {verb} {how}".strip() for who in ("a man", "someone tall") for verb in ("kicks", "walks", "sits down")
        for how in ("", "slowly", "and then turns around twice to the left")][:17]  # fmt: skip


@pytest.mark.parametrize("frames", [None, [20 + 11 * row for row in range(17)]], ids=["estimated", "given"])
def test_seventeen_prompts_move_the_same_alone_and_in_any_batch(frames: list[int] | None) -> None:
    same_in_any_batch(PIPE, MANY, frames)


def guarded(pipe: MotionPipeline) -> MotionPipeline:
    """A copy with a detector whose threshold is exactly the score of one of the prompts."""
    plane = torch.randn(pipe.text.dim, generator=torch.Generator().manual_seed(1))
    made, open_guard = pipe.clone(), LearnedDetector(plane, 0.0)
    scores = sorted(open_guard.scores([one], lambda texts: pipe.text.encode(texts).pooled).item() for one in MANY)
    made.guards.append(PromptGuard(LearnedDetector(plane, 0.0, scores[8]), instead="a person stands"))
    return made


def test_prompts_at_the_threshold_of_a_guard_take_one_way_in_any_batch() -> None:
    same_in_any_batch(guarded(PIPE), MANY, None)


@pytest.mark.slow
@pytest.mark.parametrize("frames", [None, [20 + 11 * row for row in range(17)]], ids=["estimated", "given"])
def test_the_shipped_generator_moves_the_same_alone_and_in_any_batch(frames: list[int] | None) -> None:
    base = MotionPipeline.from_pretrained("base")
    same_in_any_batch(base if frames else guarded(base), MANY, frames)


def test_order_of_lengths_makes_no_difference() -> None:
    frames = [196, 40, 120, 60, 196, 20]
    prompts = [PROMPTS[i % 3] for i in range(6)]
    together = PIPE.generate(prompts, seed=list(range(6)), frames=frames, batch_size=2)
    assert together.lengths.tolist() == [length // 4 for length in frames]
    for row, length in enumerate(frames):
        alone = PIPE.generate([prompts[row]], seed=row, frames=length)
        assert torch.equal(alone.codes[0], together.codes[row, : length // 4])
