"""Detect → train on fresh data → gate → shadow → promote, or why not: one step at each call, to be run on a schedule.

Without a challenger it looks for drift, and if there is any that a new model can answer, trains one and puts it into
the champion's shadow. With one it compares the two on decisions that both have scored and whose labels have come since.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from usher.drift import Report, watch
from usher.model import Dataset, ModelError, Registry, label, train
from usher.model import metrics as measure
from usher.model.config import DAY_MS, Config
from usher.model.dataset import CHALLENGER, SCORES

STALE = "The data is stale, so no model is trained on it: is the job running?"
UNKNOWN = (
    "No new model would know what none has an input for: mend what sends it, or add it to usher/features.py and train."
)


@dataclass(frozen=True)
class Outcome:
    """What was done, and why."""

    did: str
    """nothing, refused, shadowed, waited, promoted or dropped"""
    why: list[str]
    version: str | None = None
    report: Report | None = None


def retrain(
    rows: pd.DataFrame,
    registry: Registry,
    policy: Config,
    seed: int = 1,
    candidates: tuple[str, ...] = ("linear", "gradient_boosting"),
    now_ms: int | None = None,
) -> Outcome:
    """The next step, from rows of the log (`usher.model.log`). Whatever fails, the champion goes on serving."""
    challenger = registry.alias("challenger")
    if challenger is not None:
        return _judge(rows, registry, policy, challenger)
    report = drift_of(rows, registry, policy, now_ms)
    if not report.reasons:
        return Outcome("nothing", ["Nothing has drifted."], report=report)
    if report.stale or not report.learnable:
        return Outcome("refused", [*report.reasons, STALE if report.stale else UNKNOWN], report=report)
    begin = rows["updated_at"].max() - int(policy.retrain.fresh_days * DAY_MS)
    newest = rows[rows["updated_at"] >= max(begin, report.risen_at or 0)]
    try:
        fresh = label(newest, policy.training.horizon_ms, policy.training.min_uses)
        trained = train(fresh, policy, seed, candidates)
    except ModelError as error:
        return Outcome("refused", [*report.reasons, f"No new model could be trained: {error}"], report=report)
    version = registry.add(trained)
    if not trained.facts["promotable"]:
        return Outcome("refused", [*report.reasons, *trained.facts["not_promotable_because"]], version, report)
    if version == registry.alias("champion"):
        return Outcome("refused", [*report.reasons, "Fresh data give the same model again."], version, report)
    registry.shadow(version, report.learnable[0])
    return Outcome("shadowed", report.reasons, version, report)


def drift_of(rows: pd.DataFrame, registry: Registry, policy: Config, now_ms: int | None = None) -> Report:
    """The newest days of the log against the champion's reference, and its error since it serves."""
    champion = registry.alias("champion")
    if champion is None:
        raise ModelError(f"{registry.directory} has no champion: run `usher train` to make one.")
    if not len(rows):
        raise ModelError("The log of decisions is empty, so nothing can be said about drift: is the job running?")
    recent = rows[rows["updated_at"] > rows["updated_at"].max() - int(policy.drift.window_days * DAY_MS)]
    return watch(recent, registry.reference(champion), champion, policy.drift, _served(rows, policy, champion), now_ms)


def _served(rows: pd.DataFrame, policy: Config, champion: str) -> Dataset | None:
    """Examples that the champion answered and whose labels have come, if any."""
    try:
        examples = label(rows, policy.training.horizon_ms, policy.training.min_uses)
    except ModelError:
        return None  # too early: no horizon has passed yet
    if "model_version" not in examples.logged:
        return None
    return examples[(examples.logged["model_version"] == champion).to_numpy()]


def _judge(rows: pd.DataFrame, registry: Registry, policy: Config, challenger: str) -> Outcome:
    examples = label(rows, policy.training.horizon_ms, policy.training.min_uses)
    both = examples[(examples.logged["challenger_version"] == challenger).to_numpy()]
    if len(both) < policy.retrain.min_shadow_rows:
        told = (
            f"{len(both)} decisions of {challenger} have met their labels, of {policy.retrain.min_shadow_rows} needed."
        )
        return Outcome("waited", [told], challenger)
    gain = compared(both, policy.training.interval_resamples)
    span = f"{gain['value']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}] on {len(both)} decisions"
    if (gain["low"] or 0.0) > policy.retrain.min_gain:
        registry.promote(challenger, f"gain in Brier score over the champion {span}")
        return Outcome("promoted", [f"Its gain in Brier score over the champion: {span}."], challenger)
    registry.shadow(None, f"{challenger} is not better: {span}")
    return Outcome("dropped", [f"It is not better than the champion: gain in Brier score {span}."], challenger)


def compared(both: Dataset, count: int) -> dict[str, float | None]:
    """The champion's Brier score minus the challenger's on what both have scored, with its interval.

    A proper score, unlike ROC-AUC: rules compare probabilities with limits, so they have to be true as well.
    """
    weights = measure.resamples(both.users, count, seed=1)
    errors = []
    for names in (SCORES[1:], CHALLENGER[2:]):
        said = both.logged[[*names]].to_numpy(np.float64)
        errors.append(((said - both.preferences) ** 2).mean(axis=1))
    return measure.interval(weights @ (errors[0] - errors[1]) / weights.sum(axis=1))
