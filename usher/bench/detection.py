"""`usher bench drift`: how soon a change is found, and how often one is found where there is none.

Streams of known truth: errors that rise at a known position by a known amount, for ADWIN; windows of a feature that
is shifted by a known share of its standard deviation, for PSI. And the same without any change.
"""

from typing import Any

import numpy as np
import pandas as pd
from rich.progress import track

from usher.drift._watch import rise
from usher.drift.distribution import by_chance, compared, histogram
from usher.model import config

BEFORE, AFTER = 3000, 3000
RISES = (0.0, 0.02, 0.05, 0.1)
"""Of the Brier score, from 0.16: the first is no change."""
SHIFTS = (0.0, 0.1, 0.25, 0.5, 1.0)
"""In standard deviations."""
WINDOWS = (500, 1000, 3000)
REFERENCE = 3000


def detection(streams: int, seed: int) -> dict[str, Any]:
    """Shares found and delays (in decisions with labels) by size of the change."""
    policy = config.load().drift
    rng = np.random.default_rng(seed)
    errors = {}
    for by in RISES:
        found = [
            rise(np.concatenate([_errors(rng, 0.16, BEFORE), _errors(rng, 0.16 + by, AFTER)]), policy.adwin_delta)
            for _ in track(range(streams), f"errors that rise by {by}", transient=True)
        ]
        errors[str(by)] = _told([None if one is None else one.found - BEFORE for one in found], by > 0)
    shifted = {}
    for rows in WINDOWS:
        for by in SHIFTS:
            hits = [_shifted(rng, by, rows, policy) for _ in range(streams)]
            shifted[f"{rows} rows, {by} sd"] = round(float(np.mean(hits)), 4)
    return {"streams": streams, "adwin_by_rise_of_brier": errors, "psi_share_of_windows_found": shifted}


def _errors(rng: np.random.Generator, mean: float, n: int) -> np.ndarray:
    """Brier scores of a decision: beta distributed, a standard deviation of 0.1 as measured on simulated newcomers."""
    scale = mean * (1 - mean) / 0.1**2 - 1
    return rng.beta(mean * scale, (1 - mean) * scale, n)


def _told(delays: list[int | None], changed: bool) -> dict[str, Any]:
    """Of streams that change: found after it; of those that do not: found at all, a false alarm."""
    if not changed:
        alarms = sum(delay is not None for delay in delays)
        return {
            "false_alarms": alarms,
            "false_alarms_per_1000_decisions": round(alarms / len(delays) * 1000 / (BEFORE + AFTER), 4),
        }
    found = [delay for delay in delays if delay is not None and delay >= 0]
    early = sum(delay is not None and delay < 0 for delay in delays)
    told: dict[str, Any] = {"found": round(len(found) / len(delays), 4), "before_the_change": early}
    if found:
        told |= {f"delay_p{q}": int(np.percentile(found, q)) for q in (50, 95)}
    return told


def _shifted(rng: np.random.Generator, by: float, rows: int, policy: config.Drift) -> bool:
    reference = histogram(pd.Series(rng.normal(size=REFERENCE)))
    psi, js, bins = compared(reference, pd.Series(rng.normal(by, size=rows)))
    return psi > policy.psi_max + by_chance(bins, REFERENCE, rows) and js > policy.js_max
