"""Names that users type, and the modules behind them. A new method, format, data set or encoder is one line here."""

from exuvia_ssm.registry import resolve as resolve
from exuvia_ssm.registry import suggest as suggest

GENERATORS = {"base-free": "exuvia-base", "base": "exuvia-research"}
"""Shipped generators, and the packages that hold their weights."""
DEFAULT_GENERATOR = "base-free"
"""The generator that commands use unless told otherwise."""
TEXT_ENCODER = {
    "minilm": "exuvia.text.minilm:MiniLM",
    "clip": "exuvia.text.clip:CLIPText",
    "hashed": "exuvia.text.hashed:HashedText",
}
REPRESENTATION = {"humanml3d": "exuvia.features.humanml3d:HUMANML3D", "kit": "exuvia.features.kit:KIT"}
DATA_SET = {"mocap": "exuvia.data.mocap:MocapFolder", "humanml3d": "exuvia.data.humanml3d:HumanML3DFolder"}
IMPORTER = {
    ".bvh": "exuvia.motion.bvh:read_bvh",
    ".amc": "exuvia.motion.asfamc:read_amc",
    ".c3d": "exuvia.motion.c3d_reader:read_c3d",
    ".glb": "exuvia.motion.glb_reader:read_glb",
    ".gltf": "exuvia.motion.glb_reader:read_glb",
    ".fbx": "exuvia.motion.fbx_reader:read_fbx",
    ".npy": "exuvia.motion.arrays:read_npy",
    ".npz": "exuvia.motion.arrays:read_npz",
    ".txt": "exuvia.motion.deepmimic:read_deepmimic",
}
COMPANIONS = {".amc"}
"""Formats whose files are read together with another file."""
EXPORTER = {
    ".npy": "exuvia.motion.arrays:write_npy",
    ".npz": "exuvia.features.clips:write_npz",
    ".bvh": "exuvia.motion.bvh_writer:write_bvh",
    ".glb": "exuvia.motion.glb_writer:write_glb",
    ".mp4": "exuvia.view.video:write_video",
    ".gif": "exuvia.view.video:write_video",
    ".png": "exuvia.view.strip:write_strip",
    ".html": "exuvia.view.page:write_page",
}
UNLEARN = {
    "none": "exuvia.unlearning.none:Nothing",
    "prompt_filter": "exuvia.unlearning.prompt_filter:PromptFilter",
    "retrain": "exuvia.unlearning.retrain:Retrain",
    "finetune": "exuvia.unlearning.finetune:FineTune",
    "esd": "exuvia.unlearning.esd:ESD",
    "negation": "exuvia.unlearning.negation:Negation",
    "uce": "exuvia.unlearning.uce:UCE",
    "rece": "exuvia.unlearning.rece:RECE",
    "lcr": "exuvia.unlearning.lcr:LCR",
}
JOBS = ("generate", "unlearn", "audit", "evaluate", "look")
STUDIO_JOB = {name: f"exuvia.studio.jobs.{name}:{name}" for name in JOBS}
