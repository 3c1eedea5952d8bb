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
from usher.drift.distribution import describe, described, unknown_of
from usher.features import PRODUCT_FEATURES
from usher.model import ModelError, label
from usher.model.config import DAY_MS, Drift
from usher.model.dataset import one_a_day
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
    share = float((one_a_day(rows)["user_id"].str[-1] == "1").mean())
    assert (
        f"{share:.1%} of the users have an unknown device_type, more than 5.0% (0.0% when the model was trained)."
        in text
    )
    assert f"100.0% of the users have a feature other than {PRODUCT_FEATURES[0]}" in text
    assert f"The newest decision is of {iso_of(int(rows['updated_at'].max()))}, 30 h ago" in text


def test_what_was_as_unknown_when_the_model_was_trained_is_no_drift(
    halves: Halves, rows: pd.DataFrame, policy: Drift
) -> None:
    """A fifth without a continent, then and now; and then as many again."""
    sample = one_a_day(rows[~rows.index.isin(halves[1].index)])
    fifth = lambda table, digits: table["user_id"].str[-2].isin([*digits])  # noqa: E731
    trained = sample.assign(continent=sample["continent"].mask(fifth(sample, "01"), ""))
    columns = [*halves[0]["all"]["columns"]]
    users = trained["user_id"].to_numpy(object)
    reference = described(trained[columns], users, ("device_type",), unknown_of(trained))
    assert 0.1 < reference["all"]["unknown"]["continent"] < 0.3
    now = halves[1]
    same = drift.watch(now.assign(continent=now["continent"].mask(fifth(now, "01"), "")), reference, "m", policy)
    assert [f for f in same.findings if f.drifted] == []
    more = drift.watch(now.assign(continent=now["continent"].mask(fifth(now, "01234"), "")), reference, "m", policy)
    found = {(f.kind, f.name, f.segment) for f in more.findings if f.drifted}
    assert ("unknown", "continent", "all") in found and ("unknown", "continent", "device_type=mobile") in found
    assert more.reasons and more.learnable == [] and not more.stale


def test_a_share_that_is_unknown_in_one_segment_only(halves: Halves, policy: Drift) -> None:
    reference, rows = halves
    mobile = rows["device_type"] == "mobile"
    lost = mobile & rows["user_id"].str[-1].isin([*"13"])
    report = drift.watch(rows.assign(continent=rows["continent"].mask(lost, "")), reference, "m", policy)
    found = {f.segment for f in report.findings if f.kind == "unknown" and f.drifted}
    assert "device_type=mobile" in found and "device_type=desktop" not in found
    assert any("have an unknown continent" in r and " where device_type=mobile have" in r for r in report.reasons)


def test_a_reference_of_training_examples_says_what_was_unknown(rows: pd.DataFrame) -> None:
    rows = rows.assign(continent=rows["continent"].mask(rows["user_id"].str[-1] == "3", ""))
    data = label(rows, DAY_MS, 2)
    scores = {"preferences": np.full((len(data), 6), 0.5), "engagement": np.full((len(data), 1), 50.0)}
    made = describe(data, scores)
    share = float(np.mean([user[-1] == "3" for user in data.users]))
    assert 0 < share < 0.3 and made["all"]["unknown"]["continent"] == pytest.approx(share)
    assert made["all"]["unknown"]["device_type"] == 0
    assert {*made["segments"]} > {"device_type=mobile"} and "continent" in made["segments"]["device_type=mobile"][
        "unknown"
    ]


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
    found = next(f for f in report.findings if f.kind == "error" and f.segment == "all")
    assert report.learnable[0] == found.reason
    assert found.value == pytest.approx(0.8**2 - 0.2**2, abs=0.05)
    middle = int(examples.times[len(examples) // 2])
    assert report.risen_at is not None and abs(report.risen_at - middle) < DAY_MS / 4
    assert found.reason.startswith("The model's error (Brier) has risen by 0.")


def test_the_error_rises_in_one_segment_only(rows: pd.DataFrame, halves: Halves, policy: Drift) -> None:
    examples = label(rows, DAY_MS, 2)
    truth = examples.preferences * 0.6 + 0.2
    late = np.arange(len(examples)) > len(examples) // 2
    late &= (examples.segments["device_type"] == "desktop").to_numpy()
    truth[late] = 1 - truth[late]
    said = examples.logged.copy()
    said[[f"p_{name}" for name in PRODUCT_FEATURES]] = truth
    report = drift.watch(rows, halves[0], "m", policy, dataclasses.replace(examples, logged=said))
    found = {f.segment: f for f in report.findings if f.kind == "error"}
    assert found["device_type=desktop"].drifted and not found["device_type=mobile"].drifted
    assert " where device_type=desktop since " in found["device_type=desktop"].reason
    # since when all users fare worse is asked of all users
    assert report.risen_at == (found["all"].at if found["all"].drifted else None)


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
    js = next(f.js for f in report.findings if f.name == "pages_viewed" and f.segment == "all")
    assert (
        f'usher_drift_js{{kind="feature",name="pages_viewed",segment="all"}} {js}'
        in (tmp_path / "drift.prom").read_text()
    )
    drift.plot(report, tmp_path / "drift.svg")
    assert "<svg" in (tmp_path / "drift.svg").read_text()
    console = Console(record=True, width=140)
    console.print(drift.table(report))
    assert "pages_viewed" in console.export_text()
    json.dumps([*drift.documents(report)], allow_nan=False)


def test_a_server_that_is_down_or_refuses_is_a_sentence(halves: Halves, policy: Drift, stack: Stack) -> None:
    report = drift.watch(halves[1], halves[0], "m", policy)
    with pytest.raises(
        ModelError, match=r"not stored: Elasticsearch at http://127.0.0.1:9 does not answer .*--no-store"
    ):
        drift.store(report, "http://127.0.0.1:9")
    create_indices(stack.elasticsearch)
    strange = dataclasses.replace(report, findings=[dataclasses.replace(report.findings[0], n="many")])
    with pytest.raises(ModelError, match=r"refuses 1 of 1 \(mapper_parsing_exception"):
        drift.store(strange, "http://127.0.0.1:9", hosts=[stack.elasticsearch])  # the login's addresses count
