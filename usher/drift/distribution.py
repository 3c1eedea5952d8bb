"""How far two samples lie apart: histograms by the reference's deciles, PSI and Jensen-Shannon divergence.

PSI: N. Siddiqi, Credit Risk Scorecards, 2006; below 0.1 nothing, above 0.2 has shifted. JS: J. Lin, Divergence
Measures Based on the Shannon Entropy, IEEE Transactions on Information Theory 37, 1991; 0 (alike) to 1 (disjoint) bits.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from usher.features import CONTINENTS, DEVICE_TYPES

if TYPE_CHECKING:
    from usher.model.dataset import Dataset

Numbers = NDArray[np.float64]
BINS = 10
SEGMENT_MIN = 200
CONFIDENCE = 0.999
CATEGORIES = {"device_type": ("device_", DEVICE_TYPES), "continent": ("continent_", CONTINENTS)}
"""Columns of the log, the model inputs that stand for them, and what they may hold."""


def describe(data: "Dataset", scores: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """The reference that a model is watched against: its examples' inputs, categories and scores, by segment."""
    return described(table_of(data, scores), data.users, tuple(map(str, data.segments)), unknown_among(data))


def table_of(data: "Dataset", scores: Mapping[str, NDArray[np.float64]]) -> pd.DataFrame:
    """One column for each counted input, category and score (`p_<label>`, `engagement_score`)."""
    counted = {name: column for name, column in zip(data.names, data.inputs.T, strict=True) if not _one_hot(name)}
    said = {f"p_{name}": column for name, column in zip(data.labels, scores["preferences"].T, strict=True)}
    said["engagement_score"] = np.clip(scores["engagement"][:, 0], 0, 100)
    segments = {str(name): data.segments[name].to_numpy() for name in data.segments}
    return pd.DataFrame(counted | said | segments)


def unknown_among(data: "Dataset") -> pd.DataFrame:
    """Of each example, whether no input stands for its device type or continent, as far as the inputs tell."""
    found = {}
    for column, (prefix, _) in CATEGORIES.items():
        inputs = [i for i, name in enumerate(data.names) if name.startswith(prefix)]
        if inputs:
            found[column] = ~data.inputs[:, inputs].any(axis=1)
    if "unknown_features" in data.logged:
        found["feature"] = (data.logged["unknown_features"] > 0).to_numpy()
    return pd.DataFrame(found)


def unknown_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The same of rows of the log, and whether they count a feature that usher/features.py does not name."""
    found = {column: ~rows[column].isin(names) for column, (_, names) in CATEGORIES.items()}
    if "unknown_features" in rows:
        found["feature"] = rows["unknown_features"] > 0
    return pd.DataFrame(found)


def described(
    table: pd.DataFrame, users: NDArray[np.object_], segments: tuple[str, ...], unknown: pd.DataFrame
) -> dict[str, Any]:
    """Histograms of all columns and shares of what is unknown, of all rows and of each segment with enough of them.

    Each row of `table` is of the user given, and each of `unknown` says what of it is unknown.
    """
    table = table.set_axis(pd.Index(users, dtype=object))

    def of(rows: NDArray[np.intp]) -> dict[str, Any]:
        shares = {str(name): float(unknown[name].iloc[rows].mean()) for name in unknown}
        return {**_histograms(table.iloc[rows]), "unknown": shares}

    return {
        "all": of(np.arange(len(table))),
        "segments": {
            f"{column}={value}": of(np.asarray(rows))
            for column in segments
            for value, rows in sorted(table.groupby(column).indices.items())
            if len(rows) >= SEGMENT_MIN
        },
    }


def parts_of(table: pd.DataFrame, names: Mapping[str, Any]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each `column=value`."""
    for name in names:
        column, value = name.split("=", 1)
        yield name, table[table[column] == value]


def histogram(values: pd.Series) -> dict[str, Any]:
    """Counts by the values' own deciles, or by name."""
    if values.dtype == object:
        counts = values.value_counts()
        return {"names": [*map(str, counts.index)], "counts": [*map(int, counts)]}
    edges = np.unique(np.quantile(values, np.arange(1, BINS) / BINS))
    return {"edges": edges.tolist(), "counts": _counts(values, edges).tolist()}


def compared(reference: Mapping[str, Any], values: pd.Series) -> tuple[float, float, int]:
    """PSI and JS of values against a histogram, and the number of bins.

    A name that the reference lacks is a bin of its own.
    """
    counts = np.array(reference["counts"], np.float64)
    if "names" in reference:
        found = values.value_counts()
        new = [name for name in found.index if name not in reference["names"]]
        now = found.reindex([*reference["names"], *new], fill_value=0).to_numpy(np.float64)
        counts = np.concatenate([counts, np.zeros(len(new))])
    else:
        now = _counts(values, np.array(reference["edges"])).astype(np.float64)
    return psi(counts, now), js(counts, now), len(counts)


def by_chance(bins: int, n: int, m: int) -> float:
    """The PSI that two samples of n and m independent observations of the same thing hardly ever exceed.

    It is distributed as (1/n + 1/m) χ² with one degree of freedom less than bins: B. Yurdakul, Statistical Properties
    of Population Stability Index, 2018. The rows of one user are not independent, so users are what is counted.
    """
    return (1 / n + 1 / m) * float(chi2.ppf(CONFIDENCE, max(1, bins - 1)))


def psi(before: ArrayLike, now: ArrayLike) -> float:
    """Population stability index of two histograms of counts; half an observation is added to each bin."""
    p, q = _shares(before, 0.5), _shares(now, 0.5)
    return float(((q - p) * np.log(q / p)).sum())


def js(before: ArrayLike, now: ArrayLike) -> float:
    """Jensen-Shannon divergence of two histograms of counts, in bits."""
    p, q = _shares(before, 0.0), _shares(now, 0.0)
    middle = (p + q) / 2
    return float((_entropy(middle) - (_entropy(p) + _entropy(q)) / 2).clip(0))


def _histograms(table: pd.DataFrame) -> dict[str, Any]:
    columns = {str(name): histogram(table[name]) for name in table}
    return {"n": len(table), "users": table.index.nunique(), "columns": columns}


def _counts(values: ArrayLike, edges: Numbers) -> NDArray[np.int64]:
    """How many values are up to each edge, and above the last."""
    return np.bincount(np.searchsorted(edges, np.asarray(values, np.float64)), minlength=len(edges) + 1)


def _shares(counts: ArrayLike, more: float) -> Numbers:
    counted = np.asarray(counts, np.float64) + more
    return np.asarray(counted / counted.sum())


def _entropy(shares: Numbers) -> np.float64:
    some = shares[shares > 0]
    return np.float64(-(some * np.log2(some)).sum())


def _one_hot(name: str) -> bool:
    return name.startswith(tuple(prefix for prefix, _ in CATEGORIES.values()))
