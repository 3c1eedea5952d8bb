"""One history and two models of it for all tests of the model's life."""

import dataclasses
from pathlib import Path

import pytest

from usher.model import Dataset, Registry, config, label, train
from usher.model._trained import Trained
from usher.simulator import simulate_log


@pytest.fixture(scope="session")
def policy() -> config.Config:
    """The gate of conf/, but for a smaller holdout, whose R² has a wide interval; fewer resamples and folds."""
    policy = config.load()
    return dataclasses.replace(
        policy,
        gate=dataclasses.replace(policy.gate, min_holdout_rows=100, r2_gain_min=-1),
        training=dataclasses.replace(policy.training, interval_resamples=50, folds=2),
    )


@pytest.fixture(scope="session")
def examples(policy: config.Config) -> Dataset:
    return label(simulate_log(500, seed=1), policy.training.horizon_ms, policy.training.min_uses)


@pytest.fixture(scope="session")
def trained(examples: Dataset, policy: config.Config) -> Trained:
    return train(examples, policy, 1, ("linear",))


@pytest.fixture(scope="session")
def other(examples: Dataset, policy: config.Config) -> Trained:
    """Of a history that is a tenth shorter."""
    return train(examples[: len(examples) * 9 // 10], policy, 1, ("linear",))


@pytest.fixture
def registry(trained: Trained, other: Trained, tmp_path: Path) -> Registry:
    """Both models, the first of them the champion."""
    registry = Registry(tmp_path / "model")
    registry.promote(registry.add(trained), "the first")
    registry.add(other)
    return registry
