"""What the prover says."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "contradictory", "shadowed", "conflict", "gap", "duplicate", "redundant", "expired", "example", "undecided"
]
_WARNINGS = ("duplicate", "redundant", "expired")


@dataclass(frozen=True)
class Finding:
    """One verdict; `witness` is a user (with `at_ms`) who shows it, where there can be one.

    Of what is undecided, `undecided` is the kind that was asked for.
    """

    kind: Kind
    slot: str
    rules: tuple[str, ...]
    sentence: str
    witness: dict[str, Any] | None = None
    at_ms: int | None = None
    file: str = ""
    line: int = 0
    undecided: Kind | None = None
    severity: Literal["error", "warning"] = field(init=False)

    def __post_init__(self) -> None:
        kind = self.undecided or self.kind
        object.__setattr__(self, "severity", "warning" if kind in _WARNINGS else "error")

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.file else ""
        witness = "" if self.witness is None else f" Witness: {json.dumps(self.witness)}"
        return f"{where}{self.severity} {self.kind}: {self.sentence}{witness}"
