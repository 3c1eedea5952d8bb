"""The figures equal scikit-learn's, for any weights."""

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    mean_absolute_error,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
)

from usher.model import metrics

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 2, (300, 2)).astype(float)
SCORE = np.round((TRUTH + RNG.normal(0, 1, TRUTH.shape)).clip(-1, 2) / 3 + 1 / 3, 2)  # many ties
WEIGHTS = metrics.resamples(np.array([f"u{i % 90}" for i in range(300)], object), 20, seed=1)


def test_users_are_drawn_whole() -> None:
    assert WEIGHTS.shape == (21, 300) and (WEIGHTS[0] == 1).all()
    assert (WEIGHTS[:, :90] == WEIGHTS[:, 90:180]).all()
    assert WEIGHTS[1:, :90].sum(axis=1).tolist() == [90] * 20


@pytest.mark.parametrize("row", [0, 1, 7])
def test_rankings(row: int) -> None:
    ranking, weights = metrics.Ranking(TRUTH[:, 0], SCORE[:, 0]), WEIGHTS[row]
    assert ranking.roc_auc(weights) == pytest.approx(roc_auc_score(TRUTH[:, 0], SCORE[:, 0], sample_weight=weights))
    assert ranking.pr_auc(weights) == pytest.approx(
        average_precision_score(TRUTH[:, 0], SCORE[:, 0], sample_weight=weights)
    )


def test_classification() -> None:
    figures, auc = metrics.classification(TRUTH, SCORE, ("a", "b"), WEIGHTS)
    assert len(auc) == 21
    for i, label in enumerate("ab"):
        truth, score = TRUTH[:, i], SCORE[:, i]
        right = {
            "roc_auc": roc_auc_score(truth, score), "pr_auc": average_precision_score(truth, score),
            "brier": brier_score_loss(truth, score),
            "precision": precision_score(truth, score >= 0.5), "recall": recall_score(truth, score >= 0.5),
        }  # fmt: skip
        assert {name: figures[name][label]["value"] for name in right} == pytest.approx(right, abs=1e-5)
        assert all(figures[name][label]["low"] < right[name] < figures[name][label]["high"] for name in right)
    assert figures["top1_hit_rate"]["value"] == pytest.approx(
        np.mean([TRUTH[i, SCORE[i].argmax()] for i in range(300)]), abs=1e-5
    )


def test_a_label_of_one_class_is_in_no_mean() -> None:
    alone, _ = metrics.classification(TRUTH, SCORE, ("a", "b"), WEIGHTS)
    truth, score = np.column_stack([TRUTH, np.zeros(300)]), np.column_stack([SCORE, np.full(300, 0.9)])
    beside, auc = metrics.classification(truth, score, ("a", "b", "gone"), WEIGHTS)
    assert all(beside[name]["mean"] == alone[name]["mean"] for name in ("roc_auc", "pr_auc", "precision", "brier"))
    assert beside["roc_auc"]["gone"]["value"] is None and beside["brier"]["gone"]["value"] == pytest.approx(0.81)
    assert np.isfinite(auc).all()
    nothing, auc = metrics.classification(truth[:, [2]], score[:, [2]], ("gone",), WEIGHTS)
    assert nothing["roc_auc"]["mean"]["value"] is None and np.isnan(auc).all()


def test_regression() -> None:
    truth, said = TRUTH[:, 0] * 50, SCORE[:, 0] * 60
    figures, r2 = metrics.regression(truth, said, WEIGHTS)
    assert figures["r2"]["value"] == pytest.approx(r2_score(truth, said), abs=1e-5)
    assert figures["mae"]["value"] == pytest.approx(mean_absolute_error(truth, said), abs=1e-5)
    assert r2[3] == pytest.approx(r2_score(truth, said, sample_weight=WEIGHTS[3]))
    figures, r2 = metrics.regression(np.full(300, 12.3), said, WEIGHTS)
    assert figures["r2"]["value"] is None and np.isnan(r2).all() and figures["mae"]["value"] > 0


def test_calibration_of_what_is_calibrated() -> None:
    said = RNG.random((20_000, 1))
    bins = metrics.calibration(RNG.random(said.shape) < said, said)
    assert sum(b["n"] for b in bins) == 20_000 and len(bins) == 10
    assert all(abs(b["said"] - b["came"]) < 0.04 for b in bins)


def test_what_is_undefined_is_none() -> None:
    assert metrics.interval([np.nan, np.nan]) == {"value": None, "low": None, "high": None}
    assert np.isnan(metrics.mean_roc_auc(np.ones((3, 1)), np.zeros((3, 1))))
