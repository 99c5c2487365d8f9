"""Parity of the masked transformer, decoding, training step, tools and length estimator (cases 03_*)."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from exuvia.sequence import sampling
from exuvia.sequence.length import LengthEstimator
from exuvia.sequence.mask_transformer import Corruption, MaskTransformer
from exuvia.sequence.sampling import SamplingOptions
from exuvia.sequence.settings import LengthEstimatorConfig, MaskTransformerConfig
from lab.parity.case import Case
from lab.parity.guided import guided_logits

OFFICIAL_SETTINGS = {
    "num_tokens": "num_codes",
    "code_dim": "code_dim",
    "latent_dim": "width",
    "ff_size": "inner_width",
    "num_layers": "num_layers",
    "num_heads": "num_heads",
    "clip_dim": "text_dim",
    "dropout": "dropout",
    "cond_drop_prob": "cond_drop",
}
"""Name in a case's config -> field of TrunkConfig."""


def trunk_settings(case: Case) -> dict[str, Any]:
    """Constructor settings of a case under our names."""
    return {ours: case.config[theirs] for theirs, ours in OFFICIAL_SETTINGS.items()}


def model_of(case: Case) -> MaskTransformer:
    """The case's model in evaluation mode, weights loaded strictly."""
    model = MaskTransformer(MaskTransformerConfig(**trunk_settings(case)))
    model.load_state_dict(case.group("sd."))
    return model.eval()


def position_rows(case: Case, model: torch.nn.Module) -> Tensor:
    """As many rows of our position table as the case stores."""
    return model.get_buffer("position_enc.pe")[: len(case.tensors["mid.pe"]), 0]


@torch.no_grad()
def forward(case: Case) -> dict[str, Any]:
    """Logits: conditional, unconditional and guided (scales from the names of the case's tensors)."""
    model = model_of(case)
    ids, cond, valid = case.tensor("in.ids"), case.tensor("in.cond"), case.tensor("in.padding_mask") == 0
    ours: dict[str, Any] = {
        "mid.pe": position_rows(case, model),
        "out.logits": model.logits(ids, cond, valid),
        "out.logits_force_mask": guided_logits(model, ids, cond, valid, cond_scale=3, unconditional=True),
    }
    for name in case.tensors:
        if name.startswith("out.cfg_scale"):
            scale = float(name.removeprefix("out.cfg_scale"))
            ours[name] = guided_logits(model, ids, cond, valid, cond_scale=scale)
    return ours


def generate(case: Case) -> dict[str, Any]:
    """Iterative decoding: greedy, unconditional, drawn with given uniforms, and both edits; ids of every step."""
    model, config = model_of(case), case.config
    cond, lengths = case.tensor("in.cond"), case.tensor("in.m_lens")
    steps, size = int(config["timesteps"]), int(lengths.max())
    ours: dict[str, Any] = {"mid.pe": position_rows(case, model)}

    def edit(*, region: Tensor | None = None, first: Tensor | None = None, **options: Any) -> Tensor:
        return model.edit(tokens, cond, lengths, options=SamplingOptions(**options), region=region, first=first)

    def run(name: str, trace: str, call: Any, **settings: Any) -> None:
        seen: list[tuple[Tensor, Tensor]] = []
        common = {"steps": steps, "cond_scale": config["cond_scale"]}
        common |= {"keep_share": config["topk_filter_thres"], "temperature": config["temperature"]}
        common |= {"noise": torch.full((steps, *cond.shape[:1], size), 0.5)}
        ours[name] = call(on_step=lambda _, a, b: seen.append((a, b)), **(common | settings))
        ours[trace] = torch.stack([ids for ids, _ in seen])
        if name == "out.ids":
            ours["mid.step0_logits"] = seen[0][1].clone()

    tokens, region = case.tensor("in.edit_tokens"), case.tensor("in.edit_mask") == 1
    generated = partial(model.generate, cond, lengths)
    run("out.ids", "mid.step_ids", generated)
    run("out.ids_force_mask", "mid.step_ids_force_mask", generated, cond_scale=0.0)
    if case.tensors["mid.step_ids_force_mask"].ndim == 0:  # the stored trace is incomplete
        del ours["mid.step_ids_force_mask"]
    drawn = {"temperature": 1.0, "keep_share": 0.7, "noise": case.tensor("in.sample_u")}
    run("out.ids_sampled", "mid.step_ids_sampled", generated, **drawn)
    run("out.edit_ids", "mid.edit_step_ids", edit, region=region)
    first = case.tensor("mid.edit_free_step_ids")[0] == model.mask_id
    run("out.edit_free_ids", "mid.edit_free_step_ids", edit, first=first)
    return ours


