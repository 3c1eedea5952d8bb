"""`usher train | models | drift` as somebody calls them: who serves afterwards, what is said when a server is down."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from usher.model import ModelError, Registry, config, log
from usher.model._trained import Trained
from usher.model.cli import app
from usher.simulator import simulate_log

Train = Callable[..., Result]


@pytest.fixture
def usher_train(tmp_path: Path, policy: config.Config, monkeypatch: pytest.MonkeyPatch) -> Train:
    """`usher train`, but what is trained is given."""
    monkeypatch.setenv("USHER_MODEL_DIR", str(tmp_path / "model"))
    monkeypatch.setattr("usher.model.config.load", lambda: policy)
    rows = simulate_log(40, seed=1)
    monkeypatch.setattr("usher.model.cli._rows", lambda *_: rows)

    def run(trained: Trained, *options: str) -> Result:
        monkeypatch.setattr("usher.model.train", lambda *_: trained)
        return CliRunner().invoke(app, ["train", *options])

    return run


@pytest.fixture
def kept(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "model")


def test_only_the_first_model_serves_unasked(
    usher_train: Train, kept: Registry, trained: Trained, other: Trained
) -> None:
    assert usher_train(trained).exit_code == 0 and kept.alias("champion") == trained.version
    told = " ".join(usher_train(other).stdout.split())
    assert kept.versions() == [trained.version, other.version] and kept.alias("champion") == trained.version
    assert f"{trained.version} goes on serving. `usher shadow {other.version}`" in told
    assert f"`usher promote {other.version}` lets it serve." in told
    said = json.loads(usher_train(other, "--promote", "--json").stdout)
    assert said["champion"] == kept.alias("champion") == other.version


def test_no_promote_means_no_champion(usher_train: Train, kept: Registry, trained: Trained) -> None:
    assert usher_train(trained, "--no-promote").exit_code == 0 and kept.alias("champion") is None


def test_a_champion_of_another_contract_counts_as_none(
    usher_train: Train, kept: Registry, trained: Trained, other: Trained
) -> None:
    """So that a set-up ends with one that serves."""
    usher_train(trained)
    file = kept.path(trained.version) / "manifest.json"
    file.chmod(0o644)
    file.write_text(json.dumps(kept.manifest(trained.version) | {"features": ["shoe_size"]}))
    done = usher_train(other, "--json")
    assert "counts as none" in done.stderr and "unknown shoe_size" in done.stderr
    assert json.loads(done.stdout)["champion"] == kept.alias("champion") == other.version


def test_a_broken_version_is_listed_as_such(usher_train: Train, kept: Registry, trained: Trained) -> None:
    usher_train(trained)
    (kept.directory / "versions" / ("0" * 12)).mkdir()
    (kept.directory / "versions" / ("0" * 12) / "manifest.json").write_text("{}")
    found = json.loads(CliRunner().invoke(app, ["models", "--json"]).stdout)
    assert found["versions"]["0" * 12]["broken"] == "its manifest lacks figures (KeyError('metrics'))."
    assert found["versions"][trained.version]["promotable"] is True
    assert f"{'0' * 12} is broken: " in CliRunner().invoke(app, ["models"]).stdout


def test_a_broker_that_is_down_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "PATIENCE_S", 1)
    with pytest.raises(ModelError, match=r"topic decisions cannot be read: Kafka at 127.0.0.1:9 does not answer"):
        log.read_kafka("127.0.0.1:9")


@pytest.mark.parametrize("command", ["drift", "retrain", "evaluate"])
def test_the_settings_login_is_used(command: str, monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    """All addresses and the login reach the client."""
    seen: dict[str, Any] = {}

    def consumer(**options: Any) -> Any:
        seen.update(options)
        raise log.KafkaTimeoutError("no broker")

    given = {"MODEL_DIR": str(registry.directory), "KAFKA": "a:1,b:2", "ELASTICSEARCH": "http://127.0.0.1:9"}
    given |= {"KAFKA_SECURITY": "SASL_SSL", "KAFKA_USER": "ann", "KAFKA_PASSWORD": "secret"}
    for name, value in given.items():
        monkeypatch.setenv(f"USHER_{name}", value)
    monkeypatch.setattr(log, "KafkaConsumer", consumer)
    done = CliRunner().invoke(app, [command, "--from", "kafka"])
    assert isinstance(done.exception, ModelError) and "Kafka at a:1,b:2 does not answer" in str(done.exception)
    assert seen["bootstrap_servers"] == ["a:1", "b:2"] and seen["security_protocol"] == "SASL_SSL"
    assert (seen["sasl_plain_username"], seen["sasl_plain_password"]) == ("ann", "secret")
    assert "secret" not in str(done.exception)
