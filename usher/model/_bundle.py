"""A model bundle is a folder: `model.onnx` and the `manifest.json` that vouches for it, with what belongs to them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usher.features import INTEREST_COMPONENTS, INTEREST_INPUTS, MODEL_INPUTS, PRODUCT_FEATURES

MODEL, MANIFEST = "model.onnx", "manifest.json"
REFERENCE, REPORT, CARD = "reference.json", "report.html", "card.md"
INPUT, OUTPUTS = "features", ("preferences", "engagement", "interests")
TOLERANCE_MAX = 0.01
"""How far, as a share of its scale, an output may ever be from scikit-learn's, whatever a manifest or conf/ allows."""


class ModelError(RuntimeError):
    """A model bundle, a history or an input that cannot be used; the message says what to do."""


class UnreadableError(ModelError):
    """Files that cannot be read now, as on a shared volume that is away; reading them later may help."""


@dataclass(frozen=True)
class Contract:
    """What goes into a model and comes out of it, by name and in order."""

    features: tuple[str, ...] = MODEL_INPUTS
    preferences: tuple[str, ...] = PRODUCT_FEATURES
    interests: tuple[str, ...] = INTEREST_INPUTS
    components: int = INTEREST_COMPONENTS

    def facts(self) -> dict[str, Any]:
        """As the manifest holds it, with a hash over all of it."""
        facts = {
            "features": [*self.features],
            "preferences": [*self.preferences],
            "interests": [*self.interests],
            "outputs": {"preferences": len(self.preferences), "engagement": 1, "interests": self.components},
        }
        return {**facts, "schema_hash": _sha256(json.dumps(facts).encode())}


def version_of(model: bytes) -> str:
    """The beginning of the model's SHA-256."""
    return _sha256(model)[:12]


def write_bundle(directory: Path, files: Mapping[str, bytes], facts: Mapping[str, Any], contract: Contract) -> None:
    """Write all files, and last the manifest, which holds the SHA-256 of each."""
    manifest = {
        "model_version": version_of(files[MODEL]),
        "sha256": {name: _sha256(content) for name, content in files.items()},
        **contract.facts(),
        **facts,
    }
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=1, allow_nan=False) + "\n")


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest alone, unchecked but for being one; raises `ModelError`."""
    text = content_of(directory / MANIFEST)
    if text is None:
        raise UnreadableError(f"The model bundle {directory} has no {MANIFEST}: run `usher train` to make one.")
    return json_object(text, directory / MANIFEST)


def read_bundle(directory: Path, contract: Contract) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files that the manifest vouches for, and the manifest; raises `ModelError` naming every problem found."""
    manifest = read_manifest(directory)
    promised = manifest.get("sha256")
    promised = promised if isinstance(promised, dict) else {}
    files = {name: content for name in promised if (content := content_of(directory / name)) is not None}
    problems = [*_damaged(files, promised, manifest), *_differences(manifest, contract.facts())]
    if problems:
        raise ModelError(
            f"The model bundle {directory} is refused. " + " ".join(problems) + " Run `usher train` again."
        )
    return files, manifest


def content_of(file: Path) -> bytes | None:
    """What a file holds; None when there is none. Raises `UnreadableError` when there may be one."""
    try:
        return file.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        raise UnreadableError(
            f"{file} cannot be read ({error.strerror}): check its folder and who may read."
        ) from error


def json_object(text: bytes, file: Path) -> dict[str, Any]:
    """A file's JSON object; raises `ModelError`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file} is not JSON ({error}): run `usher train` again.") from error
    if not isinstance(found, dict):
        raise ModelError(f"{file} is not a JSON object: run `usher train` again.")
    return found


def _damaged(files: Mapping[str, bytes], promised: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    if MODEL not in promised:
        return [f"{MANIFEST} does not say the SHA-256 of {MODEL}."]
    problems = []
    for name, sha256 in promised.items():
        if name not in files:
            problems.append(f"It has no {name}.")
        elif (found := _sha256(files[name])) != sha256:
            problems.append(f"{name} has SHA-256 {found[:12]}… but the manifest says {sha256!s:.12}….")
    if str(promised[MODEL])[:12] != manifest.get("model_version"):
        problems.append(f"Its version {manifest.get('model_version')} is not the beginning of its model's SHA-256.")
    return problems


def _differences(manifest: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    return [
        f"Its {what} differ from usher/features.py: {_difference(manifest.get(what), ours[what])}."
        for what in ("features", "preferences", "interests", "outputs", "schema_hash")
        if manifest.get(what) != ours[what]
    ]


def _difference(theirs: Any, ours: Any) -> str:
    if not isinstance(theirs, list) or not isinstance(ours, list):
        return f"{theirs} instead of {ours}"
    unknown = [str(name) for name in theirs if name not in ours]
    missing = [name for name in ours if name not in theirs]
    parts = [f"{word} {', '.join(names)}" for word, names in (("unknown", unknown), ("missing", missing)) if names]
    return "; ".join(parts) or "the same names in another order"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
