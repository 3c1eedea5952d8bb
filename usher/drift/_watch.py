"""The log of decisions against what the model was trained on: inputs, scores, error, age, unknown categories."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from river.drift import ADWIN

from usher.columns import COUNTED
from usher.features import PRODUCT_FEATURES
from usher.model import ModelError
from usher.model.config import Drift
from usher.model.dataset import SCORES, Dataset, one_a_day
from usher.model.reference import iso_of

from .distribution import by_chance, compared, parts_of, unknown_of

HOUR_MS = 3_600_000
CLOCK = 32
"""ADWIN looks for a change every so many examples."""
CATEGORIES = ("device_type", "country")
LEARNABLE = ("feature", "category", "score", "error")
"""Kinds of findings that a model trained on fresh data can answer."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `drifted` with its `reason`."""

    kind: str
    """feature, category, score, error, unknown, freshness or rows"""
    name: str
    segment: str
    """`all`, or `column=value`"""
    n: int
    value: float
    """PSI; for an error its rise; for unknown a share; for freshness hours; for rows their number."""
    limit: float
    js: float | None = None
    reason: str = ""
    at: int | None = None
    """For an error: since when, in ms."""

    @property
    def drifted(self) -> bool:
        return bool(self.reason)


@dataclass(frozen=True)
class Report:
    """What was found between two times (ms)."""

    model_version: str
    begin: int
    end: int
    findings: list[Finding]
    errors: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"time": [], "error": []}))
    """Time (ms) and Brier score of each decision whose labels have arrived."""

    @property
    def risen_at(self) -> int | None:
        """Since when (ms) the model's error over all users is higher than before, if it is."""
        return next((int(f.at) for f in self.findings if f.at is not None and f.segment == "all"), None)

    @property
    def reasons(self) -> list[str]:
        """Why the model should be looked at; empty: nothing has drifted."""
        return [finding.reason for finding in self.findings if finding.drifted]

    @property
    def learnable(self) -> list[str]:
        """Those of the reasons that a model trained on fresh data can answer."""
        return [finding.reason for finding in self.findings if finding.drifted and finding.kind in LEARNABLE]

    @property
    def stale(self) -> bool:
        """Whether there are no fresh data."""
        return any(finding.drifted and finding.kind == "freshness" for finding in self.findings)


def watch(
    rows: pd.DataFrame,
    reference: Mapping[str, Any],
    version: str,
    policy: Drift,
    labelled: Dataset | None = None,
    now_ms: int | None = None,
) -> Report:
    """Rows of the log (`usher.model.log`) against a bundle's reference.json.

    Like the reference, one row a user and day is taken. `labelled` are examples with what the model said of them
    (`usher.model.label` of the same log), for its error; `now_ms` is what the age of the data is counted from.
    """
    if not len(rows):
        raise ModelError("The log of decisions is empty, so nothing can be said about drift: is the job running?")
    sample, segments = one_a_day(rows), reference["segments"]
    begin, end = int(rows["updated_at"].min()), int(rows["updated_at"].max())
    findings = [*_fresh(end, now_ms, policy)]
    for name, part in (("all", sample), *parts_of(sample, segments)):
        known = reference["all"] if name == "all" else segments[name]
        findings += [*_unknown(part, known, name, policy), *_shifted(part, known, name, policy)]
    errors = errors_of(labelled) if labelled is not None else errors_of_none()
    findings += _risen(errors, "all", policy.adwin_delta)
    for name, part in parts_of(errors, segments) if len(errors) else ():
        if len(part) >= policy.min_rows:  # all segments together raise no more false alarms than everybody does
            findings += _risen(part, name, policy.adwin_delta / len(segments))
    return Report(version, begin, end, findings, errors)


def errors_of(data: Dataset) -> pd.DataFrame:
    """Time (ms), Brier score (mean over the features) and segments of each example that the champion had scored."""
    said = data.logged[[*SCORES[1:]]].to_numpy(np.float64)
    known = np.isfinite(said).all(axis=1)
    error = ((said - data.preferences) ** 2).mean(axis=1)
    segments = {str(name): data.segments[name].to_numpy()[known] for name in data.segments}
    return pd.DataFrame({"time": data.times[known], "error": error[known]} | segments)


