"""Parity of the tokenizer with the official RVQ-VAE (cases 02_*)."""

from typing import Any

import torch
from torch import Tensor

from exuvia.tokens.quantiser import EMAQuantiser, kept_level
from exuvia.tokens.rvqvae import RVQVAE
from exuvia.tokens.settings import RVQVAEConfig
from lab.parity.case import Case


class RecordedDraws:
    """Plays back the random numbers of a reference run, in call order."""

    def __init__(self, case: Case, prefix: str) -> None:
        self.values = {name: case.tensor(name) for name in case.tensors if name.startswith(prefix)}
        self.prefix = prefix
        self.gumbels = self.normals = 0

    def gumbel(self, rows: int, codes: int, like: Tensor) -> Tensor:
        """The next recorded Gumbel noise."""
        self.gumbels += 1
        return self.values[f"{self.prefix}gumbel{self.gumbels - 1}"].view(rows, codes)

    def normal(self, rows: int, dim: int, like: Tensor) -> Tensor:
        """The next recorded normal noise."""
        self.normals += 1
        return self.values[f"{self.prefix}tile_normal{self.normals - 1}"].view(rows, dim)

    def dropped_above(self, levels: int, probability: float) -> int:
        """No quantise-dropout in the recorded runs."""
        return levels - 1


def _model(case: Case, prefix: str) -> RVQVAE:
    c = case.config
    model = RVQVAE(
        RVQVAEConfig(
            input_dim=c["input_width"],
            num_codes=c["nb_code"],
            code_dim=c["code_dim"],
            num_quantizers=c["num_quantizers"],
            width=c["width"],
            down=c["down_t"],
            depth=c["depth"],
            dilation_growth=c["dilation_growth_rate"],
            activation=c["activation"],
            norm=c["norm"],
            dropout=c.get("res_dropout", 0.2),
            decay=c["mu"],
            shared_codebook=c["shared_codebook"],
            quantize_dropout=c["quantize_dropout_prob"],
            temperature=c.get("sample_codebook_temp", 0.5),
        )
    )
    model.load_published(case.group(prefix))
    return model


@torch.no_grad()
def evaluate(case: Case) -> dict[str, Any]:
    """Encode, quantise, decode and forward in evaluation mode."""
    model = _model(case, "sd.").eval()
    motion = case.tensor("in.motion")
    latents = model.latents(motion)
    codes = model.encode(motion)
    forward = model(motion)
    ours: dict[str, Any] = {
        "mid.encoder_out": latents,
        "out.indices": codes,
        "out.codes": model.quantizer.lookup(codes),
        "out.quantized": model.quantizer.lookup(codes).sum(0),
        "out.decoded": model.decode(codes),
        "out.decoded_base_only": model.decode(codes[..., :1]),
        "out.recon": forward.features,
        "out.commit_loss": forward.quantised.commit.view(1),
        "out.perplexity": forward.quantised.perplexity.view(1),
    }
    for level in range(case.config["num_quantizers"]):
        forced = model.quantizer(latents, last_level=level)
        ours[f"out.forced{level}.quantized"] = forced.value
        ours[f"out.forced{level}.indices"] = forced.codes
        ours[f"out.forced{level}.commit"] = forced.commit.view(1)
        ours[f"out.forced{level}.perplexity"] = forced.perplexity.view(1)
    return ours


def ema_steps(case: Case) -> dict[str, Any]:
    """Initialisation, update, reset and gradient of one quantiser over several steps."""
    c = case.config
    quantiser = EMAQuantiser(c["nb_code"], c["code_dim"], c["mu"]).train()
    ours: dict[str, Any] = {}
    for step in range(c["steps"]):
        name = f"step{step}."
        x = case.tensor(name + "in.x").requires_grad_()
        value, index, commit, perplexity = quantiser(x, RecordedDraws(case, name + "rng."), c["temperature"])
        ((value * case.tensor(name + "in.upstream")).sum() + 7 * commit).backward()
        ours[name + "out.quantized"] = value.detach()
        ours[name + "out.idx"] = index
        ours[name + "out.commit"] = commit.detach().view(1)
        ours[name + "out.perplexity"] = perplexity.view(1)
        ours[name + "out.grad_x"] = x.grad
        ours[name + "out.codebook"] = quantiser.codebook.clone()
        ours[name + "out.code_sum"] = quantiser.code_sum.clone()
        ours[name + "out.code_count"] = quantiser.code_count.clone()
    return ours


def train_step(case: Case) -> dict[str, Any]:
    """Two whole training forwards: losses, gradients, codebooks."""
    model = _model(case, "sd0.").train()
    for layer in model.quantizer.layers:
        layer.get_buffer("initialised").fill_(False)  # the recorded run draws its codebooks from the first batch
    joints = (case.config["input_width"] + 1) // 12
    ours: dict[str, Any] = {}
    for step in range(len({name.split(".")[0] for name in case.tensors if name.startswith("step")})):
        name = f"step{step}."
        model.zero_grad()
        caught: list[Any] = []
        handle = model.register_forward_hook(lambda _m, _i, out, caught=caught: caught.append(out))
        motion = case.tensor(name + "in.motion")
        total, parts = model.loss(motion, RecordedDraws(case, name + "rng."), joints=joints)
        handle.remove()
        total.backward()
        losses = [total.detach(), parts["reconstruction"], parts["position"], parts["commit"], parts["perplexity"]]
        ours[name + "out.recon"] = caught[0].features.detach()
        ours[name + "out.indices"] = caught[0].quantised.codes
        ours[name + "out.losses"] = torch.stack(losses)
        ours[name + "out.codebooks"] = torch.stack(
            [layer.get_buffer("codebook").clone() for layer in model.quantizer.layers]
        )
        encoder, decoder = model.encoder.model, model.decoder.model
        grads = {"encoder_first_w": encoder[0], "encoder_last_w": encoder[-1], "decoder_first_w": decoder[0]}
        ours |= {f"{name}out.grad.{key}": layer.get_parameter("weight").grad for key, layer in grads.items()}
    return ours


def dropout_rule(case: Case) -> dict[str, Any]:
    """Which levels are active for given draws."""
    levels, probability = case.config["num_quantizers"], case.config["quantize_dropout_prob"]
    pairs = zip(case.tensors["in.u"], case.tensors["in.start"], strict=True)
    kept = [kept_level(float(u), int(start), levels, probability) for u, start in pairs]
    return {"out.active": (torch.arange(levels)[None] <= torch.tensor(kept)[:, None]).long()}
