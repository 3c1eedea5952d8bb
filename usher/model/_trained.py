"""A model, measured, as files."""

from dataclasses import dataclass
from typing import Any

from ._bundle import MODEL, Contract, version_of


@dataclass(frozen=True)
class Trained:
    """What training leaves; `Registry.add` keeps it."""

    files: dict[str, bytes]
    facts: dict[str, Any]
    contract: Contract

    @property
    def version(self) -> str:
        return version_of(self.files[MODEL])
