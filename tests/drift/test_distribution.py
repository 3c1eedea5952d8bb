"""PSI and JS by hand, and against scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon

from usher.drift.distribution import by_chance, compared, histogram, js, psi


def test_psi_by_hand() -> None:
    p, q = np.array([50.5, 50.5]) / 101, np.array([80.5, 20.5]) / 101
    assert psi([50, 50], [80, 20]) == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert psi([50, 50], [500, 500]) < 1e-6


def test_js_is_scipys() -> None:
    p, q = [5, 3, 0, 2], [1, 1, 7, 1]
    assert js(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2)
    assert js([1, 0], [0, 1]) == pytest.approx(1) and js(p, p) == pytest.approx(0)


def test_counts_are_by_the_references_deciles() -> None:
    before = histogram(pd.Series(np.arange(100.0)))
    assert len(before["edges"]) == 9 and before["counts"] == [10] * 10
    assert compared(before, pd.Series(np.arange(100.0)))[0] == pytest.approx(0, abs=1e-9)
    assert compared(before, pd.Series(np.arange(100.0) + 20))[0] > 0.5
    zeros = histogram(pd.Series([0.0] * 95 + [1.0] * 5))
    assert zeros == {"edges": [0.0], "counts": [95, 5]}


def test_a_name_that_is_new_is_a_bin_of_its_own() -> None:
    before = histogram(pd.Series(["a"] * 60 + ["b"] * 40, dtype=object))
    assert before == {"names": ["a", "b"], "counts": [60, 40]}
    same = compared(before, pd.Series(["a"] * 60 + ["b"] * 40, dtype=object))
    other = compared(before, pd.Series(["a"] * 30 + ["b"] * 20 + ["c"] * 50, dtype=object))
    assert same[:2] == pytest.approx((0, 0), abs=1e-9)
    assert other[1] == pytest.approx(jensenshannon([60, 40, 0], [30, 20, 50], base=2) ** 2)


def test_chance_reaches_what_it_says() -> None:
    """Of 300 pairs of samples from one distribution, hardly any lies above."""
    rng = np.random.default_rng(2)
    above = 0
    for _ in range(300):
        psi_of, _, bins = compared(histogram(pd.Series(rng.normal(size=400))), pd.Series(rng.normal(size=300)))
        above += psi_of > by_chance(bins, 400, 300)
    assert above <= 3
