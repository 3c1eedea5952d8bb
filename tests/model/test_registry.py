"""Versions that never change, aliases that do, and whoever serves follows. What is broken: test_broken.py."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from usher.columns import PREDICT_COLUMNS
from usher.model import ModelError, Predictor, Registry, Served, config
from usher.model._gate import reasons
from usher.model._trained import Trained
from usher.simulator import simulate_log


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def manifest_of(folder: Path, change: dict[str, Any]) -> None:
    file = folder / "manifest.json"
    file.chmod(0o644)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))


def test_a_version_that_comes_later_than_its_alias_is_taken_up(
    registry: Registry, other: Trained, trained: Trained
) -> None:
    """As on a shared volume."""
    clock = Clock()
    served = Served(registry.directory, 2, clock)
    folder = registry.path(other.version)
    folder.rename(folder.with_name(".later"))
    (registry.directory / "champion").write_text(other.version)
    clock.now = 3
    assert served.champion.version == trained.version
    folder.with_name(".later").rename(folder)
    clock.now = 6
    assert served.champion.version == other.version


def test_a_torn_history_is_read_and_written_on(
    registry: Registry, trained: Trained, other: Trained, caplog: pytest.LogCaptureFixture
) -> None:
    registry.promote(other.version, "better")
    file = registry.directory / "history.ndjson"
    file.write_bytes(file.read_bytes() + b'{"at": "2026-01-01T00:00:00\xff')
    assert registry.champions() == [other.version, trained.version]
    assert "line 3 is torn" in caplog.text
    assert Served(registry.directory).champion.version == other.version
    assert registry.rollback("worse") == trained.version
    assert [change["why"] for change in registry.history()] == ["the first", "better", "worse"]


def test_rollback_goes_to_the_one_before_also_when_it_has_served_twice(
    registry: Registry, trained: Trained, other: Trained
) -> None:
    a, b = trained.version, other.version
    registry.promote(b, "better")
    registry.promote(a, "better again")
    registry.promote(a, "once more")  # changes nothing
    assert registry.champions() == [a, b, a]
    assert [registry.rollback("worse"), registry.rollback("still")] == [b, a]
    assert registry.champions() == [a]
    (registry.directory / "champion").write_text(b)  # by hand, without a line in the history
    assert registry.champions() == [b, a] and registry.rollback("no") == a


def test_a_registry_that_is_not_there_or_cannot_be_changed(registry: Registry, other: Trained, tmp_path: Path) -> None:
    for act in (lambda r: r.rollback("why"), lambda r: r.shadow(None, "why")):
        with pytest.raises(ModelError, match=r"There is no registry .*nowhere: run `usher train`"):
            act(Registry(tmp_path / "nowhere"))
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"file/model cannot be changed: .*Not a directory"):
        Registry(tmp_path / "file" / "model").add(other)
    (registry.directory / "champion").unlink()
    (registry.directory / "champion").mkdir()
    with pytest.raises(ModelError, match=r"cannot be changed: .*Is a directory"):
        registry.promote(other.version, "why")


def test_todays_gate_is_asked_when_promoting_but_not_when_stepping_back(
    registry: Registry, trained: Trained, other: Trained, policy: config.Config
) -> None:
    registry.promote(other.version, "better")
    strict = Registry(registry.directory, dataclasses.replace(policy.gate, roc_auc_min=0.999))
    with pytest.raises(ModelError, match=r"is not promotable: Mean ROC-AUC is 0\.\d+, but must be >= 0.999"):
        strict.promote(trained.version, "why")
    assert strict.rollback("better an old one than a broken one") == trained.version


def test_what_cannot_be_measured_is_a_reason(trained: Trained, policy: config.Config) -> None:
    metrics = json.loads(json.dumps(trained.facts["metrics"]))
    metrics["preferences"]["gain"]["low"] = metrics["engagement"]["r2"]["value"] = None
    assert reasons(metrics, trained.facts["rows"], policy.gate) == [
        f"The gain in ROC-AUC over the better baseline (lower end) cannot be measured, but must be > "
        f"{policy.gate.roc_auc_gain_min}.",
        f"R² of engagement cannot be measured, but must be >= {policy.gate.r2_min}.",
    ]


def test_one_fold_and_a_tolerance_that_proves_nothing_are_no_policy(tmp_path: Path) -> None:
    text = (
        config.FILE.read_text().replace("folds: 3", "folds: 1").replace("max_difference: 0.0001", "max_difference: 1")
    )
    (tmp_path / "model.yaml").write_text(text)
    with pytest.raises(ModelError, match=r"folds = 1 must be at least 2.*max_difference = 1 must be at most 0.01"):
        config.load(tmp_path / "model.yaml")


@pytest.mark.parametrize("fails", [RuntimeError("out of memory"), None], ids=["it raises", "it says NaN"])
def test_a_challenger_that_fails_does_not_cost_the_champions_answers(
    fails: Exception | None,
    registry: Registry,
    trained: Trained,
    other: Trained,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from udfs.personalize import column
    from udfs.predict import Predict

    registry.shadow(other.version, "trial")
    udf = Predict(str(registry.directory))
    udf.open(None)  # type: ignore[arg-type]
    rows = simulate_log(20, seed=4, days=1).head(5)
    columns = {name: column(rows[name]) for name in PREDICT_COLUMNS}
    whole = pd.DataFrame(udf(columns))
    assert all(json.loads(said)["model_version"] == other.version for said in whole["challenger"])
    right = Predictor.predict

    def wrong(self: Predictor, matrix: Any) -> Any:
        if self.version == trained.version:
            return right(self, matrix)
        if fails is not None:
            raise fails
        return right(self, matrix)._replace(preferences=np.full((len(matrix), 6), np.nan, np.float32))

    monkeypatch.setattr(Predictor, "predict", wrong)
    for _ in range(3):
        alone = pd.DataFrame(udf(columns))
        pd.testing.assert_frame_equal(alone.drop(columns="challenger"), whole.drop(columns="challenger"))
        assert alone["challenger"].isna().all()
    assert caplog.text.count(f"the challenger {other.version} fails") == 1


def test_a_new_champion_is_taken_up_and_rolled_back(registry: Registry, trained: Trained, other: Trained) -> None:
    clock = Clock()
    served = Served(registry.directory, 2, clock)
    assert served.champion.version == trained.version and served.challenger is None
    registry.promote(other.version, "better")
    assert served.champion.version == trained.version  # not looked at again yet
    clock.now = 2
    assert served.champion.version == other.version
    assert registry.champions() == [other.version, trained.version]
    assert registry.rollback("worse after all") == trained.version
    clock.now = 4
    assert served.champion.version == trained.version
    with pytest.raises(ModelError, match="no champion before this one"):
        registry.rollback("further")
    assert [(c["from"], c["to"], c["why"]) for c in registry.history()] == [
        (None, trained.version, "the first"),
        (trained.version, other.version, "better"),
        (other.version, trained.version, "worse after all"),
    ]


def test_a_challenger_is_in_the_shadow_until_promoted(registry: Registry, trained: Trained, other: Trained) -> None:
    clock = Clock()
    served = Served(registry.directory, 2, clock)
    registry.shadow(other.version, "trial")
    clock.now = 2
    assert served.challenger is not None and served.challenger.version == other.version
    assert served.champion.version == trained.version
    registry.promote(other.version, "it was better")
    clock.now = 4
    assert (served.champion.version, served.challenger) == (other.version, None)
    assert registry.alias("challenger") is None


def test_versions_are_immutable(registry: Registry, trained: Trained) -> None:
    before = {f.name: (f.read_bytes(), f.stat().st_mtime_ns) for f in registry.path(trained.version).iterdir()}
    assert registry.add(trained) == trained.version
    assert {f.name: (f.read_bytes(), f.stat().st_mtime_ns) for f in registry.path(trained.version).iterdir()} == before
    assert {f.stat().st_mode & 0o222 for f in registry.path(trained.version).iterdir()} == {0}


def test_what_its_gate_refused_is_not_promoted(registry: Registry, other: Trained, trained: Trained) -> None:
    refuse = {"promotable": False, "not_promotable_because": ["Mean ROC-AUC is 0.4."]}
    manifest_of(registry.path(other.version), refuse)
    for act in (registry.promote, registry.shadow):
        with pytest.raises(ModelError, match=r"is not promotable: Mean ROC-AUC is 0.4."):
            act(other.version, "please")
    assert (registry.alias("champion"), registry.alias("challenger")) == (trained.version, None)


def test_nothing_to_serve(tmp_path: Path, registry: Registry, trained: Trained) -> None:
    with pytest.raises(ModelError, match="has no champion: run `usher train`"):
        Served(tmp_path / "nothing")
    with pytest.raises(ModelError, match=r"no version 0{12} .* there are: "):
        registry.promote("0" * 12, "why")
    (registry.path(trained.version) / "model.onnx").unlink()
    with pytest.raises(ModelError, match="It has no model.onnx"):
        Served(registry.directory)
