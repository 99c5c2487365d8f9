"""Parity of motion-text retrieval (cases 10_tmr_*) and of the score built on it (08_ncs)."""

from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

from exuvia.judges.retrieval import ActorDecoder, ActorEncoder, position_table
from exuvia.judges.retrieval_losses import info_nce, kl_divergence, recalls, similarity
from lab.parity.case import Case
from lab.released_scores import released_ncs


def ncs(case: Case) -> dict[str, Any]:
    """All published scores."""
    found = released_ncs(case.tensors["in.name"], case.tensors["in.repeat"], case.tensors["mid.first_rank"])
    return {f"scalars.unlearn/{name}": value for name, value in found.items()}


def losses(case: Case) -> dict[str, Any]:
    """Similarities, losses with their gradients, and recalls of both protocols."""
    text, motion = (case.tensor(f"in.{name}_latent").requires_grad_() for name in ("text", "motion"))
    sentences = case.tensor("in.sent_emb")
    ours: dict[str, Any] = {
        "out.sim": similarity(text, motion).detach(),
        "out.score": similarity(text, motion).detach() / 2 + 0.5,
    }
    logvars = case.tensor("in.logvar_text"), case.tensor("in.logvar_motion")
    ours["out.kl_text_to_motion"] = kl_divergence(text, logvars[0], motion, logvars[1]).detach().reshape(1)
    for temperature, threshold in ((0.1, 0.8), (0.7, 0.95)):
        loss = info_nce(text, motion, sentences, temperature, threshold)
        to_text, to_motion = torch.autograd.grad(loss, (text, motion))
        name = f"out.nce.temp{temperature}_thr{threshold}"
        ours |= {
            f"{name}.loss": loss.detach().reshape(1),
            f"{name}.grad_text": to_text,
            f"{name}.grad_motion": to_motion,
        }
    ours["out.nce.nofilter_temp0.1.loss"] = info_nce(text, motion).detach().reshape(1)
    scores = similarity(text, motion).detach().double().numpy()
    own = np.eye(len(scores), dtype=bool)
    alike = own | (sentences @ sentences.T > 2 * 0.95 - 1).numpy()
    for protocol, right, suffix in (("all_queries", own, ""), ("threshold_0.95", alike, "_thr0.95")):
        orders = (rankdata(-rows, method="average", axis=1) - 1 for rows in (scores, scores.T))
        there, back = (np.where(right, order, np.inf).min(1) for order in orders)
        ours |= {f"out.t2m_rank0{suffix}": there.astype(np.int64), f"out.m2t_rank0{suffix}": back.astype(np.int64)}
        for name, value in (recalls(there, "t2m") | recalls(back, "m2t")).items():
            ours[f"scalars.{protocol}.{name}"] = value
    return {name: value for name, value in ours.items() if name in case.tensors or name.startswith("scalars.")}


def actor(case: Case) -> dict[str, Any]:
    """Outputs of the encoder with one and with two learned tokens, and of the decoder."""
    c = case.config
    sizes = (c["latent_dim"], c["ff_size"], c["num_layers"], c["num_heads"])
    x, valid = case.tensor("in.x"), case.tensor("in.mask") != 0
    ours: dict[str, Any] = {"mid.pe": position_table(len(case.tensors["mid.pe"]), c["latent_dim"])}
    for run, tokens in (("vae", 2), ("novae", 1)):
        encoder = ActorEncoder(c["nfeats"], *sizes, tokens=tokens, dropout=0.0).eval()
        encoder.load_state_dict(case.group(f"{run}.sd."))
        ours[f"{run}.out.tokens"] = encoder(x, valid).detach()
    decoder = ActorDecoder(c["nfeats"], *sizes, dropout=0.0).eval()
    decoder.load_state_dict(case.group("dec.sd."))
    ours["dec.out.motion"] = decoder(case.tensor("in.z"), valid).detach()
    return ours
