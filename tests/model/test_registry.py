"""Versions that never change, aliases that do, and whoever serves follows; nothing broken ever serves."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from usher.features import MODEL_INPUTS
from usher.model import ModelError, Registry, Served
from usher.model._trained import Trained


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def manifest_of(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.chmod(0o644)
    file.write_text(json.dumps(manifest))


def truncated(folder: Path, registry: Registry) -> None:
    (folder / "model.onnx").chmod(0o644)
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-100])


def swapped(folder: Path, registry: Registry) -> None:
    (folder / "model.onnx").unlink()
    shutil.copy(registry.path(registry.alias("champion") or "") / "model.onnx", folder)


def swapped_and_vouched_for(folder: Path, registry: Registry) -> None:
    """The SHA-256 is right again, but it is another model than the one that was measured."""
    swapped(folder, registry)
    champion = registry.manifest(registry.alias("champion") or "")
    facts = {"sha256": champion["sha256"], "model_version": champion["model_version"]}
    for name in ("reference.json", "report.html", "card.md"):
        (folder / name).unlink()
        shutil.copy(registry.path(champion["model_version"]) / name, folder)
    manifest_of(folder, lambda manifest: manifest.update(facts))


def garbage_and_vouched_for(folder: Path, registry: Registry) -> None:
    import hashlib

    (folder / "model.onnx").chmod(0o644)
    (folder / "model.onnx").write_bytes(b"garbage")
    sha256 = hashlib.sha256(b"garbage").hexdigest()

    def lie(manifest: dict[str, Any]) -> None:
        manifest["sha256"]["model.onnx"], manifest["model_version"] = sha256, sha256[:12]

    manifest_of(folder, lie)


def without_manifest(folder: Path, registry: Registry) -> None:
    (folder / "manifest.json").unlink()


def broken_manifest(folder: Path, registry: Registry) -> None:
    (folder / "manifest.json").chmod(0o644)
    (folder / "manifest.json").write_text("{")


def other_features(folder: Path, registry: Registry) -> None:
    manifest_of(folder, lambda manifest: manifest.update(features=[*MODEL_INPUTS[1:], "shoe_size"]))


def other_order(folder: Path, registry: Registry) -> None:
    manifest_of(folder, lambda manifest: manifest.update(features=[*reversed(MODEL_INPUTS)]))


def without_self_test(folder: Path, registry: Registry) -> None:
    manifest_of(folder, lambda manifest: manifest.pop("self_test"))


BROKEN = {
    truncated: r"model.onnx has SHA-256 .* but the manifest says",
    swapped: r"model.onnx has SHA-256 .* but the manifest says",
    swapped_and_vouched_for: r"on its self-test \w+ is off by",
    garbage_and_vouched_for: "onnxruntime cannot load the model",
    without_manifest: "has no manifest.json: run `usher train`",
    broken_manifest: "is not JSON",
    other_features: "unknown shoe_size; missing events_total",
    other_order: "the same names in another order",
    without_self_test: "no self_test",
}


@pytest.mark.parametrize("breaking", BROKEN, ids=lambda breaking: breaking.__name__)
def test_a_broken_model_never_serves(breaking: Any, registry: Registry, trained: Trained, other: Trained) -> None:
    clock = Clock()
    served = Served(registry.directory, 2, clock)
    breaking(registry.path(other.version), registry)
    with pytest.raises(ModelError, match=BROKEN[breaking]):
        registry.promote(other.version, "why not")
    (registry.directory / "champion").write_text(other.version)  # and if somebody does it by hand
    clock.now = 3
    assert served.champion.version == trained.version
    assert Served(registry.directory).champion.version == trained.version  # also after a restart


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
    manifest_of(registry.path(other.version), lambda manifest: manifest.update(refuse))
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
