"""A model bundle is a folder: `model.onnx` and the `manifest.json` that vouches for it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from usher.features import MODEL_INPUTS, PRODUCT_FEATURES

MODEL, MANIFEST = "model.onnx", "manifest.json"
INPUT, OUTPUTS = "features", ("preferences", "engagement")


class ModelError(RuntimeError):
    """A model bundle that cannot be used, or input that does not fit it; the message says what to do."""


def write_bundle(directory: Path, model: bytes, facts: dict[str, Any]) -> dict[str, Any]:
    """Write model and manifest; `model_version` is the beginning of the model's SHA-256."""
    sha256 = hashlib.sha256(model).hexdigest()
    contract = {"features": [*MODEL_INPUTS], "outputs": [*OUTPUTS], "preferences": [*PRODUCT_FEATURES]}
    manifest = {"model_version": sha256[:12], "sha256": sha256, **contract, **facts}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MODEL).write_bytes(model)
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    return manifest


def read_bundle(directory: Path) -> tuple[bytes, dict[str, Any]]:
    """Model and manifest, checked; raises `ModelError` naming every problem found."""
    for name in (MODEL, MANIFEST):
        if not (directory / name).is_file():
            raise ModelError(f"The model bundle {directory} has no {name}: run `usher train` to make one.")
    model = (directory / MODEL).read_bytes()
    try:
        manifest = json.loads((directory / MANIFEST).read_text())
    except ValueError as error:
        raise ModelError(f"{directory / MANIFEST} is not JSON ({error}): run `usher train` again.") from error
    problems = _problems(manifest, hashlib.sha256(model).hexdigest())
    if problems:
        raise ModelError(
            f"The model bundle {directory} is refused. " + " ".join(problems) + " Run `usher train` again."
        )
    return model, manifest


def _problems(manifest: dict[str, Any], sha256: str) -> list[str]:
    problems = []
    if manifest.get("sha256") != sha256:
        problems.append(f"model.onnx has SHA-256 {sha256[:12]}… but the manifest says {manifest.get('sha256')!s:.12}….")
    for what, ours in (("features", MODEL_INPUTS), ("preferences", PRODUCT_FEATURES), ("outputs", OUTPUTS)):
        theirs = manifest.get(what) or []
        if [*theirs] != [*ours]:
            problems.append(f"Its {what} differ from usher/features.py: {_difference([*theirs], [*ours])}.")
    return problems


def _difference(theirs: list[str], ours: list[str]) -> str:
    unknown = [name for name in theirs if name not in ours]
    missing = [name for name in ours if name not in theirs]
    parts = [f"{word} {', '.join(names)}" for word, names in (("unknown", unknown), ("missing", missing)) if names]
    return "; ".join(parts) or "the same names in another order"
