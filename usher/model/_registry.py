"""The registry: a folder of immutable versions, and aliases that say which one serves.

versions/<version>/   model.onnx, manifest.json, reference.json, report.html, card.md
champion              the version that serves
challenger            the version that is scored in its shadow
history.ndjson        every change of an alias: when, from, to, why
"""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ._bundle import ModelError, read_manifest, write_bundle
from ._predictor import Predictor
from ._trained import Trained

CHAMPION, CHALLENGER = "champion", "challenger"


class Registry:
    """`Registry("build/model").promote(version, "better by 0.02")`."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def add(self, trained: Trained) -> str:
        """Keep a model for good; its version. The same model again changes nothing."""
        target = self.path(trained.version)
        if target.exists():
            return trained.version
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
        try:
            write_bundle(made, trained.files, trained.facts, trained.contract)
            for file in made.iterdir():
                file.chmod(0o444)
            made.chmod(0o755)
            made.rename(target)  # whole or not at all
        except OSError:
            shutil.rmtree(made, ignore_errors=True)
            if not target.exists():  # else another process was quicker with the same model
                raise
        return trained.version

    def path(self, version: str) -> Path:
        """The folder of a version."""
        return self.directory / "versions" / version

    def versions(self) -> list[str]:
        """All versions, oldest first."""
        folders = [folder for folder in (self.directory / "versions").glob("[!.]*") if folder.is_dir()]
        return [folder.name for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime_ns)]

    def alias(self, name: str) -> str | None:
        """The version that an alias stands for."""
        try:
            return (self.directory / name).read_text().strip() or None
        except FileNotFoundError:
            return None

    def manifest(self, version: str) -> dict[str, Any]:
        """The manifest of a version."""
        if not self.path(version).is_dir():
            known = ", ".join(self.versions()) or "none yet"
            raise ModelError(f"There is no version {version} in {self.directory}; there are: {known}.")
        return read_manifest(self.path(version))

    def reference(self, version: str) -> dict[str, Any]:
        """What a version is watched against."""
        self.manifest(version)
        return dict(json.loads((self.path(version) / "reference.json").read_text()))

    def promote(self, version: str, why: str) -> None:
        """Let a version serve; raises `ModelError` when it cannot be loaded or its gate refused it."""
        self._check(version)
        with self._locked():
            self._point(CHAMPION, version, why)
            if self.alias(CHALLENGER) == version:
                self._point(CHALLENGER, None, "it is the champion now")

    def shadow(self, version: str | None, why: str) -> None:
        """Score a version beside the champion without serving it; None ends that."""
        if version is not None:
            self._check(version)
        with self._locked():
            self._point(CHALLENGER, version, why)

    def rollback(self, why: str) -> str:
        """Back to the champion before this one; its version."""
        served = self.champions()
        if len(served) < 2:
            raise ModelError("There is no champion before this one to go back to.")
        Predictor(self.path(served[1]))
        with self._locked():
            self._point(CHAMPION, served[1], why)
        return served[1]

    def champions(self) -> list[str]:
        """The champion and those before it that were not rolled back, newest first."""
        stack: list[str] = []
        for change in self.history():
            if change["alias"] == CHAMPION:
                stack = stack[: stack.index(change["to"])] if change["to"] in stack else stack
                stack.append(change["to"])
        return stack[::-1]

    def history(self) -> list[dict[str, Any]]:
        """Every change of an alias, oldest first."""
        try:
            return [json.loads(line) for line in (self.directory / "history.ndjson").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def _check(self, version: str) -> None:
        manifest = self.manifest(version)
        Predictor(self.path(version))
        if not manifest["promotable"]:
            raise ModelError(f"{version} is not promotable: {' '.join(manifest['not_promotable_because'])}")

    def _point(self, alias: str, version: str | None, why: str) -> None:
        before = self.alias(alias)
        new = self.directory / f".{alias}.new"
        new.write_text(f"{version or ''}\n")
        os.replace(new, self.directory / alias)
        change = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "alias": alias}
        with (self.directory / "history.ndjson").open("a") as history:
            history.write(json.dumps(change | {"from": before, "to": version, "why": why}) + "\n")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One change at a time, also among processes."""
        with (self.directory / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
