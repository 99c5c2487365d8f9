"""CLIP's text tower with random weights: both namings, an independent forward pass, tokens, errors."""

import gzip
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from exuvia.errors import CheckpointError, ConfigError
from exuvia.text import clip
from exuvia.text.base import TextEncoder
from exuvia.text.clip import CLIPText, ClipTextConfig, ClipTextTower, clip_tokenizer, numbered, text_weights

MERGES = [("c", "k</w>"), ("k", "i"), ("ki", "ck</w>"), ("l", "e"), ("f", "t</w>"), ("le", "ft</w>")]
WIDTH, LAYERS = 64, 2


def openai_weights(vocab: int, width: int = WIDTH, layers: int = LAYERS, out: int = 48) -> dict[str, Tensor]:
    """A checkpoint with OpenAI's names, including the image half."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) * 0.3

    tensors = {
        "token_embedding.weight": draw(vocab, width),
        "positional_embedding": draw(77, width),
        "ln_final.weight": 1 + draw(width),
        "ln_final.bias": draw(width),
        "text_projection": draw(width, out),
        "logit_scale": torch.tensor(4.6),
        "visual.proj": draw(8, 8),
    }
    for i in range(layers):
        shapes = {
            "attn.in_proj_weight": (3 * width, width), "attn.in_proj_bias": (3 * width,),
            "attn.out_proj.weight": (width, width), "attn.out_proj.bias": (width,),
            "mlp.c_fc.weight": (4 * width, width), "mlp.c_fc.bias": (4 * width,),
            "mlp.c_proj.weight": (width, 4 * width), "mlp.c_proj.bias": (width,),
            "ln_1.weight": (width,), "ln_1.bias": (width,), "ln_2.weight": (width,), "ln_2.bias": (width,),
        }  # fmt: skip
        tensors |= {f"transformer.resblocks.{i}.{name}": draw(*shape) for name, shape in shapes.items()}
    return tensors


def huggingface_weights(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same checkpoint with Hugging Face's names."""
    tensors = {
        "text_model.embeddings.token_embedding.weight": theirs["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": theirs["positional_embedding"],
        "text_model.embeddings.position_ids": torch.arange(77)[None],
        "text_model.final_layer_norm.weight": theirs["ln_final.weight"],
        "text_model.final_layer_norm.bias": theirs["ln_final.bias"],
        "text_projection.weight": theirs["text_projection"].T.contiguous(),
        "vision_model.class_embedding": torch.zeros(4),
    }
    names = {"attn.out_proj": "self_attn.out_proj", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
             "ln_1": "layer_norm1", "ln_2": "layer_norm2"}  # fmt: skip
    for i in range(LAYERS):
        for end in ("weight", "bias"):
            block = f"transformer.resblocks.{i}."
            q, k, v = theirs[f"{block}attn.in_proj_{end}"].chunk(3)
            for part, value in zip("qkv", (q, k, v), strict=True):
                tensors[f"text_model.encoder.layers.{i}.self_attn.{part}_proj.{end}"] = value.contiguous()
            for name, other in names.items():
                tensors[f"text_model.encoder.layers.{i}.{other}.{end}"] = theirs[f"{block}{name}.{end}"]
    return tensors


def reference(theirs: dict[str, Tensor], ids: list[int]) -> Tensor:
    """States of one text, computed with torch's attention module from OpenAI's names; heads as published."""
    width = theirs["ln_final.weight"].shape[0]
    x = theirs["token_embedding.weight"][ids] + theirs["positional_embedding"][: len(ids)]
    future = torch.ones(len(ids), len(ids)).triu(1).bool()
    for i in range(LAYERS):
        part = {k.removeprefix(p): v for k, v in theirs.items() if k.startswith(p := f"transformer.resblocks.{i}.")}
        attention = nn.MultiheadAttention(width, width // 64, batch_first=True).eval()
        attention.load_state_dict({k.removeprefix("attn."): v for k, v in part.items() if k.startswith("attn.")})
        y = nn.functional.layer_norm(x, (width,), part["ln_1.weight"], part["ln_1.bias"])
        x = x + attention(y[None], y[None], y[None], attn_mask=future)[0][0]
        y = nn.functional.layer_norm(x, (width,), part["ln_2.weight"], part["ln_2.bias"])
        y = y @ part["mlp.c_fc.weight"].T + part["mlp.c_fc.bias"]
        x = x + (y * torch.sigmoid(1.702 * y)) @ part["mlp.c_proj.weight"].T + part["mlp.c_proj.bias"]
    x = nn.functional.layer_norm(x, (width,), theirs["ln_final.weight"], theirs["ln_final.bias"])
    return x @ theirs["text_projection"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ids = numbered(MERGES)
    save_file(openai_weights(len(ids)), tmp_path / "model.safetensors")
    (tmp_path / "vocab.json").write_text(json.dumps(ids))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in MERGES) + "\n")
    return tmp_path


@torch.no_grad()
def test_both_namings_equal_an_independent_forward_pass(folder: Path, tmp_path: Path) -> None:
    theirs = openai_weights(len(numbered(MERGES)))
    save_file(huggingface_weights(theirs), tmp_path / "hf.safetensors")
    texts = ["kick left", "", "a man kick his LEFT  left!"]
    openai, huggingface = CLIPText(folder), CLIPText(tmp_path / "hf.safetensors", vocabulary=folder)
    assert openai.fingerprint == huggingface.fingerprint
    states = openai.encode(texts)
    assert torch.equal(states.pooled, huggingface.encode(texts).pooled)
    for row, ids in enumerate(openai.token_ids(texts, 77)):
        expected = reference(theirs, ids)
        torch.testing.assert_close(states.states[row, : len(ids)], expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(states.pooled[row], expected[-1], atol=1e-5, rtol=1e-5)
        assert not states.states[row, len(ids) :].any()
        torch.testing.assert_close(openai.encode([texts[row]]).pooled[0], states.pooled[row], atol=1e-5, rtol=1e-5)
    assert isinstance(openai, TextEncoder)
    assert openai.dim == 48


def test_tokens_follow_openais_rule(folder: Path) -> None:
    ids = numbered(MERGES)
    assert ids["!"] == 0
    assert ids["a"] == 64
    assert ids["!</w>"] == 256
    tokens = clip_tokenizer(ids, MERGES).encode("  KICK\n left7!", add_special_tokens=False).tokens
    assert tokens == ["kick</w>", "left</w>", "7</w>", "!</w>"]
    encoder = CLIPText(folder)
    start, end = ids[clip.START], ids[clip.END]
    assert encoder.token_ids(["kick"], 77) == [[start, ids["kick</w>"], end]]
    cut = encoder.token_ids(["kick " * 500], 5)[0]
    assert cut == [start, *[ids["kick</w>"]] * 3, end]
    assert encoder.encode(["é ", "\x00", "\ud800"]).valid.any(1).all()


def test_the_vocabulary_of_the_clip_package_is_read(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "package"
    other.mkdir()
    lines = '"bpe_simple_vocab_16e6.txt#version: 0.2\n' + "\n".join(" ".join(pair) for pair in MERGES)
    (other / "bpe_simple_vocab_16e6.txt.gz").write_bytes(gzip.compress(lines.encode()))
    texts = ["kick left leg"]
    assert CLIPText(folder, vocabulary=other).token_ids(texts, 77) == CLIPText(folder).token_ids(texts, 77)


def test_official_shapes_fit_both_namings() -> None:
    with torch.device("meta"):
        tower = ClipTextTower(ClipTextConfig())
    shapes = {name: tuple(tensor.shape) for name, tensor in tower.state_dict().items()}
    generator = torch.zeros(1)
    theirs = {
        "token_embedding.weight": generator.expand(49408, 512),
        "positional_embedding": generator.expand(77, 512),
        "ln_final.weight": generator.expand(512),
        "ln_final.bias": generator.expand(512),
        "text_projection": generator.expand(512, 512),
    }
    block = {key: value for key, value in openai_weights(1, 512, 1).items() if key.startswith("transformer")}
    theirs |= {key.replace(".0.", f".{i}.", 1): value for key, value in block.items() for i in range(12)}
    config, ours = text_weights(theirs)
    assert config == ClipTextConfig()
    assert {name: tuple(tensor.shape) for name, tensor in ours.items()} == shapes
    assert sum(tensor.numel() for tensor in ours.values()) == 63_428_096


@pytest.mark.filterwarnings("ignore")
def test_a_plain_state_dictionary_is_read_and_a_program_is_not(folder: Path, tmp_path: Path) -> None:
    theirs = openai_weights(len(numbered(MERGES)))
    torch.save({name: tensor.half() for name, tensor in theirs.items()}, tmp_path / "half.pt")
    half = CLIPText(tmp_path / "half.pt", vocabulary=folder)
    torch.testing.assert_close(
        half.encode(["kick"]).pooled, CLIPText(folder).encode(["kick"]).pooled, atol=2e-2, rtol=0
    )
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "ViT-B-32.pt")
    with pytest.raises(CheckpointError, match=r"use the \.safetensors"):
        CLIPText(tmp_path / "ViT-B-32.pt", vocabulary=folder)
    torch.save({"a": Path("code")}, tmp_path / "unsafe.pt")
    with pytest.raises(CheckpointError, match="without running the code"):
        CLIPText(tmp_path / "unsafe.pt", vocabulary=folder)


def test_missing_files_raise_with_a_remedy(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "none")
    with pytest.raises(ConfigError, match="hf download"):
        CLIPText()
    with pytest.raises(ConfigError, match="not a weights file"):
        CLIPText(tmp_path / "none")
    (folder / "vocab.json").unlink()
    with pytest.raises(ConfigError, match="no CLIP vocabulary"):
        CLIPText(folder)
    (folder / "vocab.json").write_text(json.dumps(numbered(MERGES)))
    with pytest.raises(ConfigError, match="max_tokens 100"):
        CLIPText(folder).encode(["a"], max_tokens=100)
    (folder / "vocab.json").write_text("[")
    with pytest.raises(CheckpointError, match=r"vocab\.json is not a readable"):
        CLIPText(folder)
    (folder / "vocab.json").write_text(json.dumps(numbered(MERGES)))
    save_file({"other": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="expected a CLIP checkpoint"):
        CLIPText(folder)
