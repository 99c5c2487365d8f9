"""Names of rows that experiments write and tables read."""

RECORDED = {
    "forget": (
        "violence_rate", "fid", "kid", "mm_safe", "ncs@1", "ncs@10", "median_rank", "freeze_rate", "foot_skate_rate",
        "mean_joint_speed_m_per_s",
    ),
    "retain": ("violence_rate", "fid", "kid", "r_precision@1", "r_precision@3", "mm_dist", "mean_joint_speed_m_per_s"),
}  # fmt: skip
"""Metrics that are recorded for sets of captions; for written prompts it is the rate of violence alone."""
SHORT = {
    "r_precision@1": "r1", "r_precision@3": "r3", "ncs@1": "ncs1", "ncs@10": "ncs10",
    "mean_joint_speed_m_per_s": "speed_m_per_s",
}  # fmt: skip


def benchmark_name(of: str, method: str, metric: str, place: str) -> str:
    """Return `unlearn.METHOD.PLACE.SET.METRIC`, `prompts.KIND.METHOD.violence_rate`, or "" if not recorded.

    Args:
        of: the set of prompts
        place: the concept with its tag
    """
    if metric in RECORDED.get(of, ()):
        return f"unlearn.{method}.{place}.{of}.{SHORT.get(metric, metric)}"
    if metric != "violence_rate" or of in RECORDED or of == "all":
        return ""
    kind = "data_lookalike" if of == "lookalike" else of.removeprefix("written_")
    name = f"prompts.{kind}.{method}.violence_rate"
    return name if place == "violence" else f"{name}.{place}"


def frames_name(generator: str, layer: int, rate: float, kind: str, what: str) -> str:
    """Return the name of how often a branch keeps a kind of step; layers count from 0."""
    return f"frames.{generator}.layer{layer}.{rate:g}.{kind}.{what}"
