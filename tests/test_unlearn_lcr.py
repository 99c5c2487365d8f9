"""Latent code replacement: parity, choice of codes, the strength dial, noise, provenance, errors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia import MotionPipeline
from exuvia.codes.statistics import CodeStatistics
from exuvia.data.concepts import VIOLENCE, find_concept
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.errors import CheckpointError, ConfigError
from exuvia.files import write_json
from exuvia.pipeline.identity import pipeline_hash
from exuvia.readers import read_json
from exuvia.unlearning.base import forget_indices, ship_statistics, unlearn
from exuvia.unlearning.lcr import LCRConfig, plan_edit
from exuvia.unlearning.selection import association, released_selection, safe_codes, select_codes
from lab.parity.case import Case
from lab.parity.run import check_case
from lab.parity.unlearn import lcr as golden_lcr
from made_mocap import mocap_folder
from tiny import CODES, LEVELS, tiny_pipeline

BOOK = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))


def counts(forget: list[int], retain: list[int], clips: tuple[int, int] = (40, 400)) -> CodeStatistics:
    """One level with given document counts."""
    f, r = torch.tensor([forget]), torch.tensor([retain])
    return CodeStatistics(f, r, 3 * f, 3 * r, *clips)


# code 0: common everywhere; 1, 2: typical of the concept; 3: seen once, only there; 4-7: typical of the rest
TYPICAL = counts([38, 30, 25, 1, 2, 1, 0, 3], [390, 20, 12, 0, 200, 90, 120, 300])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return prepare(mocap_folder(tmp_path_factory.mktemp("made") / "mocap", 30), tmp_path_factory.mktemp("out") / "s")


@pytest.fixture(scope="module")
def pipe(store: Store) -> MotionPipeline:
    made = tiny_pipeline()
    made.statistics = ship_statistics(made, store)
    return made


def codebooks(pipe: MotionPipeline) -> torch.Tensor:
    return torch.stack([layer.codebook for layer in pipe.tokenizer.quantizer.layers])


def test_released_edits_equal_the_official_ones(goldens: Path) -> None:
    result = check_case(Case.load(goldens / "08_lcr.json"), golden_lcr)
    assert result.passed, (result.failure, result.missing, result.worst)


def test_released_choice_puts_a_code_seen_once_first_and_ours_leaves_it_alone() -> None:
    assert 3 in released_selection(TYPICAL, 0, 1)
    assert select_codes(TYPICAL, 0, 8, "both", prior=10, min_count=3).tolist() == [1, 2]
    assert 3 not in select_codes(TYPICAL, 0, 2, "ratio", prior=10, min_count=1)


def test_the_two_criteria_differ_and_both_asks_for_both() -> None:
    # 0: in most forget clips, hardly more than elsewhere; 1: rarer, far more typical; 2: good at both
    mixed = counts([39, 8, 32], [350, 1, 40])
    assert select_codes(mixed, 0, 1, "frequency", 10, 3).tolist() == [0]
    assert select_codes(mixed, 0, 1, "both", 10, 3).tolist() == [2]
    pure = association(mixed, 0, 10)
    assert pure.z[2] > pure.z[0]
    assert pure.frequency.argmax() == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), k=st.integers(1, 30), criterion=st.sampled_from(["both", "ratio", "frequency"]))
def test_chosen_codes_are_tied_to_the_concept_and_safe_ones_are_not(seed: int, k: int, criterion: str) -> None:
    rng = np.random.default_rng(seed)
    some = counts(rng.integers(0, 41, 50).tolist(), rng.integers(0, 401, 50).tolist())
    chosen = select_codes(some, 0, k, criterion, 10, 3)  # type: ignore[arg-type]
    share_f, share_r = some.documents_forget[0] / 40, some.documents_retain[0] / 400
    assert len(chosen) <= k
    assert (share_f[chosen] > share_r[chosen]).all()
    assert (np.diff(chosen) > 0).all()
    safe = safe_codes(some, 0, chosen, 10)
    assert not set(safe) & set(chosen)
    assert (share_f[safe] <= share_r[safe]).all()


@settings(max_examples=25, deadline=None)
@given(
    strength=st.floats(0, 1),
    alpha=st.floats(0, 2),
    destination=st.sampled_from([4, "nearest_safe", "mean_safe", "random"]),
)
def test_strength_is_a_dial_between_old_and_new_rows(strength: float, alpha: float, destination: int | str) -> None:
    def rows(amount: float) -> torch.Tensor:
        config = LCRConfig(num_codes=2, strength=amount, alpha=alpha, destination=destination)  # type: ignore[arg-type]
        return plan_edit([BOOK], TYPICAL, config)[0].rows

    old = BOOK[[1, 2]]
    assert torch.equal(rows(0.0), old)
    assert torch.allclose(rows(strength), old + strength * (rows(1.0) - old), atol=1e-5)


def test_destinations() -> None:
    def edit(**settings: object) -> tuple[torch.Tensor, list[int]]:
        (only,) = plan_edit([BOOK], TYPICAL, LCRConfig(num_codes=2, alpha=0, **settings))  # type: ignore[arg-type]
        return only.rows, only.destination

    rows, where = edit(destination=4)
    assert torch.equal(rows, BOOK[[4, 4]])
    rows, where = edit(destination="nearest_safe")
    safe = [0, 4, 5, 6, 7]
    assert where == [safe[int(torch.cdist(BOOK[[c]], BOOK[safe]).argmin())] for c in (1, 2)]
    assert torch.equal(rows, BOOK[where])
    assert set(edit(destination="random")[1]) <= set(safe)
    assert edit(destination="random", seed=1)[1] == edit(destination="random", seed=1)[1]
    weight = TYPICAL.occurrences_retain[0, safe].float()
    assert torch.allclose(edit(destination="mean_safe")[0], ((weight @ BOOK[safe]) / weight.sum()).expand(2, -1))
    with pytest.raises(ConfigError, match="destination 2 is itself among the codes"):
        edit(destination=2)
    with pytest.raises(ConfigError, match="expected a code 0 to 63"):
        edit(destination=64)


def test_orthogonal_removes_the_common_direction() -> None:
    (edit,) = plan_edit([BOOK], TYPICAL, LCRConfig(num_codes=2, orthogonal=True))
    mean = BOOK[[1, 2]].mean(0)
    assert torch.allclose(edit.rows @ mean, torch.zeros(2), atol=1e-5)


def test_released_destination_is_drawn_again_while_it_is_on_the_list() -> None:
    config = LCRConfig(num_codes=2, variant="released", destination=3)
    (edit,) = plan_edit([BOOK], TYPICAL, config)
    assert 3 in edit.codes
    assert edit.destination[0] not in edit.codes


def test_only_the_chosen_rows_change_and_the_old_generator_stays(pipe: MotionPipeline) -> None:
    before = pipeline_hash(pipe)
    safe = unlearn("lcr", pipe, forget="violence", num_codes=4, min_count=1)
    assert pipeline_hash(pipe) == before
    edit = safe.provenance["edits"][-1]
    changed = (codebooks(safe) != codebooks(pipe)).any(-1)
    assert changed.nonzero()[:, 0].unique().tolist() == [0]
    assert changed[0].nonzero()[:, 0].tolist() == edit["replaced"]["0"]
    assert edit["parent"] == before
    assert edit["method"] == "lcr"
    assert edit["settings"]["num_codes"] == 4
    for part in ("base", "residual", "length"):
        new, old = getattr(safe, part).state_dict(), getattr(pipe, part).state_dict()
        assert all(torch.equal(new[name], old[name]) for name in old)
    for name, value in pipe.tokenizer.state_dict().items():
        same = torch.equal(value, safe.tokenizer.state_dict()[name])
        assert same != (name in ("quantizer.layers.0.codebook", "quantizer.layers.0.code_sum"))


def test_moving_averages_do_not_keep_the_old_rows(pipe: MotionPipeline) -> None:
    safe = unlearn("lcr", pipe, num_codes=4, min_count=1)
    layer = safe.tokenizer.quantizer.layers[0]
    codes = safe.provenance["edits"][-1]["replaced"]["0"]
    assert torch.allclose(layer.code_sum[codes] / layer.code_count[codes, None], layer.codebook[codes], atol=1e-5)


def test_text_gives_the_same_codes_and_other_motion(pipe: MotionPipeline) -> None:
    safe = unlearn("lcr", pipe, num_codes=CODES, min_count=1, levels=(0, 1))
    prompts = ["a person kicks", "a person walks"]
    old, new = pipe.generate(prompts, frames=80), safe.generate(prompts, frames=80)
    assert torch.equal(old.codes, new.codes)
    assert not np.array_equal(old.features[0], new.features[0])


def test_strength_0_changes_nothing(pipe: MotionPipeline) -> None:
    same = unlearn("lcr", pipe, strength=0.0)
    assert pipeline_hash(same) == pipeline_hash(pipe)
    assert "nothing" in same.provenance["edits"][-1]["changed"]


def test_data_and_shipped_counts_agree(pipe: MotionPipeline, store: Store, tmp_path: Path) -> None:
    shipped = unlearn("lcr", pipe, num_codes=4, min_count=1)
    counted = unlearn("lcr", pipe, num_codes=4, min_count=1, data=store, cache=tmp_path)
    again = unlearn("lcr", pipe, num_codes=4, min_count=1, data=store.folder, cache=tmp_path)
    assert torch.equal(codebooks(shipped), codebooks(counted))
    assert torch.equal(codebooks(shipped), codebooks(again))
    assert len(list(tmp_path.iterdir())) == 1
    facts = counted.provenance["edits"][-1]
    assert facts["data_hash"] == store.data_hash
    assert facts["rule"] == "label"


def test_noise_of_every_generation_moves_only_replaced_codes(pipe: MotionPipeline, tmp_path: Path) -> None:
    settings = {"num_codes": 8, "min_count": 1, "destination": "nearest_safe"}
    still = unlearn("lcr", pipe, **settings, alpha=0.0)
    drawn = unlearn("lcr", pipe, **settings, alpha=1.0, noise="generation")
    assert torch.equal(codebooks(still), codebooks(drawn))  # the noise is not in the weights
    (noise,) = drawn.codebook_noise
    codes = torch.full((2, 9, LEVELS), noise.codes[0])
    codes[:, 4:, 0] = next(c for c in range(CODES) if c not in noise.codes)
    lengths = torch.tensor([9, 9])
    plain, again = still.decode(codes, lengths), drawn.decode(codes, lengths)
    one, other = drawn.decode(codes, lengths, seeds=[1, 2])
    np.testing.assert_array_equal(plain[0], again[0])
    np.testing.assert_allclose(one, drawn.decode(codes[:1], lengths[:1], seeds=[1])[0], atol=1e-6)  # as in a batch
    assert np.abs(one - other).max() > 1e-4
    assert np.abs(one - plain[0]).max() > 1e-4
    codes[..., 0] = codes[0, 5, 0]
    np.testing.assert_array_equal(drawn.decode(codes, lengths, seeds=[1, 2])[0], drawn.decode(codes, lengths)[0])
    loaded = MotionPipeline.from_pretrained(drawn.save_pretrained(tmp_path / "drawn"))
    assert pipeline_hash(loaded) == pipeline_hash(drawn) != pipeline_hash(still)
    text = "a man kicks"
    np.testing.assert_array_equal(loaded(text, frames=40, seed=3).joints, drawn(text, frames=40, seed=3).joints)


def test_damaged_noise_is_refused(pipe: MotionPipeline, tmp_path: Path) -> None:
    drawn = unlearn("lcr", pipe, num_codes=4, min_count=1, alpha=1.0, noise="generation")
    folder = drawn.save_pretrained(tmp_path / "drawn")
    config = read_json(folder / "config.json")
    for change, said in (
        ({"level": 99}, "level 99"),
        ({"codes": [CODES]}, "does not fit"),
        ({"scale": None}, "without"),
    ):
        write_json(folder / "config.json", config | {"codebook_noise": [config["codebook_noise"][0] | change]})
        with pytest.raises(CheckpointError, match=said):
            MotionPipeline.from_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "lrc"}, "unknown unlearning method 'lrc'; did you mean 'lcr'"),
        ({"forget": "violense"}, "did you mean 'violence'"),
        ({"forget": "jump"}, "no code statistics for 'jump_leap_hop'; known: violence .shipped: violence."),
        ({"num_code": 3}, "has no setting 'num_code'; did you mean 'num_codes'"),
        ({"strength": 1.5}, "found strength 1.5, expected 0 to 1"),
        ({"levels": (LEVELS,)}, f"found level {LEVELS}, expected 0 to {LEVELS - 1}"),
        ({"levels": ()}, "expected distinct level numbers"),
        ({"num_codes": 0}, "expected at least 1"),
        ({"destination": "nearest"}, "did you mean 'nearest_safe'"),
        ({"variant": "released"}, "the released variant replaces codes by one index"),
        ({"noise": "always"}, "unknown noise 'always'; known: generation, once"),
        ({"noise": "generation"}, "needs an alpha above 0"),
        ({"min_count": 10_000}, "no code of level 0 occurs in 10000 forget clips"),
    ],
)
def test_mistakes_are_named(pipe: MotionPipeline, change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        unlearn(**{"name": "lcr", "pipe": pipe, "forget": "violence", "num_codes": 4, "min_count": 1, **change})  # type: ignore[arg-type]


def test_a_generator_without_statistics_asks_for_data() -> None:
    with pytest.raises(ConfigError, match="ships no code statistics; pass data="):
        unlearn("lcr", tiny_pipeline())


def test_forget_indices_by_rule(store: Store) -> None:
    labelled = forget_indices(store, VIOLENCE)
    assert labelled.tolist() == [n for n, clip in enumerate(store.clips) if clip.labels["violent"]]
    assert "white box" not in {store.clips[n].captions[0].text for n in forget_indices(store, VIOLENCE, "words")}
    assert len(forget_indices(store, VIOLENCE, "released")) > len(labelled)  # "white" holds "hit"
    with pytest.raises(ConfigError, match="unknown rule"):
        forget_indices(store, VIOLENCE, "word")
    with pytest.raises(ConfigError, match=r"none of .* shows"):
        forget_indices(store, find_concept("crawl"))