def errors_of_none() -> pd.DataFrame:
    """No labels have arrived."""
    return pd.DataFrame({"time": np.zeros(0, np.int64), "error": np.zeros(0)})


class Rise(NamedTuple):
    """Positions in a stream of errors."""

    since: int
    """Where the errors begin to be higher."""
    by: float
    found: int
    """Where that was noticed."""


def rise(errors: NDArray[np.float64], delta: float) -> Rise | None:
    """From where on a stream of errors (0..1) is higher than before, by ADWIN; None: it is not.

    A. Bifet and R. Gavaldà, Learning from Time-Changing Data with Adaptive Windowing, SDM 2007. The old part of its
    window is cut off a bucket at a time, also after it was noticed, so the end of the stream knows best since when.
    """
    window = ADWIN(delta=delta, clock=CLOCK)
    began = since = 0
    found = last = None
    for i, error in enumerate(errors):
        window.update(float(error))
        if window.drift_detected:
            if last is None or i - last > CLOCK:
                began, found = since, i
            last = i
        if found is not None:
            since = max(since, i + 1 - int(window.width))
    if found is None:
        return None
    by = float(errors[since:].mean() - errors[began:since].mean())
    return Rise(since, by, found) if by > 0 else None


def _shifted(sample: pd.DataFrame, reference: Mapping[str, Any], segment: str, policy: Drift) -> Iterator[Finding]:
    if len(sample) < policy.min_rows:
        yield Finding("rows", "rows", segment, len(sample), len(sample), policy.min_rows)
        return
    users = sample["user_id"].nunique()
    for name, histogram in reference["columns"].items():
        values = sample[name] if name in COUNTED or name in SCORES else sample[name].fillna("")
        if values.dtype != object:
            values = values.dropna()  # a decision from before there were scores
        if not len(values):
            continue
        psi, js, bins = compared(histogram, values)
        limit = policy.psi_max + by_chance(bins, reference["users"], users)
        kind = "score" if name in SCORES else "category" if name in CATEGORIES else "feature"
        reason = ""
        if psi > limit and js > policy.js_max:
            reason = f"{name} has shifted{_where(segment)}: PSI {psi:.2f}, more than {limit:.2f}; JS {js:.3f} bits."
        yield Finding(kind, name, segment, len(values), psi, limit, js, reason)


def _unknown(sample: pd.DataFrame, reference: Mapping[str, Any], segment: str, policy: Drift) -> Iterator[Finding]:
    if segment != "all" and len(sample) < policy.min_rows:
        return
    before = reference.get("unknown", {})  # of a model that was trained when there were no shares in it: none
    for name, column in unknown_of(sample).items():
        share, trained = float(column.mean()), before.get(name, 0.0)
        limit, reason = trained + policy.unknown_max, ""
        if share > limit:
            what = f"a {name} other than {', '.join(PRODUCT_FEATURES)}" if name == "feature" else f"an unknown {name}"
            reason = (
                f"{share:.1%} of the users{_where(segment)} have {what}, more than {limit:.1%} "
                f"({trained:.1%} when the model was trained)."
            )
        yield Finding("unknown", str(name), segment, len(sample), share, limit, None, reason)


def _fresh(end: int, now_ms: int | None, policy: Drift) -> Iterator[Finding]:
    if now_ms is not None:
        hours = (now_ms - end) / HOUR_MS
        reason = ""
        if hours > policy.stale_h:
            reason = f"The newest decision is of {iso_of(end)}, {hours:.0f} h ago, more than {policy.stale_h:g} h."
        yield Finding("freshness", "age_h", "all", 1, hours, policy.stale_h, None, reason)


def _risen(errors: pd.DataFrame, segment: str, delta: float) -> Iterator[Finding]:
    found = rise(errors["error"].to_numpy(), delta)
    if found is None:
        yield Finding("error", "brier", segment, len(errors), 0.0, 0.0)
        return
    since, by = int(errors["time"].iloc[found.since]), found.by
    reason = f"The model's error (Brier) has risen by {by:.3f}{_where(segment)} since {iso_of(since)} (ADWIN)."
    yield Finding("error", "brier", segment, len(errors), by, 0.0, None, reason, since)


def _where(segment: str) -> str:
    return "" if segment == "all" else f" where {segment}"
