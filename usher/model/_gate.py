"""May this model be served?  Every reason why not, in words."""

from collections.abc import Mapping
from typing import Any

from .config import Gate


def reasons(metrics: Mapping[str, Any], rows: Mapping[str, int], gate: Gate) -> list[str]:
    """Why a model with these figures on the holdout is not promotable; empty: it is."""
    likes, engaged = metrics["preferences"], metrics["engagement"]
    found = []
    if rows["holdout"] < gate.min_holdout_rows:
        found.append(f"The holdout has {rows['holdout']} examples, fewer than {gate.min_holdout_rows}.")
    checks = (
        ("Mean ROC-AUC", likes["roc_auc"]["mean"]["value"], ">=", gate.roc_auc_min),
        ("The gain in ROC-AUC over the better baseline (lower end)", likes["gain"]["low"], ">", gate.roc_auc_gain_min),
        ("The mean Brier score", likes["brier"]["mean"]["value"], "<=", gate.brier_max),
        ("R² of engagement", engaged["r2"]["value"], ">=", gate.r2_min),
        ("The gain in R² over the better baseline (lower end)", engaged["gain"]["low"], ">", gate.r2_gain_min),
    )
    for what, value, relation, limit in checks:
        if not {">=": value >= limit, ">": value > limit, "<=": value <= limit}[relation]:
            found.append(f"{what} is {value:.4f}, but must be {relation} {limit}.")
    return found
