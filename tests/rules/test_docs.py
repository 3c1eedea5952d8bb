"""The example and the vectors of docs/rules.md keep their own promises."""

import re
from pathlib import Path

import pytest

from usher.rules import Bundle
from usher.rules.bucket import bucket, in_rollout
from usher.rules.prove import prove

ROOT = Path(__file__).parents[2]


def test_the_example_of_the_docs() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "rules.md").read_text(), re.S)
    files = {f"content/{path.name}": path.read_text() for path in (ROOT / "conf" / "content").glob("*.yaml")}
    findings = prove(Bundle.load(files | {"rules/a.yaml": example}))
    assert {finding.slot for finding in findings} == {"next_step", "feature_highlight"}, "no rules of theirs in it"


@pytest.mark.parametrize(
    ("seed", "user", "out", "in_"),
    [("seed", "a", 5.05, 5.06), ("seed", "b", 26.96, 26.97), ("r", "u14181", 0.07, 0.08), ("r", "u9147", 0.56, 0.57)],
)
def test_the_boundary_of_a_rollout(seed: str, user: str, out: float, in_: float) -> None:
    """As a force rule's `coverage` has it in the PyPI package growthbook 4.0.0, which was asked.

    0.07 and 0.56 are among the percentages that, divided by 100 as floats, exceed the user's place.
    """
    assert (in_rollout(seed, user, out), in_rollout(seed, user, in_)) == (False, True)


def test_the_vectors_of_the_docs() -> None:
    text = (ROOT / "docs" / "rules.md").read_text()
    vectors = re.findall(r'`\("(\w+)",\s+"(\w+)"\)`\s+(0\.\d+)', text)
    assert len(vectors) == 2
    assert all(bucket(seed, user) == float(place) for seed, user, place in vectors)
