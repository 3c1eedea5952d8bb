"""The example of docs/rules.md keeps its own promises."""

import re
from pathlib import Path

from usher.rules import Bundle
from usher.rules.prove import prove

ROOT = Path(__file__).parents[2]


def test_the_example_of_the_docs() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "rules.md").read_text(), re.S)
    files = {f"content/{path.name}": path.read_text() for path in (ROOT / "conf" / "content").glob("*.yaml")}
    findings = prove(Bundle.load(files | {"rules/a.yaml": example}))
    assert {finding.slot for finding in findings} == {"next_step", "feature_highlight"}, "no rules of theirs in it"
