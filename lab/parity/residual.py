"""Parity of the residual transformer: tables, logits per level, guidance, training step, generation (cases 04_*)."""

from typing import Any

import torch
from torch import Tensor

from exuvia.sequence.residual_transformer import ResidualDraws, ResidualTransformer
from exuvia.sequence.settings import ResidualTransformerConfig
from exuvia.sequence.trunk import valid_from_lengths
from lab.parity.case import Case
from lab.parity.guided import guided_logits
from lab.parity.mask import position_rows, trunk_settings


@torch.no_grad()
def residual(case: Case) -> dict[str, Any]:
    """Everything that a case stores, with shared weights or without."""
    config = case.config
    settings = {"num_quantizers": config["num_quantizers"], "share_weight": config["share_weight"]}
    model = ResidualTransformer(ResidualTransformerConfig(**trunk_settings(case), **settings))
    model.load_state_dict(case.group("sd."))
    model.eval()
    ours = {
        "mid.pe": position_rows(case, model),
        "mid.token_embed_tables": model.embedding_tables().detach(),
        "mid.output_proj_tables": model.projection_tables().detach(),
    }
    return ours | _levels(case, model) | _training(case, model) | _generation(case, model)


def _levels(case: Case, model: ResidualTransformer) -> dict[str, Tensor]:
    embedded, cond, valid = case.tensor("in.codes"), case.tensor("in.cond"), case.tensor("in.padding_mask") == 0
    ours = {}
    for q in range(1, model.config.num_quantizers):
        level = torch.full((len(cond),), q)
        inputs = (embedded, level, cond, valid)
        ours[f"q{q}.out.hidden"] = model.hidden(embedded, level, model.prefix(cond), valid).transpose(1, 2)
        ours[f"q{q}.out.logits"] = model.logits(*inputs)
        ours[f"q{q}.out.logits_force_mask"] = guided_logits(model, *inputs, cond_scale=5, unconditional=True)
        for name in case.tensors:
            if name.startswith(f"q{q}.out.cfg_scale"):
                scale = float(name.partition("cfg_scale")[2])
                ours[name] = guided_logits(model, *inputs, cond_scale=scale)
    ours["mixed.out.logits"] = model.logits(embedded, case.tensor("mixed.in.qids"), cond, valid)
    return ours


def _training(case: Case, model: ResidualTransformer) -> dict[str, Tensor]:
    codes, lengths, cond = case.tensor("train.in.indices"), case.tensor("in.m_lens"), case.tensor("in.cond")
    level = case.tensor("train.rng.q")
    valid = valid_from_lengths(lengths, codes.shape[1])
    clean, labels = model.targets(codes, valid, level)
    loss, accuracy = model.loss(codes, lengths, cond, draws=ResidualDraws(level))
    return {
        "train.out.labels": labels,
        "train.out.logits": model.logits(model.history(clean, level), level, cond, valid),
        "train.out.loss": loss[None],
        "train.out.acc": accuracy[None],
    }


def _generation(case: Case, model: ResidualTransformer) -> dict[str, Tensor]:
    ids, lengths, cond = case.tensor("gen.in.ids"), case.tensor("in.m_lens"), case.tensor("in.cond")
    setting = case.config["generate"]
    greedy: dict[str, Any] = {"keep_share": setting["topk_filter_thres"], "temperature": setting["temperature"]}
    greedy |= {"noise": torch.full((model.config.num_quantizers - 1, *ids.shape), 0.5)}
    drawn: dict[str, Any] = {"keep_share": 0.7, "temperature": 1.0, "noise": case.tensor("gen.rng.gumbel")}
    scale = setting["cond_scale"]
    return {
        "gen.out.ids": model.generate(ids, cond, lengths, cond_scale=scale, **greedy),
        "gen.out.ids_1_res_layer": model.generate(ids, cond, lengths, cond_scale=scale, **greedy)[..., :2],
        "gen.out.ids_sampled": model.generate(ids, cond, lengths, cond_scale=5, **drawn),
    }
