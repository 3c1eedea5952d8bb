"""What a model must beat: saying what most do, and the best single input."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression

from ._candidates import LogCounts
from .dataset import Dataset, Floats
from .metrics import Ranking, two_classes

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """Probabilities [n, k] and scores [n] on the holdout, and how they come about."""

    preferences: Numbers
    engagement: Numbers
    by: dict[str, str]


def popularity(train: Dataset, test: Dataset) -> Baseline:
    """Everyone is like the average of the training period."""
    shares, usual = train.preferences.mean(axis=0), train.engagement.mean()
    return Baseline(
        np.tile(shares.astype(np.float64), (len(test), 1)), np.full(len(test), float(usual)), {"all": "the average"}
    )


def best_feature(train: Dataset, test: Dataset) -> Baseline:
    """For each label the one input that ranks the training period best, made a probability by a logistic curve.

    A label of one class only is said to stay as it is.
    """
    x, x_test = (LogCounts().transform(data.inputs) for data in (train, test))
    columns, by = [], {}
    for i, label in enumerate(train.labels):
        if not two_classes(train.preferences[:, [i]])[0]:
            columns.append(np.full(len(test), float(train.preferences[0, i])))
            by[label] = "the average"
            continue
        best = _best(x, train.preferences[:, i])
        curve = LogisticRegression().fit(x[:, [best]], train.preferences[:, i])
        columns.append(curve.predict_proba(x_test[:, [best]])[:, 1])
        by[label] = train.names[best]
    spread = x.std(axis=0)
    related = np.abs(((x - x.mean(axis=0)) * (train.engagement - train.engagement.mean())[:, None]).mean(axis=0))
    best = int(np.argmax(np.divide(related, spread, out=np.zeros_like(related), where=spread > 0)))
    line = LinearRegression().fit(x[:, [best]], train.engagement)
    return Baseline(np.column_stack(columns), line.predict(x_test[:, [best]]), {**by, "engagement": train.names[best]})


def _best(x: Floats, truth: Floats) -> int:
    """The column whose ranking, either way round, is furthest from chance."""
    ones = np.ones(len(x))
    return int(np.argmax([abs(Ranking(truth, x[:, i]).roc_auc(ones) - 0.5) for i in range(x.shape[1])]))
