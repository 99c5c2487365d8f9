"""Parity of closed-form edits with UCE, RECE and their re-use on motion models (cases 08_uce*, 08_rece*)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from exuvia.unlearning.closed_form import Constraint, adversarial, products, solve, without_direction
from lab.parity.case import Case


def adversarial_nearby(inputs: Tensor, changed: Sequence[Tensor], original: Sequence[Tensor], reg: float) -> Tensor:
    """`adversarial` pulled to `inputs`, as input and as output, in place of zero."""
    own, cross = products(changed, original)
    eye = torch.eye(len(own), dtype=torch.float64)
    left, right = reg * eye + own + reg * own, cross + reg * eye + reg * own
    return (inputs.double() @ torch.linalg.solve(left, right).T).to(inputs.dtype)


def adversarial_towards(
    inputs: Tensor, target: Tensor, changed: Sequence[Tensor], original: Sequence[Tensor], reg: float
) -> Tensor:
    """`adversarial` pulled to a target [..., E] in place of zero."""
    own, cross = products(changed, original)
    right = reg * target.double() + inputs.double() @ cross.T
    return torch.linalg.solve(reg * torch.eye(len(own), dtype=torch.float64) + own, right.mT).mT.to(inputs.dtype)


def edited(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    forget: Sequence[Tensor],
    target: Sequence[Tensor],
    retain: Sequence[Tensor],
    settings: Mapping[str, Any],
) -> list[Tensor]:
    """All maps after one edit, each from its own outputs, bias included as released."""
    found = []
    for weight, bias in zip(weights, biases, strict=True):

        def out(c: Tensor, weight: Tensor = weight, bias: Tensor | None = bias) -> Tensor:
            return c @ weight.T + (0 if bias is None else bias)

        wanted = [out(t) for t in target]
        if settings.get("technique", "replace") == "tensor":
            wanted = [without_direction(o, out(c)) for o, c in zip(wanted, forget, strict=True)]
        erase, keep = settings["erase_scale"], settings["preserve_scale"]
        rows = [Constraint(c, v, erase) for c, v in zip(forget, wanted, strict=True)]
        rows += [Constraint(c, out(c), keep) for c in retain]
        found.append(solve(weight, rows, settings["lamb"]))
    return found


def hmu(case: Case) -> dict[str, Any]:
    """Every sub-case, the edit of one layer alone, and RECE's loop."""
    rows = {name: list(case.tensor(f"in.{name}")[:, None]) for name in ("forget", "target", "retain")}
    given = (rows["forget"], rows["target"], rows["retain"])
    ours: dict[str, Any] = {}
    for name, settings in case.config["subcases"].items():
        kind = "bias" if settings["bias"] else "nobias"
        weights = [case.tensor(f"{kind}.in.W{i}") for i in range(2)]
        biases = [case.tensor(f"{kind}.in.b{i}") if settings["bias"] else None for i in range(2)]
        for i, new in enumerate(edited(weights, biases, *given, settings)):
            ours[f"{name}.out.W{i}"] = new
    ours |= {"only_layer1.out.W0": case.tensor("bias.in.W0"), "only_layer1.out.W1": ours["bias_tensor_p0.1.out.W1"]}
    settings = case.config["rece"]
    weights = [case.tensor(f"bias.in.W{i}") for i in range(2)]
    biases = [case.tensor(f"bias.in.b{i}") for i in range(2)]
    weights = edited(weights, biases, *given, settings)
    ours |= {f"rece.uce.out.W{i}": w for i, w in enumerate(weights)}
    for epoch in range(settings["epochs"]):
        found = [adversarial(c, weights, weights, settings["regular_scale"]) for c in rows["forget"]]
        weights = edited(weights, biases, found, rows["target"], rows["retain"], settings)
        ours[f"rece.epoch{epoch}.adv"] = torch.cat(found)
        ours |= {f"rece.epoch{epoch}.W{i}": w for i, w in enumerate(weights)}
    return {name: value for name, value in ours.items() if name in case.tensors}


def uce(case: Case) -> dict[str, Any]:
    """Both settings of the original, on the last token's vector."""
    names = sorted(name.removeprefix("in.W.") for name in case.tensors if name.startswith("in.W."))
    weights = [case.tensor(f"in.W.{name}") for name in names]
    last = case.config["last_token_index"]

    def row(name: str) -> Tensor:
        return case.tensor(f"in.emb.{name}")[last : last + 1]

    given = [row("f0"), row("f1")], [row("tg")] * 2, [row(f"r{i}") for i in range(3)]
    ours: dict[str, Any] = {}
    for run, settings in case.config["subcases"].items():
        found = edited(weights, [None] * len(weights), *given, settings)
        ours |= {f"{run}.out.W.{name}": new for name, new in zip(names, found, strict=True)}
    return ours


def rece(case: Case) -> dict[str, Any]:
    """Both techniques over two epochs, and the three forms of the adversarial embedding."""
    names = sorted(name.removeprefix("in.W.") for name in case.tensors if name.startswith("in.W."))
    original = [case.tensor(f"in.W.{name}") for name in names]
    none: list[Tensor | None] = [None] * len(names)
    forget, target = [case.tensor(f"in.emb.f{i}") for i in range(2)], [case.tensor("in.emb.tg")] * 2
    retain = [case.tensor(f"in.emb.r{i}") for i in range(3)]
    reg = case.config["regular_scale"]
    ours: dict[str, Any] = {}
    for technique in ("tensor", "replace"):
        settings = {**case.config, "technique": technique}
        weights = edited(original, none, forget, target, retain, settings)
        ours |= {f"{technique}.uce.W.{name}": w for name, w in zip(names, weights, strict=True)}
        for epoch in range(2):
            found = [adversarial(c, weights, original, reg) for c in forget]
            weights = edited(weights, none, found, target, retain, settings)
            ours[f"{technique}.epoch{epoch}.adv"] = torch.stack(found)
            ours |= {f"{technique}.epoch{epoch}.W.{name}": w for name, w in zip(names, weights, strict=True)}
    changed = [case.tensor(f"surr.in.W_edited.{name}") for name in names]
    ours["surr.out.adv_regzero"] = adversarial(forget[0], changed, original, reg)
    ours["surr.out.adv_both"] = adversarial_nearby(forget[0], changed, original, reg)
    ours["surr.out.adv_standard_target_f1"] = adversarial_towards(forget[0], forget[1], changed, original, reg)
    return {name: value for name, value in ours.items() if name in case.tensors}
