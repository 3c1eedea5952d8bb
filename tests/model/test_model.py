"""A model trained once on simulated newcomers: what it learned, and what its bundle refuses."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from usher.features import MODEL_INPUTS, PRODUCT_FEATURES
from usher.model import ModelError, Predictor, train
from usher.simulator import History, simulate_history


@pytest.fixture(scope="module")
def history() -> History:
    return simulate_history(1000, seed=1)


@pytest.fixture(scope="module")
def bundle(history: History, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    train(history, directory, seed=1)
    return directory


def columns(rows: list[dict[str, float]]) -> dict[str, Any]:
    return {name: np.array([row[name] for row in rows]) for name in MODEL_INPUTS}


def test_it_beats_its_baselines(bundle: Path) -> None:
    metrics = Predictor(bundle).manifest["metrics"]
    popularity = metrics["baselines"]["popularity"]
    assert min(metrics["roc_auc"].values()) > 0.65
    assert set(popularity["roc_auc"].values()) == {0.5}
    assert metrics["brier"] < popularity["brier"]
    assert metrics["top1_hit_rate"] > popularity["top1_hit_rate"]
    assert metrics["engagement_r2"] > 0.05 > popularity["engagement_r2"]


def test_onnx_equals_scikit_learn(bundle: Path) -> None:
    assert max(Predictor(bundle).manifest["parity"].values()) < 1e-4


def test_predictions(bundle: Path, history: History) -> None:
    predictor = Predictor(bundle)
    preferences, engagement = predictor.predict(columns(history.rows))
    assert preferences.shape == (len(history.rows), 6) and preferences.dtype == np.float32
    assert engagement.shape == (len(history.rows),) and engagement.dtype == np.float32
    assert preferences.min() >= 0 and preferences.max() <= 1
    assert engagement.min() >= 0 and engagement.max() <= 100
    assert predictor.version == predictor.manifest["sha256"][:12]


def test_using_a_feature_raises_its_preference(bundle: Path, history: History) -> None:
    rows = [
        {**history.rows[0], **{f"used_{f}": 8.0 * (f == used) for f in PRODUCT_FEATURES}} for used in PRODUCT_FEATURES
    ]
    preferences, _ = Predictor(bundle).predict(columns(rows))
    assert preferences.argmax(axis=0).tolist() == [*range(6)]


def test_engagement_is_clipped_and_empty_input_is_fine(bundle: Path) -> None:
    extreme = {name: np.array([0.0, 1e9]) for name in MODEL_INPUTS}
    _, engagement = Predictor(bundle).predict(extreme)
    assert engagement.min() >= 0 and engagement.max() <= 100
    assert Predictor(bundle).predict({name: np.array([]) for name in MODEL_INPUTS})[0].shape == (0, 6)


def test_the_same_seed_gives_the_same_model(bundle: Path, history: History, tmp_path: Path) -> None:
    assert train(history, tmp_path, seed=1)["sha256"] == Predictor(bundle).manifest["sha256"]


def test_fast_enough(bundle: Path, history: History) -> None:
    predictor, batch = Predictor(bundle), columns((history.rows * 2)[:1000])
    took = []
    for _ in range(30):
        begin = time.perf_counter()
        predictor.predict(batch)
        took.append((time.perf_counter() - begin) / 1000)
    assert min(took) < 5e-6


def test_a_changed_model_is_refused(bundle: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(bundle, tmp_path / "changed")
    with (changed / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match=r"SHA-256 .* but the manifest says .* Run `usher train`"):
        Predictor(changed)


@pytest.mark.parametrize(
    ("features", "complaint"),
    [
        ([*MODEL_INPUTS[1:], "shoe_size"], "unknown shoe_size; missing events_total"),
        ([*reversed(MODEL_INPUTS)], "the same names in another order"),
    ],
)
def test_other_features_are_refused(bundle: Path, tmp_path: Path, features: list[str], complaint: str) -> None:
    other = shutil.copytree(bundle, tmp_path / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps({**manifest, "features": features}))
    with pytest.raises(ModelError, match=complaint):
        Predictor(other)


def test_a_missing_bundle_and_missing_columns(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no model.onnx: run `usher train`"):
        Predictor(tmp_path)
    with pytest.raises(ModelError, match="lacks the columns events_total"):
        Predictor(bundle).predict({name: np.zeros(1) for name in MODEL_INPUTS[1:]})


def test_a_history_too_small_to_learn_from(tmp_path: Path) -> None:
    small = simulate_history(20, seed=1)
    same = History(small.rows, np.zeros_like(small.preferences), small.engagement)
    with pytest.raises(ModelError, match="all users agree on analytics"):
        train(same, tmp_path, seed=1)