@torch.no_grad()
def train_forward(case: Case) -> dict[str, Any]:
    """Corruption, targets, logits, loss and accuracy from recorded draws."""
    model = model_of(case)
    codes, cond, lengths = case.tensor("in.ids"), case.tensor("in.cond"), case.tensor("in.m_lens")
    draws = Corruption(
        time=case.tensor("rng.time"),
        order=case.tensor("rng.perm_noise"),
        to_random=case.tensor("rng.replace_random") == 1,
        random_codes=case.tensor("rng.random_ids"),
        to_mask=case.tensor("rng.replace_mask") == 1,
    )
    ids, valid, labels = model.corrupt(codes, lengths, draws)
    logits = model.logits(ids, cond, valid)
    loss, accuracy = model.loss(codes, lengths, cond, draws=draws)
    return {
        "mid.pe": position_rows(case, model),
        "out.x_ids": ids,
        "out.labels": labels,
        "out.logits": logits,
        "out.loss": loss[None],
        "out.acc": accuracy[None],
        "out.pred_id": logits.argmax(1),
    }


def tools(case: Case) -> dict[str, Any]:
    """Schedules, filter, Gumbel draws, masked counts and token scores; settings come from the tensor names."""
    t, u, logits = case.tensor("in.t"), case.tensor("in.u"), case.tensor("in.logits")
    noise = -torch.log((-torch.log(case.tensor("in.gumbel_u").clamp(min=1e-20))).clamp(min=1e-20))
    scores = (case.tensor("in.pl"), case.tensor("in.lab"), int(case.config["ignore_index"]))
    ours: dict[str, Any] = {
        "out.cosine": sampling.cosine_schedule(t),
        "out.gumbel_noise": noise,
        "out.ce": sampling.token_loss(*scores)[None],
        "out.ce_pred": scores[0].argmax(1),
        "out.ce_acc": sampling.token_accuracy(*scores)[None],
    }
    for name, stored in case.tensors.items():
        setting = name.rpartition("_")[2]
        if name.startswith("out.scale_cosine_"):
            scale = float(setting)
            ours[name] = (scale * sampling.cosine_schedule(t) + 1 - scale).clip(0, 1)
        elif name.startswith("out.top_k_"):
            ours[name] = torch.isfinite(sampling.top_share(logits, float(setting))).long()
        elif name.startswith("out.num_masked_T"):
            lengths = torch.arange(1, stored.shape[1] + 1)
            ours[name] = sampling.masked_counts(lengths, int(setting.removeprefix("T")))
        elif name.startswith("out.q_schedule_"):
            low, high = name.removeprefix("out.q_schedule_").split("_")
            ours[name] = sampling.q_schedule(u, int(low), int(high))
        elif name.startswith("out.gumbel_sample_"):
            ours[name] = sampling.draw(logits, float(setting), noise)
        elif name.startswith("out.ce_smooth"):
            ours[name] = _smooth_loss(*scores, share=float(name.removeprefix("out.ce_smooth")))[None]
        elif name.startswith("out.acc_top"):
            best = scores[0].topk(int(name.removeprefix("out.acc_top")), dim=1).indices
            ours[name] = (best == scores[1][:, None]).any(1)[scores[1] != scores[2]].float().mean()[None]
    return ours


def _smooth_loss(logits: Tensor, labels: Tensor, ignore: int, share: float) -> Tensor:
    """The token loss with a share of every target moved evenly onto the other V - 1 ids."""
    logs, counted = logits.log_softmax(1), labels != ignore
    picked = logs.gather(1, labels.masked_fill(~counted, 0)[:, None])[:, 0]
    smooth = (1 - share) * picked + (logs.sum(1) - picked) * share / (logits.shape[1] - 1)
    return -smooth[counted].mean()


@torch.no_grad()
def length(case: Case) -> dict[str, Any]:
    """Logits and probabilities of the length classes."""
    config = case.config
    hidden = tuple(config["hidden"])
    settings = LengthEstimatorConfig(text_dim=config["input_size"], num_classes=config["output_size"], hidden=hidden)
    model = LengthEstimator(settings)
    model.load_state_dict(case.group("sd."))
    logits = model.eval().logits(case.tensor("in.text_emb"))
    return {"out.logits": logits, "out.probs": logits.softmax(-1)}
