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
    lenient = dataclasses.replace(policy, drift=dataclasses.replace(policy.drift, min_rows=10**6, unknown_max=0.9))
    assert retrain(rows, registry, lenient).did == "nothing"
    watches = rows.assign(continent="Atlantis")
    strict = dataclasses.replace(lenient, drift=dataclasses.replace(lenient.drift, unknown_max=0.01))
    refused = retrain(watches, registry, strict)
    assert refused.did == "refused" and "continent 'Atlantis'" in refused.why[-1]
    gated = dataclasses.replace(strict, gate=dataclasses.replace(strict.gate, roc_auc_min=0.999))
    few = rows.assign(device_type=np.where(rows["user_id"].str[-1] < "3", "", rows["device_type"]))
    refused = retrain(few, registry, gated, candidates=("linear",))
    assert refused.did == "refused" and any("must be >= 0.999" in reason for reason in refused.why)
    assert registry.alias("champion") == trained.version and registry.alias("challenger") is None
    with pytest.raises(ModelError, match="log of decisions is empty"):
        drift_of(rows.iloc[:0], registry, policy)
    with pytest.raises(ModelError, match="has no champion"):
        drift_of(rows, Registry(registry.directory / "elsewhere"), policy)
