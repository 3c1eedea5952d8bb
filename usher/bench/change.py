"""`usher bench change`: the product changes; accuracy falls, drift is found, a new model is promoted, accuracy is back.

Days of simulated newcomers, a row of the log for each message, scored by the champion and the challenger of that day,
and `usher retrain` once a day. One feature comes that was not there before, another goes for good.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.progress import track

from usher.model import Predictor, Registry, config, label, log, train
from usher.model import metrics as measure
from usher.model.config import DAY_MS, Config
from usher.model.dataset import CHALLENGER, SCORES, model_inputs
from usher.retrain import retrain
from usher.simulator import Product, simulate_log
from usher.simulator._history import START

BEGIN = round(START.timestamp() * 1000)
FIRST, CHANGE, DAYS = 18, 26, 44
"""The first model is trained on the evening of this day, the product changes on that, and then it ends."""
WARM_UP = 6
"""Days until as many newcomers leave as come."""
ABSENT = 0.0
KINDS = ("linear",)
"""Which kind wins is another question."""


def change(users: int, seed: int, figure: Path | None = None, policy: Config | None = None) -> dict[str, Any]:
    """Daily accuracy, and what `usher retrain` did on each day."""
    policy = policy or config.load()
    product = Product(BEGIN + CHANGE * DAY_MS, {"collaboration": ABSENT}, {"reports": ABSENT})
    rows = simulate_log(users, seed, DAYS / 0.8, product=product)
    rows = rows[(rows["updated_at"] > BEGIN + WARM_UP * DAY_MS) & (rows["updated_at"] < BEGIN + DAYS * DAY_MS)]
    with tempfile.TemporaryDirectory() as directory:
        logged, steps = _lived(rows.reset_index(drop=True), Registry(directory), policy, seed)
    days = _daily(logged, policy)
    result = {"users": users, "change_day": CHANGE, "steps": steps, "days": days, **_summary(days, steps)}
    if figure is not None:
        plot(result, figure)
    return result


def _lived(
    rows: pd.DataFrame, registry: Registry, policy: Config, seed: int
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Day by day: what happened is scored by who serves, then `retrain` looks at it."""
    days = (rows["updated_at"] - BEGIN) // DAY_MS
    known = rows[days < FIRST]
    examples = label(known, policy.training.horizon_ms, policy.training.min_uses)
    first = train(examples, policy, seed, KINDS)
    registry.promote(registry.add(first), "the first")
    logged, steps = pd.DataFrame(), []
    for day in track(range(FIRST, DAYS), "living through the change", transient=True):
        logged = pd.concat([logged, _scored(rows[days == day], registry)], ignore_index=True)
        if day < FIRST + policy.drift.window_days:
            continue  # the window is not full yet
        outcome = retrain(logged, registry, policy, seed, KINDS)
        why = [*outcome.why[:2], *([f"and {len(outcome.why) - 2} more"] if len(outcome.why) > 2 else [])]
        steps.append({"day": day, "did": outcome.did, "version": outcome.version, "why": why})
    return logged, steps


def _scored(rows: pd.DataFrame, registry: Registry) -> pd.DataFrame:
    """Rows of the log with what the models of the moment say of them, as the job writes them."""
    inputs = model_inputs(rows)
    scored = rows.assign(
        model_version=registry.alias("champion"), challenger_version=registry.alias("challenger") or ""
    )
    for alias, names in (("champion", SCORES), ("challenger", CHALLENGER[1:])):
        version = registry.alias(alias)
        if version is None:
            scored[[*names]] = np.nan
            continue
        said = Predictor(registry.path(version)).predict(inputs)
        scored[[*names]] = np.column_stack([said.engagement, said.preferences]).astype(np.float64)
    return scored[[*log.FEATURES, *("model_version", *SCORES), *CHALLENGER]]


def _daily(logged: pd.DataFrame, policy: Config) -> list[dict[str, Any]]:
    """Accuracy of what was served, by the day on which it was said."""
    examples = label(logged, policy.training.horizon_ms, policy.training.min_uses)
    said = examples.logged[[*SCORES[1:]]].to_numpy(np.float64)
    days = (examples.times - BEGIN) // DAY_MS
    found = []
    for day in np.unique(days):
        mine = days == day
        truth, score = examples.preferences[mine], said[mine]
        first = truth[np.arange(len(truth)), score.argmax(axis=1)]
        figures = {"roc_auc": measure.mean_roc_auc(truth, score), "brier": ((truth - score) ** 2).mean()}
        figures["top1_hit_rate"] = first.mean()
        rounded = {name: round(float(value), 4) for name, value in figures.items()}
        found.append({"day": int(day), "n": int(mine.sum()), **rounded})
    return found


def _summary(days: list[dict[str, Any]], steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Before the change, after it until a new model served, and since; when drift was found, and when the model that
    came to serve went into the shadow and was promoted."""

    def all_of(*did: str) -> list[int]:
        return [s["day"] for s in steps if s["did"] in did and s["day"] >= CHANGE]

    found, promoted = (next(iter(days), None) for days in (all_of("shadowed", "refused"), all_of("promoted")))
    shadowed = max((day for day in all_of("shadowed") if promoted is None or day < promoted), default=None)
    until = DAYS if promoted is None else promoted + 1
    parts = {
        "before": [d for d in days if d["day"] < CHANGE - 2],  # what was said two days ahead could not know
        "during": [d for d in days if CHANGE <= d["day"] < until],
        "after": [d for d in days if d["day"] >= until],
    }
    means = {
        name: {
            figure: round(float(np.mean([d[figure] for d in part])), 4)
            for figure in ("roc_auc", "brier", "top1_hit_rate")
        }
        for name, part in parts.items()
        if part
    }
    false_alarms = sum(s["did"] not in ("nothing", "waited") and s["day"] < CHANGE for s in steps)
    marks = {"found_day": found, "shadowed_day": shadowed, "promoted_day": promoted}
    return {**marks, "false_alarms": false_alarms, "mean": means}


def plot(result: dict[str, Any], file: Path) -> None:
    """The figure of docs/model.md."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "usher"}):
        figure = Figure(figsize=(9, 4), layout="constrained")
        axes = figure.subplots()
        at = [day["day"] for day in result["days"]]
        for name, color, text in (
            ("roc_auc", "#2563eb", "ROC-AUC"),
            ("top1_hit_rate", "#10b981", "first preference comes true"),
        ):
            axes.plot(at, [day[name] for day in result["days"]], color=color, marker="o", ms=3, label=text)
        axes.plot(at, [day["brier"] for day in result["days"]], color="#f59e0b", marker="o", ms=3, label="Brier score")
        for day, text in _marks(result).items():
            axes.axvline(day, color="#6b7280", ls=":")
            axes.text(day + 0.15, 0.01, text, fontsize=8, color="#374151")
        axes.set(xlabel="day", ylim=(0, 1))
        axes.legend(frameon=False, loc="upper right", ncols=3, bbox_to_anchor=(1, 1.1))
        figure.savefig(file, metadata={"Date": None})


def _marks(result: dict[str, Any]) -> dict[int, str]:
    """What happened, by day."""
    said = [
        (result["change_day"], "the product changes"),
        (result["found_day"], "drift found"),
        (result["shadowed_day"], "new model in\nthe shadow"),
        (result["promoted_day"], "promoted"),
        *((s["day"], "another") for s in result["steps"] if s["did"] == "promoted"),
    ]
    marks: dict[int, str] = {}
    for day, text in said:
        if day is not None and not (text == "another" and day <= (result["promoted_day"] or 0)):
            marks[day] = f"{marks[day]},\n{text}" if day in marks else text
    return marks
