"""What is found in a log that has changed, and nothing in one that has not."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from elasticsearch import Elasticsearch
from rich.console import Console

from usher import drift
from usher.drift._watch import rise
from usher.features import PRODUCT_FEATURES
from usher.model import ModelError, label
from usher.model.config import DAY_MS, Drift
from usher.model.reference import iso_of
from usher.stack import Stack
from usher.stack.indices import create_indices

Halves = tuple[dict[str, Any], pd.DataFrame]


def test_nothing_has_changed(halves: Halves, policy: Drift) -> None:
    reference, rows = halves
    report = drift.watch(rows, reference, "m", policy, now_ms=int(rows["updated_at"].max()) + 3_600_000)
    assert report.reasons == []
    assert {f.kind for f in report.findings} == {"unknown", "freshness", "feature", "score", "category", "error"}
    assert {f.segment for f in report.findings} >= {"all", "device_type=mobile", "device_type=desktop"}


def test_a_feature_a_score_and_a_segment_that_have_shifted(halves: Halves, policy: Drift) -> None:
    reference, rows = halves
    mobile = rows["device_type"] == "mobile"
    changed = rows.assign(
        used_automation=np.where(mobile, rows["used_automation"] + 9, rows["used_automation"]),
        p_reports=rows["p_reports"] / 4,
    )
    report = drift.watch(changed, reference, "m", policy)
    drifted = {(f.kind, f.name, f.segment) for f in report.findings if f.drifted}
    assert {("score", "p_reports", "all"), ("feature", "used_automation", "device_type=mobile")} <= drifted
    assert ("feature", "used_automation", "device_type=desktop") not in drifted
    assert any(reason.startswith("p_reports has shifted: PSI ") for reason in report.reasons)


def test_unknown_categories_and_old_data(halves: Halves, policy: Drift) -> None:
    reference, rows = halves
    strange = rows.assign(device_type=np.where(rows["user_id"].str[-1] == "1", "watch", rows["device_type"]))
    strange["unknown_features"] = 1
    report = drift.watch(strange, reference, "m", policy, now_ms=int(rows["updated_at"].max()) + 30 * 3_600_000)
    text = " ".join(report.reasons)
    share = float((drift._watch.one_a_day(rows)["user_id"].str[-1] == "1").mean())
    assert f"{share:.1%} of the users have an unknown device_type, more than 5%." in text
    assert f"100.0% of the users have a feature other than {PRODUCT_FEATURES[0]}" in text
    assert f"The newest decision is of {iso_of(int(rows['updated_at'].max()))}, 30 h ago" in text


def test_few_rows_say_nothing(halves: Halves, policy: Drift) -> None:
    reference, rows = halves
    few = rows[rows["user_id"].str[-2:] == "01"].assign(used_reports=99)
    report = drift.watch(few, reference, "m", policy)
    assert [f for f in report.findings if f.kind == "feature"] == [] and report.reasons == []
    assert {f.kind for f in report.findings if f.segment == "all"} == {"unknown", "rows", "error"}


def test_the_models_error_rises(rows: pd.DataFrame, halves: Halves, policy: Drift) -> None:
    """From the middle on the model says the opposite of what comes."""
    examples = label(rows, DAY_MS, 2)
    truth = examples.preferences * 0.6 + 0.2
    late = np.arange(len(examples)) > len(examples) // 2
    truth[late] = 1 - truth[late]
    said = examples.logged.copy()
    said[[f"p_{name}" for name in PRODUCT_FEATURES]] = truth
    report = drift.watch(rows, halves[0], "m", policy, dataclasses.replace(examples, logged=said))
    (found,) = [f for f in report.findings if f.kind == "error"]
    assert found.value == pytest.approx(0.8**2 - 0.2**2, abs=0.05)
    middle = int(examples.times[len(examples) // 2])
    assert report.risen_at is not None and abs(report.risen_at - middle) < DAY_MS / 4
    assert found.reason.startswith("The model's error (Brier) has risen by 0.")


def test_a_rise_that_is_over_is_none() -> None:
    rng = np.random.default_rng(1)
    low, high = rng.normal(0.1, 0.02, 400), rng.normal(0.3, 0.02, 400)
    found = rise(np.concatenate([low, high]), 0.002)
    assert found is not None and abs(found.since - 400) < 60 and found.by == pytest.approx(0.2, abs=0.03)
    assert rise(np.concatenate([low, high, low, low]), 0.002) is None
    assert rise(low, 0.002) is None


def test_nothing_to_watch(halves: Halves, policy: Drift) -> None:
    with pytest.raises(ModelError, match="log of decisions is empty.*is the job running"):
        drift.watch(halves[1].iloc[:0], halves[0], "m", policy)


def test_for_people_and_for_machines(halves: Halves, policy: Drift, stack: Stack, tmp_path: Path) -> None:
    reference, rows = halves
    report = drift.watch(rows.assign(pages_viewed=77), reference, "m", policy)
    create_indices(stack.elasticsearch)
    assert drift.store(report, stack.elasticsearch) == len(report.findings)
    assert drift.store(report, stack.elasticsearch) == len(report.findings)  # the same again replaces it
    with Elasticsearch(stack.elasticsearch) as client:
        client.indices.refresh(index="drift")
        assert client.count(index="drift")["count"] == len(report.findings)
        hits = client.search(index="drift", query={"term": {"drifted": True}}, size=100)["hits"]["hits"]
    assert (
        {hit["_source"]["name"] for hit in hits} == {f.name for f in report.findings if f.drifted} == {"pages_viewed"}
    )
    drift.write_metrics(report, tmp_path / "drift.prom")
    line = 'usher_drift_found{kind="feature",name="pages_viewed",segment="all"} 1.0'
    assert line in (tmp_path / "drift.prom").read_text()
    drift.plot(report, tmp_path / "drift.svg")
    assert "<svg" in (tmp_path / "drift.svg").read_text()
    console = Console(record=True, width=140)
    console.print(drift.table(report))
    assert "pages_viewed" in console.export_text()
    json.dumps([*drift.documents(report)], allow_nan=False)
