"""The models that serve, looked up anew every few seconds."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from ._bundle import ModelError, UnreadableError
from ._predictor import Predictor
from ._registry import CHALLENGER, CHAMPION, Registry

POLL_S = 2.0
_log = logging.getLogger(__name__)


class Served:
    """`Served("build/model").champion.predict(columns)`: the champion of now, and the challenger in its shadow.

    The aliases are read at most every `poll_s` seconds. A new version is loaded and has to pass its self-test before
    it takes over; until one does, the old one goes on, whatever is wrong with the alias or the version. At the start,
    if the champion is broken, the last one before it that is not. Raises `ModelError` when there is none at all, and
    never again after that.
    """

    def __init__(
        self, directory: str | Path, poll_s: float = POLL_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry, self._poll_s, self._clock = Registry(directory), poll_s, clock
        self._refused: dict[str, str | None] = {}
        self._said: dict[str, str] = {}
        self._looked = clock()
        self._champion = self._first()
        self._challenger = self._named(CHALLENGER, None)

    @property
    def champion(self) -> Predictor:
        """Who serves."""
        self._look()
        return self._champion

    @property
    def challenger(self) -> Predictor | None:
        """Who is scored and logged but not served, if any."""
        self._look()
        return self._challenger

    def _look(self) -> None:
        if self._clock() - self._looked >= self._poll_s:
            self._looked = self._clock()
            self._champion = self._named(CHAMPION, self._champion) or self._champion
            self._challenger = self._named(CHALLENGER, self._challenger)

    def _named(self, alias: str, current: Predictor | None) -> Predictor | None:
        """Whom the alias names, if anyone; the current one when that is it, or when the new one cannot serve."""
        version = None
        try:
            version = self._registry.alias(alias)
            if version is None:
                return None
            if current is not None and current.version == version:
                self._forget(alias)
                return current
            if self._refused.get(alias) == version:
                return current
            new = self._registry.checked(version)
        except Exception as error:  # who serves goes on serving, whatever it is
            self._refuse(alias, version, error)
            return current
        self._forget(alias)
        return new

    def _refuse(self, alias: str, version: str | None, error: Exception) -> None:
        """Say it once, not every few seconds; what may yet become readable is tried again."""
        if not isinstance(error, UnreadableError | OSError):
            self._refused[alias] = version
        sentence = str(error) if isinstance(error, ModelError) else f"{version}: {error!r}"
        if self._said.get(alias) != sentence:
            self._said[alias] = sentence
            _log.error("%s stays as it is: %s", alias, sentence)

    def _forget(self, alias: str) -> None:
        self._refused.pop(alias, None)
        self._said.pop(alias, None)

    def _first(self) -> Predictor:
        problems = []
        for version in dict.fromkeys(self._registry.champions()):
            try:
                return self._registry.checked(version)
            except (ModelError, OSError) as error:
                _log.error("the champion %s cannot serve: %s", version, error)
                problems.append(str(error))
        if not problems:
            self._registry.alias(CHAMPION)  # raises if what stands there is no version
            problems = [f"{self._registry.directory} has no champion: run `usher train` to make one."]
        raise ModelError(" ".join(problems))
