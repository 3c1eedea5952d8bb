"""May this model be served?  Every reason why not, in words."""

import math
from collections.abc import Mapping
from typing import Any

from .config import Gate

FLOOR = Gate(
    min_holdout_rows=1,
    roc_auc_min=0.5,
    roc_auc_gain_min=-math.inf,
    brier_max=0.25,
    r2_min=-math.inf,
    r2_gain_min=-math.inf,
)
"""What a coin achieves. Whatever conf/model.yaml allows and a manifest claims, nothing below it serves."""


def reasons(metrics: Any, rows: Any, gate: Gate) -> list[str]:
    """Why a model with these figures on the holdout is not promotable; empty: it is."""
    found = []
    examples = _figure(rows, "holdout") or 0
    if examples < gate.min_holdout_rows:
        found.append(f"The holdout has {examples} examples, fewer than {gate.min_holdout_rows}.")
    for what, path, relation, limit in _checks(gate):
        value = _figure(metrics, *path)
        if value is None:
            found.append(f"{what} cannot be measured, but must be {relation} {limit}.")
        elif not {">=": value >= limit, ">": value > limit, "<=": value <= limit}[relation]:
            found.append(f"{what} is {value:.4f}, but must be {relation} {limit}.")
    return found


def refusals(manifest: Mapping[str, Any], gate: Gate) -> list[str]:
    """Why a version with this manifest may not serve: what training said, and what the figures say by themselves."""
    promotable, because = manifest.get("promotable"), manifest.get("not_promotable_because")
    if not isinstance(promotable, bool) or not isinstance(because, list):
        return ["Its manifest does not say whether its gate was open."]
    if not promotable or because:
        return [*map(str, because)] or ["Its gate was closed, and its manifest does not say why."]
    return reasons(manifest.get("metrics"), manifest.get("rows"), gate)


def _checks(gate: Gate) -> tuple[tuple[str, tuple[str, ...], str, float], ...]:
    """What is looked at, where it stands in the metrics, and what it must be."""
    likes, engaged = "preferences", "engagement"
    gain = "The gain in {} over the better baseline (lower end)".format
    return (
        ("Mean ROC-AUC", (likes, "roc_auc", "mean", "value"), ">=", gate.roc_auc_min),
        (gain("ROC-AUC"), (likes, "gain", "low"), ">", gate.roc_auc_gain_min),
        ("The mean Brier score", (likes, "brier", "mean", "value"), "<=", gate.brier_max),
        ("R² of engagement", (engaged, "r2", "value"), ">=", gate.r2_min),
        (gain("R²"), (engaged, "gain", "low"), ">", gate.r2_gain_min),
    )


def _figure(tree: Any, *path: str) -> float | None:
    """The number at that path; None where there is none, or none that is finite."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    is_number = isinstance(tree, int | float) and not isinstance(tree, bool)
    return tree if is_number and math.isfinite(tree) else None
