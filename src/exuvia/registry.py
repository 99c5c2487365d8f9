"""Names and where they live: adding a method, data set, format or encoder is one file and one line here."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from exuvia.errors import ConfigError

TEXT_ENCODER = {
    "minilm": "exuvia.text.minilm:MiniLM",
    "clip": "exuvia.text.clip:CLIPText",
    "hashed": "exuvia.text.hashed:HashedText",
}
REPRESENTATION = {
    "humanml3d": "exuvia.features.humanml3d:HUMANML3D",
    "kit": "exuvia.features.kit:KIT",
}
IMPORTER = {
    ".bvh": "exuvia.motion.bvh:read_bvh",
    ".amc": "exuvia.motion.asfamc:read_amc",
    ".npy": "exuvia.motion.arrays:read_npy",
    ".npz": "exuvia.motion.arrays:read_npz",
    ".txt": "exuvia.motion.deepmimic:read_deepmimic",
}
EXPORTER = {
    ".npy": "exuvia.motion.arrays:write_npy",
    ".npz": "exuvia.features.archive:write_npz",
    ".bvh": "exuvia.motion.bvh_writer:write_bvh",
    ".glb": "exuvia.motion.glb_writer:write_glb",
    ".mp4": "exuvia.view.video:write_video",
    ".gif": "exuvia.view.video:write_video",
    ".png": "exuvia.view.strip:write_strip",
    ".html": "exuvia.view.page:write_page",
}
UNLEARN = {
    "none": "exuvia.unlearn.none:Nothing",
    "prompt_filter": "exuvia.unlearn.prompt_filter:PromptFilter",
    "retrain": "exuvia.unlearn.retrain:Retrain",
    "finetune": "exuvia.unlearn.finetune:FineTune",
    "esd": "exuvia.unlearn.esd:ESD",
    "negation": "exuvia.unlearn.negation:Negation",
    "uce": "exuvia.unlearn.uce:UCE",
    "rece": "exuvia.unlearn.rece:RECE",
    "lcr": "exuvia.unlearn.lcr:LCR",
}
STREAM = {
    "scenes": "exuvia.long:stream",
}
STUDIO_JOB = {
    "generate": "exuvia.studio.jobs.generate:generate",
    "unlearn": "exuvia.studio.jobs.unlearn:unlearn",
    "audit": "exuvia.studio.jobs.audit:audit",
    "evaluate": "exuvia.studio.jobs.evaluate:evaluate",
    "look": "exuvia.studio.jobs.look:look",
}
GOLDEN = {
    "01_hml_recover": "exuvia.goldens.features:recover",
    "01_hml": "exuvia.goldens.features:encode",
    "01_kit": "exuvia.goldens.features:encode",
    "01_quat_ops": "exuvia.goldens.features:quaternions",
    "01_mean_std": "exuvia.goldens.features:statistics",
    "02_rvqvae_eval": "exuvia.goldens.tokens:evaluate",
    "02_ema_step": "exuvia.goldens.tokens:ema_steps",
    "02_rvqvae_train_step": "exuvia.goldens.tokens:train_step",
    "02_quantize_dropout_rule": "exuvia.goldens.tokens:dropout_rule",
    "03_mask_transformer_forward": "exuvia.goldens.mask:forward",
    "03_mask_generate": "exuvia.goldens.mask:generate",
    "03_mask_train_forward": "exuvia.goldens.mask:train_forward",
    "03_tools": "exuvia.goldens.mask:tools",
    "03_length_estimator": "exuvia.goldens.mask:length",
    "04_res_transformer": "exuvia.goldens.residual:residual",
    "05_bamm": "exuvia.goldens.bamm:bamm",
    "06_evaluators": "exuvia.goldens.evaluators:evaluators",
    "07_metrics": "exuvia.goldens.evaluators:metrics",
    "08_lcr": "exuvia.goldens.unlearn:lcr",
    "08_uce_rece_hmu": "exuvia.goldens.closed_form:hmu",
    "08_uce_upstream": "exuvia.goldens.closed_form:uce",
    "08_rece_upstream": "exuvia.goldens.closed_form:rece",
    "08_ncs": "exuvia.goldens.retrieval:ncs",
    "10_tmr_actor": "exuvia.goldens.retrieval:actor",
    "10_tmr_losses_metrics": "exuvia.goldens.retrieval:losses",
    "09_selective_scan": "exuvia.goldens.scan:selective_scan_case",
    "09_mamba_block": "exuvia.goldens.mamba:mamba_block",
    "09_s4d": "exuvia.goldens.s4d:s4d",
}

SSM = {
    "s6": "exuvia.ssm.mamba:S6",
    "mamba": "exuvia.ssm.mamba:Mamba",
    "s4d": "exuvia.ssm.s4d:S4D",
    "serpent": "exuvia.ssm.serpent:SeRpEnt",
}


def suggest(name: str, known: Iterable[str]) -> str:
    """A half-sentence that names the nearest known name, or lists them all."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"


def resolve(table: Mapping[str, str], name: str, kind: str) -> Any:
    """The object that a registry line names, imported on demand.

    Raises:
        ConfigError: no such name; the message suggests the nearest.
    """
    if name not in table:
        raise ConfigError(f"unknown {kind} {name!r}; {suggest(name, table)}")
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)
