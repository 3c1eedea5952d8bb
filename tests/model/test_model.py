"""A model trained on simulated newcomers: what it learned, how it is measured, what it refuses."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from udfs.personalize import column
from udfs.predict import FIELDS, Predict
from usher.columns import PREDICT_COLUMNS
from usher.features import MODEL_INPUTS, PRODUCT_FEATURES
from usher.model import Dataset, ModelError, Predictor, Registry, config, train
from usher.model._candidates import CANDIDATES
from usher.model._export import export, parity, told
from usher.model._gate import reasons
from usher.model._trained import Trained
from usher.model._training import split_in_time
from usher.model.reference import model_row
from usher.simulator import simulate_log


@pytest.fixture
def predictor(registry: Registry, trained: Trained) -> Predictor:
    return Predictor(registry.path(trained.version))


def test_it_beats_its_baselines(trained: Trained) -> None:
    metrics = trained.facts["metrics"]
    likes, engaged = metrics["preferences"], metrics["engagement"]
    assert likes["roc_auc"]["mean"]["value"] > 0.75 and likes["gain"]["low"] > 0
    assert {f["value"] for f in metrics["baselines"]["popularity"]["preferences"]["roc_auc"].values()} == {0.5}
    by = metrics["baselines"]["best_feature"]["by"]
    assert [by[name] for name in PRODUCT_FEATURES] == [f"used_{name}" for name in PRODUCT_FEATURES]
    assert likes["brier"]["mean"]["high"] < metrics["baselines"]["popularity"]["preferences"]["brier"]["mean"]["low"]
    assert engaged["r2"]["value"] > 0.05 and engaged["gain"]["value"] > 0
    assert trained.facts["promotable"] and trained.facts["not_promotable_because"] == []
    assert {"mobile", "desktop"} <= set(metrics["segments"]["device_type"])


def test_the_holdout_is_later_than_every_label_of_the_training(examples: Dataset, policy: config.Config) -> None:
    past, holdout = split_in_time(examples, 0.25, policy.training.horizon_ms)
    assert past.times.max() + policy.training.horizon_ms <= holdout.times.min()
    assert len(holdout) == pytest.approx(len(examples) / 4, rel=0.05)


@pytest.mark.parametrize("kind", [candidate.name for candidate in CANDIDATES])
def test_every_candidate_is_the_same_in_onnx(kind: str, examples: Dataset) -> None:
    (candidate,) = (c for c in CANDIDATES if c.name == kind)
    some = examples[:400]
    heads = {
        "preferences": candidate.classifier(1).fit(some.inputs, some.preferences),
        "engagement": candidate.regressor(1).fit(some.inputs, some.engagement),
    }
    model = export(heads, len(MODEL_INPUTS), {"preferences": 6, "engagement": 1})
    found = parity(model, told(heads, examples.inputs), examples.inputs, 1e-4)
    assert found["labels"] == len(examples) * 6 and found["labels_flipped"] == 0


def test_a_graph_that_differs_is_refused(examples: Dataset, trained: Trained) -> None:
    model, inputs = trained.files["model.onnx"], examples.inputs[:50]
    session = onnxruntime.InferenceSession(model)
    names = [output.name for output in session.get_outputs()]
    said = dict(zip(names, session.run(names, {"features": inputs}), strict=True))
    assert parity(model, said, inputs, 1e-9)["labels_flipped"] == 0
    with pytest.raises(ModelError, match=r"differs from scikit-learn by 0.01 \(preferences\).*not written"):
        parity(model, said | {"preferences": said["preferences"] + 0.01}, inputs, 1e-4)


def test_predictions(predictor: Predictor, examples: Dataset) -> None:
    said = predictor.predict(examples.inputs)
    n = len(examples)
    assert [part.shape for part in said] == [(n, 6), (n,), (n, 3)]
    assert {part.dtype for part in said} == {np.dtype(np.float32)}
    assert said.preferences.min() >= 0 and said.preferences.max() <= 1
    assert said.engagement.min() >= 0 and said.engagement.max() <= 100
    assert said.interests.var(axis=0).argmax() == 0  # the first explains most
    assert [part.shape for part in predictor.predict(examples.inputs[:0])] == [(0, 6), (0,), (0, 3)]


def test_the_function_in_the_stream_says_the_same_rounded(registry: Registry, predictor: Predictor) -> None:
    rows = simulate_log(20, seed=5, days=3)
    rows.loc[::7, "device_type"], rows.loc[::5, "continent"] = None, "Atlantis"
    udf = Predict(str(registry.directory))
    udf.open(None)
    found = pd.DataFrame(udf({name: column(rows[name]) for name in PREDICT_COLUMNS}))
    said = predictor.predict(
        np.array([[*model_row(row, row["device_type"], row["continent"]).values()] for row in rows.to_dict("records")])
    )
    assert [*found] == [field.name for field in FIELDS]
    numbers = np.column_stack([said.preferences, said.interests]).astype("f8").round(4)
    assert (found["engagement_score"] == said.engagement.astype("f8").round(2)).all()
    assert (found[[*found][1:10]].to_numpy() == numbers).all()
    assert set(found["model_version"]) == {predictor.version} and set(found["challenger"]) == {None}


def test_using_a_feature_raises_its_preference(predictor: Predictor, examples: Dataset) -> None:
    rows = np.tile(examples.inputs[0], (6, 1))
    used = [MODEL_INPUTS.index(f"used_{name}") for name in PRODUCT_FEATURES]
    rows[:, used] = 8 * np.eye(6)
    assert predictor.predict(rows).preferences.argmax(axis=0).tolist() == [*range(6)]


def test_input_that_does_not_fit(predictor: Predictor, examples: Dataset) -> None:
    rows = examples.inputs[:3].copy()
    with pytest.raises(ModelError, match=r"shape \(3, 30\): give \(n, 31\)"):
        predictor.predict(rows[:, :30])
    rows[1, 4], rows[2, 7] = np.nan, np.inf
    with pytest.raises(ModelError, match="NaN or infinite values in content_shown, active_ms"):
        predictor.predict(rows)


def test_the_same_seed_gives_the_same_files(examples: Dataset, policy: config.Config, trained: Trained) -> None:
    assert train(examples, policy, 1, ("linear",)).files == trained.files


def test_the_simplest_that_is_as_good_as_the_best_wins(examples: Dataset, policy: config.Config) -> None:
    both = train(examples, policy, 1, ("neural_net", "linear"))
    scores = both.facts["contest"]
    assert [*scores] == ["linear", "neural_net"]
    for task, winner in both.facts["kinds"].items():
        best = max(scores, key=lambda name: scores[name][task]["mean"])
        near = scores["linear"][task]["mean"] >= scores[best][task]["mean"] - scores[best][task]["error"]
        assert winner == ("linear" if near else best)


def test_the_gate_says_every_reason(trained: Trained, policy: config.Config) -> None:
    strict = dataclasses.replace(policy.gate, roc_auc_min=0.99, brier_max=0.01, r2_min=0.9, min_holdout_rows=10**6)
    found = reasons(trained.facts["metrics"], trained.facts["rows"], strict)
    assert [text.split(" is ")[0].split(" has ")[0] for text in found] == [
        "The holdout", "Mean ROC-AUC", "The mean Brier score", "R² of engagement",
    ]  # fmt: skip
    assert "but must be >= 0.99." in found[1]


def test_noise_is_not_promotable(examples: Dataset, policy: config.Config) -> None:
    order = np.random.default_rng(1).permutation(len(examples))
    noise = dataclasses.replace(
        examples, preferences=examples.preferences[order], engagement=examples.engagement[order]
    )
    trained = train(noise, policy, 1, ("linear",))
    assert not trained.facts["promotable"]
    assert any("gain in ROC-AUC over the better baseline" in text for text in trained.facts["not_promotable_because"])


@pytest.mark.parametrize("kind", [candidate.name for candidate in CANDIDATES])
def test_a_feature_that_has_gone_is_left_out(kind: str, examples: Dataset, policy: config.Config) -> None:
    likes = examples.preferences.copy()
    likes[:, PRODUCT_FEATURES.index("reports")] = 0
    gone = dataclasses.replace(examples, preferences=likes)
    trained = train(gone, policy, 1, (kind,))
    facts = trained.facts
    assert facts["one_class"] == {"training period": {"reports": 0.0}, "holdout": {"reports": 0.0}}
    _, holdout = split_in_time(gone, policy.training.holdout, policy.training.horizon_ms)
    session = onnxruntime.InferenceSession(trained.files["model.onnx"])
    said = session.run(["preferences"], {"features": holdout.inputs})[0]
    mine = said[:, PRODUCT_FEATURES.index("reports")]
    assert mine.mean() < 0.02 if kind == "neural_net" else not mine.any()  # one net for all labels has no constant
    for part in (facts["metrics"], *facts["metrics"]["baselines"].values()):
        auc = part["preferences"]["roc_auc"]
        others = [auc[name]["value"] for name in PRODUCT_FEATURES if name != "reports"]
        assert auc["mean"]["value"] == pytest.approx(np.mean(others), abs=1e-4) and auc["reports"]["value"] is None
    sentences = (
        "In the training period nobody preferred reports: the model knows nothing else of it.",
        "In the holdout nobody preferred reports: it is in no mean figure.",
    )
    for file in ("report.html", "card.md"):
        assert all(sentence in trained.files[file].decode() for sentence in sentences)


def test_a_feature_that_comes_only_in_the_holdout_counts_as_not_known(examples: Dataset, policy: config.Config) -> None:
    at, likes = PRODUCT_FEATURES.index("reports"), examples.preferences.copy()
    past, _ = split_in_time(examples, policy.training.holdout, policy.training.horizon_ms)
    likes[examples.times <= past.times[-1], at] = 0
    facts = train(dataclasses.replace(examples, preferences=likes), policy, 1, ("linear",)).facts
    assert facts["one_class"] == {"training period": {"reports": 0.0}, "holdout": {}}
    auc = facts["metrics"]["preferences"]["roc_auc"]
    assert auc["reports"]["value"] == 0.5
    assert auc["mean"]["value"] == pytest.approx(np.mean([auc[name]["value"] for name in PRODUCT_FEATURES]), abs=1e-4)
    assert facts["metrics"]["baselines"]["best_feature"]["by"]["reports"] == "the average"


def test_what_cannot_be_learned(examples: Dataset, policy: config.Config) -> None:
    def refused(complaint: str, part: Dataset = examples, kinds: tuple[str, ...] = ("linear",), **other: Any) -> None:
        with pytest.raises(ModelError, match=complaint):
            train(dataclasses.replace(part, **other), policy, 1, kinds)

    _, holdout = split_in_time(examples, policy.training.holdout, policy.training.horizon_ms)
    late = examples.times >= holdout.times[0]
    same = np.zeros_like(examples.preferences)
    refused(r"In the training period .* agree on every one of analytics, .*nothing can be learned", preferences=same)
    agreed = np.where(late[:, None], 1, examples.preferences)
    refused(r"In the holdout \(\d+ examples of \d+ users\) all users agree", preferences=agreed)
    idle = np.zeros_like(examples.engagement)
    refused(r"In the training period .*engagement of all users is the same, 0\.0, so", engagement=idle)
    refused(
        r"In the holdout .*engagement of all users is the same, 7\.0",
        engagement=np.where(late, np.float32(7), examples.engagement),
    )
    one = np.where(late, "late", "early").astype(object)
    refused("examples of 1 users, fewer than training.folds = 2 in conf/model.yaml", users=one)
    two = np.where(np.arange(len(examples)) % 2, "a", "b").astype(object)  # each always the same
    engaged = np.where(two == "a", 10, 20).astype(np.float32)
    refused("In one of 2 parts of the 2 users .* all agree on everything", users=two, engagement=engaged)
    refused("too short to split in time", times=examples.times // 10**6)
    refused("no candidate astrology; there are linear, gradient_boosting", kinds=("astrology",))
    refused("infinite labels: engagement", engagement=examples.engagement + np.inf)


def test_a_holdout_without_an_interval_is_refused(examples: Dataset, policy: config.Config) -> None:
    """Two users of the holdout who each agree with themselves: whoever is drawn twice has one class only."""
    _, holdout = split_in_time(examples, policy.training.holdout, policy.training.horizon_ms)
    late = examples.times >= holdout.times[0]
    users = np.where(late, np.where(np.arange(len(examples)) % 2, "a", "b"), examples.users).astype(object)
    mine = np.where(users == "a", 1, 0)[:, None]
    few = dataclasses.replace(
        examples, users=users, preferences=np.where(late[:, None], mine, examples.preferences).astype(np.float32)
    )
    once = dataclasses.replace(policy, training=dataclasses.replace(policy.training, interval_resamples=1))
    with pytest.raises(ModelError, match=r"of 2 users\) is too small to say .*ROC-AUC, the gain in ROC-AUC cannot be"):
        train(few, once, 3, ("linear",))


def test_the_report_and_the_card_are_of_this_model(trained: Trained) -> None:
    report, card = trained.files["report.html"].decode(), trained.files["card.md"].decode()
    assert report.count('src="data:image/svg+xml') == 5 and "http" not in report.replace("http-equiv", "")
    auc = trained.facts["metrics"]["preferences"]["roc_auc"]["mean"]
    span = f"{auc['value']:.3f} [{auc['low']:.3f}, {auc['high']:.3f}]"
    assert span in report and span in card
    assert trained.version in report and f"# Model {trained.version}" in card
    assert "{{" not in card and "{%" not in card


def test_a_policy_that_is_wrong(tmp_path: Path) -> None:
    text = config.FILE.read_text()
    file = tmp_path / "model.yaml"
    file.write_text(text.replace("holdout: 0.25", "holdout: 1.5").replace("psi_max: 0.2", "psi_max: often\n  shoe: 1"))
    with pytest.raises(ModelError, match=r"training.holdout = 1.5 must be below 1. .*drift.shoe is unknown.*'often'"):
        config.load(file)
    file.write_text("gate: {}\n")
    with pytest.raises(ModelError, match="section training is missing"):
        config.load(file)
    file.write_text("gate: [\n")
    with pytest.raises(ModelError, match="cannot be read as YAML"):
        config.load(file)


def test_the_manifest_is_strict_json_and_says_where_it_comes_from(registry: Registry, trained: Trained) -> None:
    manifest = json.loads((registry.path(trained.version) / "manifest.json").read_text())
    assert manifest["features"] == [*MODEL_INPUTS] and len(manifest["schema_hash"]) == 64
    assert set(manifest["sha256"]) == {"model.onnx", "reference.json", "report.html", "card.md"}
    assert set(manifest["versions"]) >= {"scikit-learn", "skl2onnx", "onnxruntime"}
    assert manifest["training_window"]["to"] < manifest["holdout_window"]["from"]
