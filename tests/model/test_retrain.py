"""The product changes: accuracy falls, drift is found, a new model is promoted, accuracy is back. On a small scale."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from usher.bench.change import CHANGE, change
from usher.model import ModelError, Registry, config
from usher.model._trained import Trained
from usher.model.dataset import CHALLENGER, SCORES
from usher.retrain import drift_of, retrain
from usher.simulator import simulate_log


@pytest.fixture(scope="module")
def lived(policy: config.Config) -> dict[str, Any]:
    """900 users where the documented figure has 2500, so smaller samples must do."""
    small = dataclasses.replace(
        policy,
        drift=dataclasses.replace(policy.drift, min_rows=150),
        gate=dataclasses.replace(policy.gate, min_holdout_rows=60, r2_min=-1, r2_gain_min=-1),
        retrain=dataclasses.replace(policy.retrain, min_shadow_rows=120),
    )
    return change(1200, seed=3, policy=small)


def test_accuracy_falls_and_comes_back(lived: dict[str, Any]) -> None:
    brier = {name: part["brier"] for name, part in lived["mean"].items()}
    assert brier["during"] > brier["before"] + 0.02
    assert brier["after"] < brier["during"] - 0.01
    hits = {name: part["top1_hit_rate"] for name, part in lived["mean"].items()}
    assert hits["during"] < min(hits["before"], hits["after"])


def test_drift_is_found_and_only_after_the_change(lived: dict[str, Any]) -> None:
    assert lived["false_alarms"] == 0
    assert CHANGE <= lived["found_day"] <= CHANGE + 3
    assert lived["found_day"] < lived["promoted_day"]


def test_nothing_is_promoted_that_was_not_in_the_shadow(lived: dict[str, Any]) -> None:
    before = "nothing"
    for step in lived["steps"]:
        if step["did"] in ("waited", "promoted", "dropped"):
            assert before in ("shadowed", "waited")
        assert step["why"]
        before = step["did"]
    assert "gain in Brier score over the champion: +" in next(
        step["why"][0] for step in lived["steps"] if step["did"] == "promoted"
    )


def scored(rows: pd.DataFrame, version: str) -> pd.DataFrame:
    rows = rows.assign(model_version=version, challenger_version="", **dict.fromkeys(SCORES, 0.5))
    rows[[*CHALLENGER[1:]]] = np.nan
    return rows


def test_why_not(registry: Registry, trained: Trained, policy: config.Config) -> None:
    rows = scored(simulate_log(150, seed=8, days=6), trained.version)
    calm = dataclasses.replace(policy, drift=dataclasses.replace(policy.drift, min_rows=10**6, unknown_max=0.9))
    assert retrain(rows, registry, calm).did == "nothing"
    shifted = rows.assign(used_reports=rows["used_reports"] + 40)
    alert = dataclasses.replace(policy, drift=dataclasses.replace(policy.drift, min_rows=100))
    strange = retrain(shifted.assign(continent="Atlantis"), registry, alert)
    assert strange.did == "refused" and "continent 'Atlantis'" in strange.why[-1]
    gated = dataclasses.replace(alert, gate=dataclasses.replace(alert.gate, roc_auc_min=0.999))
    refused = retrain(shifted, registry, gated, candidates=("linear",))
    assert refused.did == "refused" and any("must be >= 0.999" in reason for reason in refused.why)
    assert registry.alias("champion") == trained.version and registry.alias("challenger") is None
    with pytest.raises(ModelError, match="log of decisions is empty"):
        drift_of(rows.iloc[:0], registry, policy)
    with pytest.raises(ModelError, match="has no champion"):
        drift_of(rows, Registry(registry.directory / "elsewhere"), policy)


def test_a_model_is_trained_only_on_what_it_can_learn_from(
    registry: Registry, trained: Trained, policy: config.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stale data and unknown categories are reasons to look, but not to train."""
    monkeypatch.setattr("usher.retrain.train", lambda *_: pytest.fail("a model was trained"))
    rows = scored(simulate_log(150, seed=8, days=6), trained.version)
    calm = dataclasses.replace(policy, drift=dataclasses.replace(policy.drift, min_rows=10**6))
    late = int(rows["updated_at"].max()) + 5 * config.DAY_MS
    stale = retrain(rows, registry, calm, now_ms=late)
    assert stale.did == "refused" and "120 h ago, more than 24 h" in stale.why[0]
    assert stale.why[-1] == "The data is stale, so no model is trained on it: is the job running?"
    unknown = retrain(rows.assign(continent=""), registry, calm)
    assert unknown.did == "refused" and "have an unknown continent, more than" in unknown.why[0]
    assert "mend what sends it" in unknown.why[-1]
    alert = dataclasses.replace(policy, drift=dataclasses.replace(policy.drift, min_rows=100))
    both = retrain(rows.assign(used_reports=rows["used_reports"] + 40), registry, alert, now_ms=late)
    assert both.report is not None and both.report.learnable  # but the newest days are not there to learn from
    assert both.did == "refused" and both.why[-1] == stale.why[-1]
    assert registry.alias("challenger") is None
