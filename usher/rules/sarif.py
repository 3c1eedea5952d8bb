"""What is wrong with rules as SARIF 2.1.0 (OASIS), which code review tools show beside the lines."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from usher.rules.findings import Finding
from usher.rules.problems import Problem
from usher.settings import ROOT

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
_KINDS = {
    "not-loaded": "A file of rules or contents cannot be loaded.",
    "contradictory": "No user meets the condition of a rule.",
    "shadowed": "Every user of a rule is taken by rules of higher priority.",
    "conflict": "Two rules of one priority show different contents to a user whom no higher rule takes.",
    "gap": "A slot has a user whom no rule takes.",
    "duplicate": "Two rules show the same content to the same users.",
    "redundant": "A part of a condition can be dropped without effect.",
    "expired": "The dates of a rule are over.",
    "example": "A rule's own example sees another content.",
    "undecided": "The prover did not come to an end.",
}


def sarif(problems: Iterable[Problem], findings: Iterable[Finding], directory: Path | None = None) -> dict[str, Any]:
    """One run with a result for each problem and each finding; a finding's witness is in its message.

    `directory` holds the files; where it is in the repository, they are named from its root, as reviews name them.
    """
    base = Path() if directory is None else directory.resolve()
    base = base.relative_to(ROOT) if base.is_relative_to(ROOT) else base
    results = [
        _result("not-loaded", "error", str(one.sentence), base / one.file, one.line, one.remedy) for one in problems
    ]
    for one in findings:
        witness = "" if one.witness is None else f"Witness: {json.dumps(one.witness)} at {one.at_ms} ms."
        results.append(_result(one.kind, one.severity, one.sentence, base / (one.file or "rules"), one.line, witness))
    rules = [{"id": name, "shortDescription": {"text": text}} for name, text in _KINDS.items()]
    driver = {"name": "usher rules check", "rules": rules}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _result(kind: str, level: str, sentence: str, file: Path, line: int, more: str) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": quote(file.as_posix())}, "region": {"startLine": max(line, 1)}}
    return {
        "ruleId": kind,
        "level": level,
        "message": {"text": f"{sentence} {more}".strip()},
        "locations": [{"physicalLocation": place}],
    }
