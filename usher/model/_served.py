"""The models that serve, looked up anew every few seconds."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from ._bundle import ModelError
from ._predictor import Predictor
from ._registry import CHALLENGER, CHAMPION, Registry

POLL_S = 2.0
_log = logging.getLogger(__name__)


class Served:
    """`Served("build/model").champion.predict(columns)`: the champion of now, and the challenger in its shadow.

    The aliases are read at most every `poll_s` seconds. A new version is loaded and has to pass its self-test before
    it takes over; until one does, the old one goes on. At the start, if the champion is broken, the last one before
    it that is not. Raises `ModelError` when there is none at all.
    """

    def __init__(
        self, directory: str | Path, poll_s: float = POLL_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry, self._poll_s, self._clock = Registry(directory), poll_s, clock
        self._refused: dict[str, str | None] = {}
        self._looked = clock()
        self._champion = self._first()
        self._challenger: Predictor | None = None
        self._follow_challenger()

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
            self._champion = self._newer(CHAMPION, self._champion) or self._champion
            self._follow_challenger()

    def _follow_challenger(self) -> None:
        wanted = self._registry.alias(CHALLENGER)
        self._challenger = self._newer(CHALLENGER, self._challenger) if wanted else None

    def _newer(self, alias: str, current: Predictor | None) -> Predictor | None:
        """What the alias stands for now; the current one if that is it, or if the new one is broken."""
        version = self._registry.alias(alias)
        if version is None or (current and current.version == version) or self._refused.get(alias) == version:
            return current
        self._refused[alias] = None
        try:
            return Predictor(self._registry.path(version))
        except ModelError as error:
            self._refused[alias] = version  # said once, not every few seconds
            _log.error("%s stays as it is: %s", alias, error)
            return current

    def _first(self) -> Predictor:
        versions = self._registry.champions() or [alias] if (alias := self._registry.alias(CHAMPION)) else []
        if not versions:
            raise ModelError(f"{self._registry.directory} has no champion: run `usher train` to make one.")
        problems = []
        for version in versions:
            try:
                return Predictor(self._registry.path(version))
            except ModelError as error:
                _log.error("the champion %s cannot serve: %s", version, error)
                problems.append(str(error))
        raise ModelError(" ".join(problems))
