"""Examples to learn from: feature rows as they stood at decision time, and what each user did afterwards.

The rows come from the `decisions` log, or from the same `sql/` run over event history; labels are differences of the
log's own counters, so that nothing but the log is needed and nothing of the future is in a row. What a person did
counts whatever id they did it under.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usher.columns import PREDICT_COLUMNS, model_matrix
from usher.features import CONTINENTS, DEVICE_TYPES, INTEREST_INPUTS, MODEL_INPUTS, PRODUCT_FEATURES

from ._bundle import ModelError
from ._people import doings

Floats = NDArray[np.float32]
SEGMENTS = ("device_type", "country")
CATEGORIES = {"device_type": DEVICE_TYPES, "continent": CONTINENTS}
SCORES = ("engagement_score", *(f"p_{name}" for name in PRODUCT_FEATURES))
CHALLENGER = ("challenger_version", *(f"challenger_{name}" for name in SCORES))
SAID = ("model_version", *SCORES, *CHALLENGER)
"""Columns of the log: what the champion said, and the challenger in its shadow."""
DAY_MS = 86_400_000
EMPTY = (
    "The history holds no example: no decision is followed by a whole horizon. "
    "Train on a longer history, or set a shorter training.horizon_days in conf/model.yaml."
)


@dataclass(frozen=True)
class Dataset:
    """n examples in order of time."""

    inputs: Floats
    """[n, len(names)]"""
    preferences: Floats
    """[n, len(labels)] of 0 or 1."""
    engagement: Floats
    """[n], 0 to 100."""
    times: NDArray[np.int64]
    """[n], when each decision was made, ms since 1970."""
    users: NDArray[np.object_]
    """[n]"""
    segments: pd.DataFrame
    """[n] rows; one column of strings for each way to split users up."""
    names: tuple[str, ...] = MODEL_INPUTS
    labels: tuple[str, ...] = PRODUCT_FEATURES
    interests: tuple[str, ...] = INTEREST_INPUTS
    """The inputs whose principal components are a user's interests."""
    logged: pd.DataFrame = field(default_factory=pd.DataFrame)
    """[n] rows of what models said at the time (`usher.model.log.SAID`), or no columns at all."""

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, which: slice | NDArray[np.bool_] | NDArray[np.int64]) -> "Dataset":
        """The examples of a slice, a mask or positions."""
        cut = {name: getattr(self, name)[which] for name in ("inputs", "preferences", "engagement", "times", "users")}
        logged = self.logged.iloc[which] if len(self.logged.columns) else self.logged
        return replace(self, **cut, segments=self.segments.iloc[which], logged=logged)

    def check(self) -> "Dataset":
        """Itself; raises `ModelError` naming every input that cannot be learned from."""
        if not len(self):
            raise ModelError(EMPTY)
        for what, values, names in (
            ("input", self.inputs, self.names),
            ("label", np.column_stack([self.preferences, self.engagement]), (*self.labels, "engagement")),
        ):
            wrong = [f"{name} ({n} rows)" for name, n in zip(names, (~np.isfinite(values)).sum(0), strict=True) if n]
            if wrong:
                raise ModelError(f"NaN or infinite {what}s: {', '.join(wrong)}. Mend or leave out these rows.")
        return self


def model_inputs(rows: pd.DataFrame) -> Floats:
    """[n, len(MODEL_INPUTS)] from rows of the log; unknown categories are refused, missing ones are all zero."""
    problems = []
    for column, known in CATEGORIES.items():
        counts = rows[column].fillna("").value_counts()
        strange = {name: n for name, n in counts.items() if name not in (*known, "")}
        problems += [f"{column} {name!r} ({n} rows)" for name, n in strange.items()]
    if problems:
        raise ModelError(
            f"Categories that no model input stands for: {', '.join(problems)}. "
            "Add them to usher/features.py, or leave these rows out."
        )
    return model_matrix({name: rows[name].to_numpy() for name in PREDICT_COLUMNS})


def label(rows: pd.DataFrame, horizon_ms: int, min_uses: int, every_row: bool = False) -> Dataset:
    """Rows of the log (see `usher.model.log`) to examples, in order of time.

    A row is an example when the log goes on for a whole horizon after it, and the counters of its person, under all of
    their ids, did not begin anew in between. Of each person and UTC day one row is taken, by a hash, so that busy users
    do not count more than others; `every_row` takes all.
    """
    rows = rows.sort_values(["updated_at", "user_id"], kind="stable").reset_index(drop=True)
    if not len(rows):
        raise ModelError(EMPTY)
    found = doings(rows, _GROWING)
    rows = rows.assign(person=found.persons)
    whole = found.told & (rows["updated_at"] <= rows["updated_at"].iloc[-1] - horizon_ms)
    now = rows[whole] if every_row else one_a_day(rows[whole], "person")
    begin, end = (_as_of(rows, now["person"], now["updated_at"] + wait) for wait in (0, horizon_ms))
    known = found.breaks[begin] == found.breaks[end]
    now, after = now[known], (found.done[end] - found.done[begin])[known]
    used = after[:, : len(PRODUCT_FEATURES)]
    engagement = engagement_of(*after[:, len(PRODUCT_FEATURES) :].T)
    return Dataset(
        model_inputs(now),
        (used >= min_uses).astype(np.float32),
        engagement.astype(np.float32),
        now["updated_at"].to_numpy(np.int64),
        now["person"].to_numpy(object),
        now[[*SEGMENTS]].fillna("").reset_index(drop=True),
        logged=now[[name for name in now if name in SAID]].reset_index(drop=True),
    ).check()


def engagement_of(
    active_ms: NDArray[np.float64],
    features_used: NDArray[np.float64],
    content_clicked: NDArray[np.float64],
    steps_completed: NDArray[np.float64],
) -> NDArray[np.float64]:
    """0 (nothing) to 100: minutes active, features, clicks and steps, each more worth less than the one before."""
    points = active_ms / 60_000 + features_used + content_clicked + 2 * steps_completed
    return np.asarray(100 * (1 - np.exp(-points / 60)))


_GROWING = (
    *(f"used_{name}" for name in PRODUCT_FEATURES),
    "active_ms", "features_used", "content_clicked", "steps_completed",
)  # fmt: skip


def _as_of(rows: pd.DataFrame, persons: pd.Series, times: pd.Series) -> NDArray[np.int64]:
    """The position of the last row of each person at each time."""
    asked = pd.DataFrame({"person": persons.to_numpy(), "updated_at": times.to_numpy()})
    there = rows[["person", "updated_at"]].assign(position=np.arange(len(rows)))
    return pd.merge_asof(asked, there, on="updated_at", by="person")["position"].to_numpy(np.int64)


def one_a_day(rows: pd.DataFrame, who: str = "user_id") -> pd.DataFrame:
    """The row of least hash of each of column `who` and UTC day: at random, and the same on every run."""
    keys = pd.util.hash_pandas_object(rows[["user_id", "updated_at"]], index=False)
    keys.index = rows.index
    least = keys.groupby([rows[who], rows["updated_at"] // DAY_MS]).transform("min")
    return rows[keys == least]
