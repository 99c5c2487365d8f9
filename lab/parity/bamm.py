"""Parity of BAMM's decoder, training step, two-pass generation and end handling (cases 05_*)."""

from typing import Any

import torch

from exuvia.sequence.bamm import BAMM, Reveal
from exuvia.sequence.bamm_decoder import BAMMOptions, attention_table, cut_at_end, first_pass, generate
from exuvia.sequence.settings import BAMMConfig
from lab.parity.case import Case
from lab.parity.guided import guided_logits
from lab.parity.mask import position_rows, trunk_settings


def model_of(case: Case) -> BAMM:
    """The case's model in evaluation mode, weights loaded strictly but for the position table."""
    model = BAMM(BAMMConfig(**trunk_settings(case), blocks=case.config["trans"]))
    model.load_state_dict(case.group("sd.") | {"position_enc.pe": model.get_buffer("position_enc.pe")})
    return model.eval()


@torch.no_grad()
def bamm(case: Case) -> dict[str, Any]:
    """Logits, tables, the training loss, and generation with given uniforms where the case has it."""
    model = model_of(case)
    ids, cond = case.tensor("in.ids"), case.tensor("in.cond")
    given = case.tensor("in.cond_idx") != model.pad_id
    prefix = torch.ones(len(ids), 1, dtype=torch.bool)
    both = [guided_logits(model, ids, cond, cond_scale=1, unconditional=u) for u in (False, True)]
    ours: dict[str, Any] = {
        "mid.pe": position_rows(case, model),
        "mid.causal.attn": attention_table(torch.zeros_like(given), prefix).long(),
        "mid.hybrid.attn": attention_table(given, prefix).long(),
        "out.causal.logits": model.logits(ids, cond),
        "out.causal.logits_force_mask": both[1],
        "out.causal.logits_both": torch.cat(both),
        "out.causal.cfg_scale4": guided_logits(model, ids, cond, cond_scale=4),
        "out.hybrid.logits": model.logits(ids, cond, given),
        "out.hybrid.logits_force_mask": guided_logits(model, ids, cond, given, cond_scale=3, unconditional=True),
        "out.hybrid.cfg_scale3": guided_logits(model, ids, cond, given, cond_scale=3),
        **_training(case, model),
    }
    return ours | (_generation(case, model) if "gen.in.u" in case.tensors else {})


def _training(case: Case, model: BAMM) -> dict[str, Any]:
    """One step from recorded inputs; targets are made from codes and lengths."""
    codes, lengths, cond = case.tensor("train.in.ids"), case.tensor("train.in.m_lens"), case.tensor("in.cond")
    ids, given = case.tensor("train.mid.x_ids"), case.tensor("train.mid.cond_idx") != model.pad_id
    draws = _draws(ids, given)
    made, places, labels = model.corrupt(codes, lengths, draws)
    logits = model.logits(ids, cond, given)
    loss, accuracy = model.score(logits, labels)
    return {
        "train.mid.x_ids": made,
        "train.mid.labels": labels,
        "train.mid.cond_idx": torch.where(places, labels, model.pad_id),
        "train.out.logits": logits,
        "train.out.loss": loss[None],
        "train.out.acc": accuracy[None],
    }


def _draws(ids: torch.Tensor, given: torch.Tensor) -> Reveal:
    """The draws that lead to recorded inputs: every code before the end is taken from them."""
    return Reveal(given=given, to_random=torch.ones_like(given), random_codes=ids)


def _generation(case: Case, model: BAMM) -> dict[str, Any]:
    """Both ways of finding a length, with the recorded choice of codes that the second pass rewrites."""
    cond, uniform = case.tensor("in.cond"), case.tensor("gen.in.u")
    size = uniform.shape[0] // 2
    noise = torch.stack([uniform[:size].T, uniform[size:].T]).double()
    ours: dict[str, Any] = {}
    options = BAMMOptions(noise=noise, released=True)
    with torch.inference_mode():
        first, sure = first_pass(model, (cond, None), options, size, None, 1, noise)
    ours["gen.mid.pass1_ids"] = torch.nn.functional.pad(first, (0, 1), value=model.pad_id)
    ours["gen.mid.pass1_probs"] = sure
    for name, lengths in (("predict_len", None), ("given_len", case.tensor("gen.in.m_lens"))):
        kept = case.tensor(f"gen.mid.pass2_cond_idx_{name}") != model.pad_id
        made = generate(model, (cond, None), lengths, (1, size), options, refill=~kept[:, :size])
        found = (made >= 0).sum(1)
        stored = case.tensor(f"gen.out.ids_{name}")
        inside = torch.arange(stored.shape[1])[None] < found[:, None]
        ours[f"gen.out.len_{name}"] = found
        padded = torch.nn.functional.pad(made, (0, stored.shape[1] - made.shape[1]), value=-1)
        # ignore the codes that the reference leaves after a motion's end
        ours[f"gen.out.ids_{name}"] = torch.where(inside, padded, stored)
    if "pad.in.ids" in case.tensors:
        rows = case.tensor("pad.in.ids")
        ids, lengths = cut_at_end(rows, model.end_id)
        full = ~(rows >= model.end_id).any(1)
        place = torch.arange(rows.shape[1])[None]
        cut = torch.where(place < lengths[:, None], ids, -1)
        ended = torch.where(
            place > lengths[:, None], model.pad_id, ids.masked_fill(place == lengths[:, None], model.end_id)
        )
        ours |= {
            "pad.out.when_end": cut,
            "pad.out.after_end": ended,
            # the reference has one more position in a full row, for the end token
            "pad.out.after_end_len": lengths + full.long(),
            "pad.out.when_end_len": lengths + full.long(),
        }
    return ours
