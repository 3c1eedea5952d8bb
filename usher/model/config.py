"""`conf/model.yaml`: how models are trained, gated, watched and replaced."""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from usher.settings import ROOT

from ._bundle import TOLERANCE_MAX, ModelError

FILE = ROOT / "conf" / "model.yaml"
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Training:
    """See the comments in conf/model.yaml."""

    horizon_days: float
    min_uses: int
    holdout: float
    folds: int
    contest_rows: int
    interval_resamples: int
    max_difference: float

    @property
    def horizon_ms(self) -> int:
        return int(self.horizon_days * DAY_MS)


@dataclass(frozen=True)
class Gate:
    """See the comments in conf/model.yaml."""

    min_holdout_rows: int
    roc_auc_min: float
    roc_auc_gain_min: float
    brier_max: float
    r2_min: float
    r2_gain_min: float


@dataclass(frozen=True)
class Drift:
    """See the comments in conf/model.yaml."""

    window_days: float
    psi_max: float
    js_max: float
    min_rows: int
    unknown_max: float
    stale_h: float
    adwin_delta: float


@dataclass(frozen=True)
class Retrain:
    """See the comments in conf/model.yaml."""

    fresh_days: float
    min_shadow_rows: int
    min_gain: float


@dataclass(frozen=True)
class Config:
    """`load().gate.roc_auc_min`."""

    training: Training
    gate: Gate
    drift: Drift
    retrain: Retrain


def load(file: Path = FILE) -> Config:
    """The file, checked; raises `ModelError` with every problem found."""
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ModelError(f"{file} cannot be read as YAML: {error}.") from error
    problems: list[str] = []
    parts = {part.name: _part(part.type, part.name, content, problems) for part in fields(Config)}
    if isinstance(content, dict):
        problems += [f"{name} is no section; there are {', '.join(parts)}." for name in content if name not in parts]
    if problems:
        raise ModelError(f"{file.name} is refused. " + " ".join(problems))
    return Config(**parts)


def _part(kind: Any, section: str, content: Any, problems: list[str]) -> Any:
    given = content.get(section) if isinstance(content, dict) else None
    if not isinstance(given, dict):
        problems.append(f"The section {section} is missing.")
        return None
    hints = get_type_hints(kind)
    problems += [f"{section}.{name} is unknown." for name in given if name not in hints]
    for name, number in hints.items():
        value = given.get(name)
        if (wish := _wish(name, value, number)) is not None:
            problems.append(f"{section}.{name} = {value!r} must be {wish}.")
    return None if problems else kind(**given)


def _wish(name: str, value: Any, kind: type) -> str | None:
    """What a value must be and is not."""
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        return "a whole number" if kind is int else "a number"
    if not math.isfinite(value) or value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
        return "zero or more" if name in _MAY_BE_ZERO else "above zero"
    if value < _AT_LEAST.get(name, 0):
        return f"at least {_AT_LEAST[name]}"
    if value > _AT_MOST.get(name, math.inf):
        return f"at most {_AT_MOST[name]}"
    return "below 1" if name in _SHARES and value >= 1 else None


_MAY_BE_ZERO = ("roc_auc_gain_min", "r2_gain_min", "r2_min", "roc_auc_min", "min_gain")
_AT_LEAST = {"folds": 2}  # with one, nothing is left to train on, and no standard error
_AT_MOST = {"max_difference": TOLERANCE_MAX}
_SHARES = ("holdout", "unknown_max", "adwin_delta")
