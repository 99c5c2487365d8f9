"""Models of Hugging Face transformers run patched as they do unpatched, on random weights of tiny configurations."""

import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import exuvia_ssm
from exuvia_ssm.errors import ConfigError

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
if tuple(map(int, transformers.__version__.split(".")[:2])) < (5, 16):
    pytest.skip("patch_transformers needs transformers 5.16", allow_module_level=True)

SIZES = {"vocab_size": 50, "hidden_size": 24, "eos_token_id": None}
STATES = {"state_size": 5, "num_hidden_layers": 2}
JAMBA = {
    "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 2,
    "attn_layer_period": 3, "attn_layer_offset": 1, "num_experts": 2, "mamba_d_state": 5, "mamba_dt_rank": 3,
}  # fmt: skip
BUILDERS: dict[str, Callable[..., Any]] = {
    "mamba": lambda **more: transformers.MambaForCausalLM(transformers.MambaConfig(**SIZES, **STATES, **more)),
    "falcon": lambda **more: transformers.FalconMambaForCausalLM(
        transformers.FalconMambaConfig(**SIZES, **STATES, **more)
    ),
    "jamba": lambda **more: transformers.JambaForCausalLM(transformers.JambaConfig(**SIZES, **JAMBA, **more)),
}
every = pytest.mark.parametrize("kind", BUILDERS)


def model(kind: str, **more: Any) -> Any:
    """A model whose outputs depend on every weight."""
    torch.manual_seed(0)
    built = BUILDERS[kind](**more).eval()
    with torch.no_grad():
        for weight in built.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return built


def mixer_class() -> Any:
    return transformers.models.mamba.modeling_mamba.MambaMixer


@pytest.fixture
def ids() -> Tensor:
    return torch.randint(1, 50, (3, 17), generator=torch.Generator().manual_seed(1))


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Count the calls of our kernels, so that a patch without effect does not pass."""
    from exuvia_ssm import transformers_patch as patch

    calls = {"selective_scan": 0, "scan_step": 0}

    def counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            calls[name] += 1
            return function(*args, **options)

        return call

    with monkeypatch.context() as change:
        for name in calls:
            change.setattr(patch, name, counting(name, getattr(patch, name)))
        with exuvia_ssm.patch_transformers():
            yield calls


def near(ours: Tensor, theirs: Tensor) -> bool:
    return float((ours - theirs).norm()) <= 1e-4 * float(theirs.norm()) + 1e-9


@every
@pytest.mark.parametrize("padding", ["none", "left", "right"])
def test_logits_and_gradients_are_those_of_the_original(
    kind: str, padding: str, ids: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = model(kind).train()
    mask = torch.ones_like(ids)
    if padding != "none":
        mask[1, :6] = 0
        mask = mask if padding == "left" else mask.flip(1)

    def run() -> tuple[Tensor, dict[str, Tensor]]:
        net.zero_grad()
        out = net(input_ids=ids, attention_mask=mask, labels=ids, use_cache=False)
        out.loss.backward()
        return out.logits.detach(), {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}

    logits, grads = run()
    with counted(monkeypatch) as calls:
        ours, our_grads = run()
    assert calls["selective_scan"] == 2
    assert near(ours, logits)
    assert grads.keys() == our_grads.keys()
    assert [name for name in grads if not near(our_grads[name], grads[name])] == []


@every
def test_greedy_generation_is_that_of_the_original(kind: str, ids: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    net = model(kind)
    mask = torch.ones_like(ids)
    mask[1, :6] = 0
    more = {"max_new_tokens": 12, "do_sample": False, "return_dict_in_generate": True, "output_logits": True}
    theirs = [net.generate(ids, attention_mask=mask, **more), net.generate(ids[:, :2], **more)]  # shorter than W
    with counted(monkeypatch) as calls:
        ours = [net.generate(ids, attention_mask=mask, **more), net.generate(ids[:, :2], **more)]
    assert calls["scan_step"] == 2 * 2 * 11
    for mine, original in zip(ours, theirs, strict=True):
        assert torch.equal(mine.sequences, original.sequences)
        assert near(torch.stack(mine.logits), torch.stack(original.logits))


def test_several_tokens_continue_a_cached_beginning(ids: Tensor) -> None:
    """The original sets the recurrent state to zero there."""
    net = model("mamba")
    with torch.no_grad(), exuvia_ssm.patch_transformers():
        whole = net(ids).logits
        begun = net(ids[:, :9], use_cache=True)
        key = next(key for key in ("cache", "cache_params") if key in begun)
        rest = net(ids[:, 9:], use_cache=True, **{key: begun[key]}).logits
    assert near(rest, whole[:, 9:])


def test_wrapped_modules_are_called(ids: Tensor) -> None:
    class Adapter(nn.Module):
        def __init__(self, base: nn.Module) -> None:
            super().__init__()
            self.base = base

        def forward(self, x: Tensor) -> Tensor:
            return 1.5 * self.base(x)

    for name in ("in_proj", "conv1d", "x_proj", "dt_proj", "out_proj"):
        net = model("mamba")
        wrapped, scaled = net.backbone.layers[0].mixer, model("mamba")
        setattr(wrapped, name, Adapter(getattr(wrapped, name)))
        with torch.no_grad():
            for weight in getattr(scaled.backbone.layers[0].mixer, name).parameters():
                weight *= 1.5
            theirs = scaled(ids).logits
            with exuvia_ssm.patch_transformers():
                ours = net(ids).logits
                steps = net.generate(ids, max_new_tokens=4, do_sample=False)
        assert near(ours, theirs), name
        assert torch.equal(steps, scaled.generate(ids, max_new_tokens=4, do_sample=False)), name


def test_the_patch_is_undone() -> None:
    mixer = mixer_class()
    original = vars(mixer)["forward"]
    with exuvia_ssm.patch_transformers():
        assert vars(mixer)["forward"] is not original
        with pytest.raises(RuntimeError, match="stop"), exuvia_ssm.patch_transformers():
            raise RuntimeError("stop")
        assert vars(mixer)["forward"] is not original
    assert vars(mixer)["forward"] is original
    exuvia_ssm.patch_transformers()
    exuvia_ssm.unpatch_transformers()
    exuvia_ssm.unpatch_transformers()  # one too many has no effect
    assert vars(mixer)["forward"] is original


def test_options_without_support_fall_back_with_one_warning(ids: Tensor) -> None:
    net = model("mamba", hidden_act="gelu")
    theirs = net(ids).logits
    with exuvia_ssm.patch_transformers(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert torch.equal(net(ids).logits, theirs)
        net(ids)
    assert [str(one.message) for one in caught if one.category is RuntimeWarning] == [
        "a Mamba mixer runs the original forward of transformers: the activation is gelu, not silu"
    ]


def test_another_version_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: Any, hidden_states: Tensor) -> Any:
        return self.slow_forward(hidden_states)

    monkeypatch.setattr(mixer_class(), "forward", forward)
    with pytest.raises(ConfigError, match=r"MambaMixer\.forward of transformers \S+ does not use A_log, D, .*5\.16"):
        exuvia_ssm.patch_transformers()
    assert vars(mixer_class())["forward"] is forward


def test_without_transformers_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from exuvia_ssm import transformers_patch as patch

    def absent(name: str) -> types.ModuleType:
        raise ImportError(name)

    monkeypatch.setattr(patch, "import_module", absent)
    with pytest.raises(ConfigError, match="pip install transformers"):
        exuvia_ssm.patch_transformers()
