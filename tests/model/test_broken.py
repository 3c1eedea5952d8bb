"""Whatever is wrong with a version or an alias, it never serves, and who serves goes on."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
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


def vouched_for(folder: Path, model: bytes) -> None:
    """Exchange the model, and the manifest says it is right."""
    (folder / "model.onnx").chmod(0o644)
    (folder / "model.onnx").write_bytes(model)
    sha256 = hashlib.sha256(model).hexdigest()

    def lie(manifest: dict[str, Any]) -> None:
        manifest["sha256"]["model.onnx"], manifest["model_version"] = sha256, sha256[:12]

    manifest_of(folder, lie)


def garbage_and_vouched_for(folder: Path, registry: Registry) -> None:
    vouched_for(folder, b"garbage")


def a_batch_of_eight(folder: Path, registry: Registry) -> None:
    """Its self-test has eight rows, but a batch has any number."""
    model = onnx.load(folder / "model.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8
    vouched_for(folder, model.SerializeToString())


def without_manifest(folder: Path, registry: Registry) -> None:
    (folder / "manifest.json").unlink()


def broken_manifest(folder: Path, registry: Registry) -> None:
    (folder / "manifest.json").chmod(0o644)
    (folder / "manifest.json").write_text("{")


def other_features(folder: Path, registry: Registry) -> None:
    manifest_of(folder, lambda manifest: manifest.update(features=[*MODEL_INPUTS[1:], "shoe_size"]))


def other_order(folder: Path, registry: Registry) -> None:
    manifest_of(folder, lambda manifest: manifest.update(features=[*reversed(MODEL_INPUTS)]))


def another_version(folder: Path, registry: Registry) -> None:
    """Whole and true in itself, but in the folder of another."""
    shutil.rmtree(folder)
    shutil.copytree(registry.path(registry.alias("champion") or ""), folder)


def wrong_and_anything_goes(manifest: dict[str, Any]) -> None:
    test = manifest["self_test"]
    test["preferences"] = [[0.5] * 6] * len(test["inputs"])
    test["tolerance"] = dict.fromkeys(test["tolerance"], 1e9)


def test_of(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """The self-test with other parts."""
    return lambda manifest: manifest["self_test"].update(changes)


test_of.__test__ = False  # type: ignore[attr-defined]


def figure(value: Any, *path: str) -> Callable[[dict[str, Any]], None]:
    """Another figure in the metrics, while the manifest goes on to say `promotable`."""

    def change(manifest: dict[str, Any]) -> None:
        tree = manifest["metrics"]
        for name in path[:-1]:
            tree = tree[name]
        tree[path[-1]] = value

    return change


ROC_AUC = ("preferences", "roc_auc", "mean", "value")
LIES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no self_test": (lambda m: m.pop("self_test"), "no self_test"),
    "no inputs": (lambda m: m["self_test"].pop("inputs"), "inputs of its self-test are no table of finite numbers, 31"),
    "ragged inputs": (test_of(inputs=[[1.0], [1.0, 2.0]]), "inputs of its self-test are no table"),
    "narrow inputs": (test_of(inputs=[[1.0] * 30] * 8), "inputs of its self-test are no table"),
    "inputs of text": (test_of(inputs="all of them"), "inputs of its self-test are no table"),
    "infinite inputs": (test_of(inputs=[[float("inf")] * 31] * 8), "inputs of its self-test are no table"),
    "huge inputs": (test_of(inputs=[[10**400] * 31] * 8), "inputs of its self-test are no table"),
    "empty": (test_of(inputs=[], preferences=[], engagement=[], interests=[]), "inputs of its self-test are no table"),
    "fewer answers": (
        lambda m: m["self_test"]["preferences"].pop(),
        "preferences of its self-test is no table of 8 × 6",
    ),
    "no answers": (lambda m: m["self_test"].pop("engagement"), "engagement of its self-test is no table of 8 × 1"),
    "no tolerance": (
        lambda m: m["self_test"].pop("tolerance"),
        "tolerance of its self-test for preferences is no number",
    ),
    "tolerance of text": (test_of(tolerance="small"), "tolerance of its self-test for preferences is no number"),
    "tolerance of texts": (
        test_of(tolerance=dict.fromkeys(("preferences", "engagement", "interests"), "0.1")),
        "tolerance of its self-test for preferences is no number",
    ),
    "anything goes": (
        wrong_and_anything_goes,
        "tolerance of its self-test for preferences is no number from 0 to 0.01",
    ),
    "no metrics": (lambda m: m.pop("metrics"), "is not promotable: Mean ROC-AUC cannot be measured"),
    "metrics of text": (lambda m: m.update(metrics="good"), "is not promotable: Mean ROC-AUC cannot be measured"),
    "bad and promotable": (figure(0.3, *ROC_AUC), "is not promotable: Mean ROC-AUC is 0.3000, but must be >= 0.5"),
    "figure of text": (figure("0.9", *ROC_AUC), "is not promotable: Mean ROC-AUC cannot be measured"),
    "a coin's Brier": (figure(0.4, "preferences", "brier", "mean", "value"), "The mean Brier score is 0.4000"),
    "no holdout": (lambda m: m.pop("rows"), "The holdout has 0 examples"),
    "promotable missing": (lambda m: m.pop("promotable"), "does not say whether its gate was open"),
    "promotable of text": (lambda m: m.update(promotable="yes"), "does not say whether its gate was open"),
    "promotable in spite of": (lambda m: m.update(not_promotable_because=["It is bad."]), "not promotable: It is bad."),
    "not promotable": (lambda m: m.update(promotable=False), "its manifest does not say why"),
    "no figures but a list": (lambda m: m.update(sha256=["model.onnx"]), "does not say the SHA-256 of model.onnx"),
    "a file with no such name": (lambda m: m["sha256"].update({"x\0y": "", "..": ""}), "It has no x"),
    "features of a number": (
        lambda m: m.update(features=7),
        "Its features differ from usher/features.py: 7 instead of",
    ),
}


BROKEN = {
    truncated: r"model.onnx has SHA-256 .* but the manifest says",
    swapped: r"model.onnx has SHA-256 .* but the manifest says",
    swapped_and_vouched_for: r"on its self-test \w+ is off by",
    garbage_and_vouched_for: "onnxruntime cannot load the model",
    a_batch_of_eight: r"its graph has the ends .*tensor\(float\) \[8, 31\]",
    without_manifest: "has no manifest.json: run `usher train`",
    broken_manifest: "is not JSON",
    other_features: "unknown shoe_size; missing events_total",
    other_order: "the same names in another order",
    another_version: r"holds the version \w{12}: run `usher train`",
}


@pytest.mark.parametrize("breaking", BROKEN, ids=lambda breaking: breaking.__name__)
def test_a_broken_model_never_serves(breaking: Any, registry: Registry, trained: Trained, other: Trained) -> None:
    breaks(registry, trained, other, lambda folder: breaking(folder, registry), BROKEN[breaking])


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies_never_serves(lie: str, registry: Registry, trained: Trained, other: Trained) -> None:
    change, told = LIES[lie]
    breaks(registry, trained, other, lambda folder: manifest_of(folder, change), re.escape(told))


def breaks(registry: Registry, trained: Trained, other: Trained, breaking: Callable[[Path], None], told: str) -> None:
    """Neither promoted nor served, whoever names it: not by a running service, not at a start, not in the shadow."""
    clock = Clock()
    served = Served(registry.directory, 2, clock)
    breaking(registry.path(other.version))
    for act in (registry.promote, registry.shadow):
        with pytest.raises(ModelError, match=told):
            act(other.version, "why not")
    for alias in ("champion", "challenger"):
        (registry.directory / alias).write_text(other.version)  # and if somebody does it by hand
    for clock.now in (3, 6, 9):
        assert (served.champion.version, served.challenger) == (trained.version, None)
    again = Served(registry.directory)  # also after a restart
    assert (again.champion.version, again.challenger) == (trained.version, None)


UNREADABLE: dict[str, Callable[[Path], Any]] = {
    "binary": lambda file: file.write_bytes(b"\xff\xfe\x00\x01"),
    "a name too long": lambda file: file.write_text("a" * 5000),
    "somewhere else": lambda file: file.write_text("../versions/000000000000"),
    "an unknown version": lambda file: file.write_text("0" * 12),
    "a folder": lambda file: (file.unlink(missing_ok=True), file.mkdir()),
    "a loop": lambda file: (file.unlink(missing_ok=True), file.symlink_to(file.name)),  # OSError, as from a volume
}


@pytest.mark.parametrize("how", UNREADABLE)
@pytest.mark.parametrize("alias", ["champion", "challenger"])
def test_an_alias_that_cannot_be_read_changes_nothing(
    how: str, alias: str, registry: Registry, trained: Trained, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    served = Served(registry.directory, 2, clock)
    UNREADABLE[how](registry.directory / alias)
    for clock.now in (3, 6, 9):
        assert (served.champion.version, served.challenger) == (trained.version, None)
    said = [record.getMessage() for record in caplog.records if "stays as it is" in record.getMessage()]
    assert len(said) == 1 and said[0].startswith(f"{alias} stays as it is: ")
    assert Served(registry.directory).champion.version == trained.version  # its history says who it was


@pytest.mark.parametrize(
    ("error", "loads"), [(RuntimeError("?"), 1), (ModelError("It is bad."), 1), (OSError("stale file handle"), 3)]
)
def test_what_is_broken_is_loaded_once_and_what_is_away_again(
    error: Exception, loads: int, registry: Registry, trained: Trained, other: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    served = Served(registry.directory, 2, clock)
    asked = []

    def checked(self: Registry, version: str) -> None:
        asked.append(version)
        raise error

    monkeypatch.setattr(Registry, "checked", checked)
    (registry.directory / "champion").write_text(other.version)
    for clock.now in (3, 6, 9):
        assert served.champion.version == trained.version
    assert asked == [other.version] * loads
