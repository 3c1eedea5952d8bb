"""The registry: a folder of immutable versions, and aliases that say which one serves.

versions/<version>/   model.onnx, manifest.json, reference.json, report.html, card.md
champion              the version that serves
challenger            the version that is scored in its shadow
history.ndjson        every change of an alias: when, from, to, why, and whether it was a step back
"""

import fcntl
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ._bundle import (
    REFERENCE,
    Contract,
    ModelError,
    UnreadableError,
    content_of,
    json_object,
    read_bundle,
    read_manifest,
    write_bundle,
)
from ._gate import FLOOR, refusals
from ._predictor import Predictor
from ._trained import Trained
from .config import Gate

CHAMPION, CHALLENGER = "champion", "challenger"
HISTORY = "history.ndjson"
CHANGE = {"at", "alias", "from", "to", "why"}
"""What a line of the history says at least."""
_VERSION = re.compile("[0-9a-f]{12}")
_log = logging.getLogger(__name__)


class Registry:
    """`Registry("build/model").promote(version, "better by 0.02")`.

    `gate` is what a version has to pass now to be promoted, by the figures of its manifest; it has to have passed the
    gate of its day in any case.
    """

    def __init__(self, directory: str | Path, gate: Gate = FLOOR) -> None:
        self.directory = Path(directory)
        self._gate = gate

    def add(self, trained: Trained) -> str:
        """Keep a model for good; its version. The same model again changes nothing."""
        target = self.path(trained.version)
        if target.exists():
            return trained.version
        with self._changing():
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
        """The version that an alias stands for; raises `ModelError` when what stands there is none."""
        file = self.directory / name
        try:
            version = file.read_bytes().decode("ascii", "replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnreadableError(f"{file} must be a file that names a version: {error.strerror}.") from error
        if version and not _VERSION.fullmatch(version):
            raise ModelError(
                f"{file} holds {version[:20]!r}, which is no version: see `usher models`, then promote one."
            )
        return version or None

    def manifest(self, version: str) -> dict[str, Any]:
        """The manifest of a version."""
        if not _VERSION.fullmatch(version) or not os.path.isdir(self.path(version)):
            known = ", ".join(self.versions()) or "none yet"
            raise UnreadableError(f"There is no version {version} in {self.directory}; there are: {known}.")
        return read_manifest(self.path(version))

    def reference(self, version: str) -> dict[str, Any]:
        """What a version is watched against."""
        self.manifest(version)
        files, _ = read_bundle(self.path(version), Contract())
        if REFERENCE not in files:
            raise ModelError(f"{self.path(version)} vouches for no {REFERENCE}: run `usher train` again.")
        return json_object(files[REFERENCE], self.path(version) / REFERENCE)

    def checked(self, version: str, gate: Gate = FLOOR) -> Predictor:
        """A version that may serve; raises `ModelError` when it is broken, exchanged, or not good enough."""
        self.manifest(version)
        predictor = Predictor(self.path(version))
        if predictor.version != version:
            raise ModelError(f"{self.path(version)} holds the version {predictor.version}: run `usher train` again.")
        if refused := refusals(predictor.manifest, gate):
            raise ModelError(f"{version} is not promotable: {' '.join(refused)}")
        return predictor

    def promote(self, version: str, why: str) -> None:
        """Let a version serve; raises `ModelError` when it cannot be loaded or its gate refused it."""
        self.checked(version, self._gate)
        with self._locked():
            self._point(CHAMPION, version, why)
            if self._now(CHALLENGER) == version:
                self._point(CHALLENGER, None, "it is the champion now")

    def shadow(self, version: str | None, why: str) -> None:
        """Score a version beside the champion without serving it; None ends that."""
        if version is not None:
            self.checked(version, self._gate)
        with self._locked():
            self._point(CHALLENGER, version, why)

    def rollback(self, why: str) -> str:
        """Back to the champion before this one; its version."""
        with self._locked():
            served = self.champions()
            if len(served) < 2:
                raise ModelError("There is no champion before this one to go back to.")
            self.checked(served[1])  # it has served already, so today's gate is not asked
            self._point(CHAMPION, served[1], why, rollback=True)
            return served[1]

    def champions(self) -> list[str]:
        """The champion and those before it that were not rolled back, newest first; one may be there twice."""
        stack: list[str] = []
        for change in self.history():
            version = change["to"]
            if change["alias"] != CHAMPION or version in stack[-1:]:
                continue
            if change.get("rollback") and version in stack:
                while stack[-1] != version:
                    stack.pop()
            else:
                stack.append(version)
        now = self._now(CHAMPION)
        return [*([now] if now and now not in stack[-1:] else []), *reversed(stack)]  # also if set by hand

    def history(self) -> list[dict[str, Any]]:
        """Every change of an alias, oldest first."""
        found = []
        for number, line in enumerate((content_of(self.directory / HISTORY) or b"").splitlines(), 1):
            try:
                change = json.loads(line)
            except (ValueError, RecursionError):
                change = None
            if isinstance(change, dict) and change.keys() >= CHANGE:
                found.append(change)
            elif line.strip():
                _log.warning(
                    "%s, line %d is torn or no change of an alias: left out.", self.directory / HISTORY, number
                )
        return found

    def _now(self, alias: str) -> str | None:
        """As `alias`, but None for what is no version, to be said by who follows it."""
        try:
            return self.alias(alias)
        except ModelError as error:
            _log.warning("%s", error)
            return None

    def _point(self, alias: str, version: str | None, why: str, rollback: bool = False) -> None:
        before = self._now(alias)
        new = self.directory / f".{alias}.new"
        new.write_text(f"{version or ''}\n")
        os.replace(new, self.directory / alias)
        change: dict[str, Any] = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "alias": alias}
        change |= {"from": before, "to": version, "why": why} | ({"rollback": True} if rollback else {})
        with (self.directory / HISTORY).open("ab+") as history:
            if history.tell():
                history.seek(-1, os.SEEK_END)
                if history.read(1) != b"\n":  # a crash cut the last line off: do not write on in it
                    history.write(b"\n")
            history.write(json.dumps(change).encode() + b"\n")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One change at a time, also among processes."""
        if not os.path.isdir(self.directory):
            raise ModelError(f"There is no registry {self.directory}: run `usher train` to make one.")
        with self._changing(), (self.directory / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """What the file system forbids is said in a sentence."""
        try:
            yield
        except OSError as error:
            raise ModelError(
                f"{self.directory} cannot be changed: {error}. Check the folder and who may write."
            ) from error
