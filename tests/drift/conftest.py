"""A log of simulated newcomers, and a reference of its first half."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from usher.drift.distribution import described, unknown_of
from usher.model import config
from usher.model.dataset import CHALLENGER, SCORES, one_a_day
from usher.simulator import simulate_log


@pytest.fixture(scope="session")
def policy() -> config.Drift:
    return dataclasses.replace(config.load().drift, min_rows=200)


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    """Users drawn at random, so that both halves are alike; a score that depends on what they did."""
    rows = simulate_log(400, seed=6, days=8)
    said = 1 / (1 + np.exp(-rows["used_reports"] / 3))
    rows = rows.assign(model_version="m", challenger_version="", **{name: said for name in SCORES})
    rows[[*CHALLENGER[1:]]] = np.nan
    return rows


@pytest.fixture(scope="session")
def halves(rows: pd.DataFrame) -> tuple[dict, pd.DataFrame]:
    even = rows["user_id"].str[-1].isin([*"02468"])
    sample = one_a_day(rows[even])
    columns = [
        name for name in rows if name not in ("user_id", "updated_at", "continent", "model_version", *CHALLENGER)
    ]
    users = sample["user_id"].to_numpy(object)
    return described(sample[columns], users, ("device_type",), unknown_of(sample)), rows[~even]
