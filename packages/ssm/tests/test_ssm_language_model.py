"""MambaLM: checkpoints of both layouts, equality with transformers, sampling, streams, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from exuvia_ssm import MambaLM
from exuvia_ssm.errors import ConfigError, ShapeError
from exuvia_ssm.mamba import language_model


def small(**options: Any) -> MambaLM:
    torch.manual_seed(0)
    net = MambaLM(48, 16, 2, d_state=4, **options).eval()
    with torch.no_grad():
        for weight in net.parameters():
            weight += 0.2 * torch.randn_like(weight)
    return net


@pytest.fixture
def ids() -> Tensor:
    return torch.randint(0, 48, (2, 13), generator=torch.Generator().manual_seed(1))


def saved(net: MambaLM, folder: Path, **config: Any) -> Path:
    """Write a folder in the layout of state-spaces/mamba."""
    own = {"d_model": 16, "n_layer": 2, "vocab_size": 43, "ssm_cfg": {"d_state": 4}, "rms_norm": True}
    state = {key if key.startswith("lm_head") else f"backbone.{key}": value for key, value in net.state_dict().items()}
    state["lm_head.weight"] = net.embedding.weight.detach()  # the official files hold it twice
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(own | config))
    return folder


def test_the_original_layout_loads(tmp_path: Path, ids: Tensor) -> None:
    net = small()
    loaded = MambaLM.from_pretrained(saved(net, tmp_path))  # 43 tokens are stored as 48
    assert torch.equal(loaded(ids), net(ids))
    assert MambaLM.from_pretrained(tmp_path, dtype=torch.bfloat16)(ids).dtype == torch.float32


@pytest.mark.parametrize("kind", ["mamba", "falcon_mamba"])
@pytest.mark.parametrize("tied", [True, False])
def test_folders_of_transformers_give_its_logits(kind: str, tied: bool, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    name = "Mamba" if kind == "mamba" else "FalconMamba"
    sizes: dict[str, Any] = {"vocab_size": 50, "hidden_size": 24, "state_size": 5, "num_hidden_layers": 2}
    config = getattr(transformers, f"{name}Config")(**sizes, tie_word_embeddings=tied, eos_token_id=None, expand=3)
    torch.manual_seed(0)
    theirs = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    with torch.no_grad():
        for weight in theirs.parameters():
            weight += 0.1 * torch.randn_like(weight)
    theirs.save_pretrained(tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    prompt = torch.randint(1, 50, (2, 9), generator=torch.Generator().manual_seed(1))
    expected = theirs(prompt).logits.detach()
    for folder in ("whole", "parts"):
        ours = MambaLM.from_pretrained(tmp_path / folder)
        assert torch.allclose(ours(prompt), expected, atol=1e-5 * float(expected.abs().max()))
        greedy = theirs.generate(prompt, max_new_tokens=10, do_sample=False)
        assert torch.equal(ours.generate(prompt, 10, temperature=0), greedy)


def test_pieces_of_torch_files_load(tmp_path: Path, ids: Tensor) -> None:
    net = small()
    state = torch.load(saved(net, tmp_path) / "pytorch_model.bin", weights_only=True)
    (tmp_path / "pytorch_model.bin").unlink()
    names = {key: f"part-{i % 2}.bin" for i, key in enumerate(state)}
    for file in set(names.values()):
        torch.save({key: state[key] for key in state if names[key] == file}, tmp_path / file)
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": names}))
    assert torch.equal(MambaLM.from_pretrained(tmp_path)(ids), net(ids))
    (tmp_path / "part-1.bin").unlink()
    with pytest.raises(ConfigError, match=r"cannot read .*part-1\.bin"):
        MambaLM.from_pretrained(tmp_path)


def test_keys_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    path = saved(small(), tmp_path) / "pytorch_model.bin"
    state = torch.load(path, weights_only=True)
    state["backbone.extra.weight"] = state.pop("backbone.norm_f.weight")
    state["backbone.layers.0.mixer.D"] = torch.ones(3)
    torch.save(state, path)
    wrong = r"1 missing \(norm_f\.weight\), 1 unknown \(extra\.weight\), 1 of another shape \(layers\.0\.mixer\.D\)"
    with pytest.raises(ConfigError, match=wrong):
        MambaLM.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "llama"}, "found model_type 'llama'"),
        ({"model_type": "mamba", "hidden_act": "gelu"}, "activation silu"),
        ({"model_type": "mamba"}, "KeyError|d_model"),
        ({"ssm_cfg": {"layer": "Mamba2"}}, "Mamba-2"),
        ({"rms_norm": False}, "LayerNorm"),
        ({"ssm_cfg": {"d_stat": 4}}, "d_stat"),
    ],
)
def test_other_models_are_refused(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        MambaLM.from_pretrained(saved(small(), tmp_path, **config))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors", "config.json"])
def test_damaged_and_missing_files_are_refused(name: str, tmp_path: Path) -> None:
    if name == "model.safetensors":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    path = saved(small(), tmp_path) / name
    path.write_bytes(b"\x07damaged")
    with pytest.raises(ConfigError, match=rf"cannot read .*{name}"):
        MambaLM.from_pretrained(tmp_path)
    for file in tmp_path.glob("*.*"):
        if file.name != "config.json" or name == "config.json":
            file.unlink()
    with pytest.raises(ConfigError, match=r"cannot read .*config\.json|has neither model\.safetensors"):
        MambaLM.from_pretrained(tmp_path)


def test_safetensors_is_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ImportError(name)

    (saved(small(), tmp_path) / "model.safetensors").write_bytes(b"")
    monkeypatch.setattr(language_model, "import_module", absent)
    with pytest.raises(ConfigError, match="pip install safetensors"):
        MambaLM.from_pretrained(tmp_path)


def test_states_continue_a_sequence(ids: Tensor) -> None:
    net = small(selection_eps=1e-6, tied=False)
    whole = net(ids)
    begun, state = net(ids[:, :5], return_state=True)
    middle, state = net(ids[:, 5:6], state=state, return_state=True)
    rest, _ = net(ids[:, 6:], state=state, return_state=True)
    assert torch.allclose(torch.cat([begun, middle, rest], 1), whole, atol=1e-5)
    valid = torch.ones_like(ids, dtype=torch.bool)
    valid[0, :4] = False
    assert torch.allclose(net(ids, valid)[0, 4:], net(ids[:1, 4:])[0], atol=1e-5)


def test_prompts_in_pieces_give_the_same_tokens(ids: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    net = small()
    whole = net.generate(ids, 12, temperature=0)
    assert torch.equal(whole[:, :13], ids)
    again = ids
    for _ in range(12):  # without any state
        again = torch.cat([again, net(again)[:, -1:].argmax(-1)], 1)
    assert torch.equal(whole, again)
    monkeypatch.setattr(language_model, "PREFILL", 4)
    assert torch.equal(net.generate(ids, 12, temperature=0), whole)


def test_sampling_is_reproducible_and_streams(ids: Tensor) -> None:
    net, streamed = small(), list[Tensor]()
    first = net.generate(ids, 20, temperature=2.0, top_k=20, top_p=0.9, seed=3, stream=streamed.append)
    assert torch.equal(first, net.generate(ids, 20, temperature=2.0, top_k=20, top_p=0.9, seed=3))
    assert not torch.equal(first, net.generate(ids, 20, temperature=2.0, top_k=20, top_p=0.9, seed=4))
    assert torch.equal(torch.stack(streamed, 1), first[:, 13:])
    assert net.generate(ids, 20, stream=lambda token: True).shape == (2, 14)
    greedy = net.generate(ids, 5, temperature=0)
    assert torch.equal(net.generate(ids, 5, top_k=1), greedy)
    assert torch.equal(net.generate(ids, 5, top_p=1e-9), greedy)


def test_sampled_tokens_are_those_that_the_limits_leave() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).expand(4000, -1)
    generator = torch.Generator().manual_seed(0)
    drawn = language_model._sampled(logits, 1.0, None, 0.6, generator)
    assert set(drawn.tolist()) == {0, 1}
    assert abs(float((drawn == 0).float().mean()) - 0.625) < 0.03
    assert set(language_model._sampled(logits, 1.0, 3, 1.0, generator).tolist()) == {0, 1, 2}


@pytest.mark.parametrize("option", [{"temperature": -1.0}, {"top_k": 0}, {"top_p": 0.0}, {"max_new_tokens": -1}])
def test_options_out_of_range_are_refused(option: dict[str, Any], ids: Tensor) -> None:
    with pytest.raises(ConfigError, match=rf"{next(iter(option))} = "):
        small().generate(ids, **option)


@pytest.mark.parametrize(
    "prompt", [torch.tensor([[48]]), torch.tensor([[-1]]), torch.tensor([1]), torch.ones(1, 0).long()]
)
def test_prompts_out_of_the_vocabulary_are_refused(prompt: Tensor) -> None:
    with pytest.raises(ShapeError, match="tokens from 0 to 47"):
        small().generate(prompt)
