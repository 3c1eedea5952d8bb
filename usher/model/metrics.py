"""How good predictions are, each figure with a 95 % interval from a bootstrap over users.

A user's examples are not independent, so whole users are drawn: B. Efron and R. Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 8. A resample is a vector of weights, so that scores are sorted once for all of them.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]
THRESHOLD = 0.5
BINS = 10
SAME = 1e-9
"""A variance below this is that of one value, but for rounding."""


def resamples(users: NDArray[np.object_], count: int, seed: int) -> Numbers:
    """[1 + count, n] weights: all one, then how often each example's user was drawn."""
    names, position = np.unique(users.astype(str), return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=count)
    return np.vstack([np.ones(len(users)), drawn[:, position]])


def interval(values: ArrayLike) -> dict[str, float | None]:
    """A figure and its percentile interval; the first value is the figure itself. What is undefined is None."""
    figures = np.asarray(values, np.float64)
    known = figures[1:][np.isfinite(figures[1:])]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return {"value": _told(figures[0]), "low": _told(low), "high": _told(high)}


def _told(figure: float) -> float | None:
    return round(float(figure), 5) if np.isfinite(figure) else None


class Ranking:
    """Truth (0 or 1) by falling score, ties together; the curves for any weights of the examples."""

    def __init__(self, truth: ArrayLike, score: ArrayLike) -> None:
        score = np.asarray(score, np.float64)
        self._order = np.argsort(-score, kind="stable")
        self._truth = np.asarray(truth, np.float64)[self._order]
        fallen = np.diff(score[self._order]) != 0
        self._starts = np.concatenate([[0], np.flatnonzero(fallen) + 1])

    def _steps(self, weights: Numbers) -> tuple[Numbers, Numbers]:
        ordered = weights[self._order]
        true = np.add.reduceat(ordered * self._truth, self._starts)
        return true, np.add.reduceat(ordered, self._starts) - true

    def roc_auc(self, weights: Numbers) -> float:
        """Probability that a positive is ranked above a negative, ties half; NaN with one class only."""
        true, false = self._steps(weights)
        pairs = true.sum() * false.sum()
        above = true.cumsum() - true / 2
        return float((false * above).sum() / pairs) if pairs else float("nan")

    def pr_auc(self, weights: Numbers) -> float:
        """Average precision: the sum over thresholds of precision times the gain in recall."""
        true, false = self._steps(weights)
        total = true.sum()
        found = true.cumsum() + false.cumsum()
        precision = np.divide(true.cumsum(), found, out=np.ones_like(found), where=found > 0)
        return float((true / total * precision).sum()) if total else float("nan")

    def curves(self) -> dict[str, Numbers]:
        """False and true positive rate, and precision, at each threshold."""
        true, false = (step.cumsum() for step in self._steps(np.ones(len(self._order))))
        return {
            "fpr": np.concatenate([[0], false / max(false[-1], 1)]),
            "tpr": np.concatenate([[0], true / max(true[-1], 1)]),
            "precision": np.concatenate([[1], true / (true + false)]),
        }


def classification(
    truth: ArrayLike, score: ArrayLike, labels: tuple[str, ...], weights: Numbers
) -> tuple[dict[str, Any], Numbers]:
    """All figures of multi-label probabilities [n, k], by label and as `mean`, and the resampled mean ROC-AUC.

    The means are over the labels of which both classes occur: of the others no ranking can be right or wrong.
    """
    truth, score = np.asarray(truth, np.float64), np.asarray(score, np.float64)
    sampled: dict[str, Numbers] = {}
    rankings = [Ranking(truth[:, i], score[:, i]) for i in range(len(labels))]
    for name in ("roc_auc", "pr_auc"):
        sampled[name] = np.array([[getattr(ranking, name)(w) for w in weights] for ranking in rankings])
    positive = score >= THRESHOLD
    hits = weights @ (truth * positive)
    sampled["precision"] = _ratio(hits, weights @ positive).T
    sampled["recall"] = _ratio(hits, weights @ truth).T
    sampled["brier"] = (weights @ (truth - score) ** 2 / weights.sum(axis=1, keepdims=True)).T
    both = two_classes(truth)
    figures: dict[str, Any] = {
        name: {
            "mean": interval(_mean(values[both])),
            **{label: interval(row) for label, row in zip(labels, values, strict=True)},
        }
        for name, values in sampled.items()
    }
    first = truth[np.arange(len(truth)), score.argmax(axis=1)]
    figures["top1_hit_rate"] = interval(weights @ first / weights.sum(axis=1))
    return figures, _mean(sampled["roc_auc"][both])


def regression(truth: ArrayLike, said: ArrayLike, weights: Numbers) -> tuple[dict[str, Any], Numbers]:
    """R² and mean absolute error, and the resampled R²."""
    truth, said = np.asarray(truth, np.float64), np.asarray(said, np.float64)
    total = weights.sum(axis=1)
    mean = weights @ truth / total
    spread = weights @ truth**2 / total - mean**2
    r2 = 1 - _ratio(weights @ (truth - said) ** 2 / total, np.where(spread > SAME, spread, 0))
    return {"r2": interval(r2), "mae": interval(weights @ np.abs(truth - said) / total)}, r2


def calibration(truth: ArrayLike, score: ArrayLike) -> list[dict[str, float]]:
    """The reliability plot: bins of equal numbers of probabilities, what was said and what came, over all labels."""
    came, said = np.ravel(np.asarray(truth, np.float64)), np.ravel(np.asarray(score, np.float64))
    parts = np.array_split(np.argsort(said, kind="stable"), BINS)
    return [
        {"said": round(float(said[part].mean()), 4), "came": round(float(came[part].mean()), 4), "n": len(part)}
        for part in parts
        if len(part)
    ]


def two_classes(truth: ArrayLike) -> NDArray[np.bool_]:
    """[k], whether both 0 and 1 occur in a column of [n, k]."""
    truth = np.asarray(truth)
    return np.asarray(truth.min(axis=0) != truth.max(axis=0))


def mean_roc_auc(truth: ArrayLike, score: ArrayLike) -> float:
    """Mean over the labels that have both classes; NaN when none has."""
    truth, score = np.asarray(truth), np.asarray(score)
    ones = np.ones(len(truth))
    found = [Ranking(truth[:, i], score[:, i]).roc_auc(ones) for i in range(truth.shape[1])]
    return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")


def _mean(values: Numbers) -> Numbers:
    """Over the labels; NaN without any."""
    return values.mean(axis=0) if len(values) else np.full(values.shape[1], np.nan)


def _ratio(above: Numbers, below: Numbers) -> Numbers:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
