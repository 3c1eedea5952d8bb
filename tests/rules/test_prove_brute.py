"""The prover against brute force: on small domains it says exactly what trying every user says."""

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usher.rules import Bundle, Rule
from usher.rules.conditions import All, Condition, Leaf, Not
from usher.rules.conditions import Any as AnyOf
from usher.rules.fields import recent_of
from usher.rules.model import Cap
from usher.rules.prove import prove

sys.path.insert(0, str(Path(__file__).parent))
from reference import HOUR, decide, holds

HOURS = 100
TEXTS = ["".join(letters) for size in range(5) for letters in itertools.product("abz", repeat=size)]
LATELY = [
    {
        "Content Shown|a": [[HOURS, now], [HOURS - 30, before]],
        "Content Shown|b": [[HOURS, other_now], [HOURS - 30, other]],
    }
    for now, before, other_now, other in itertools.product(range(4), range(4), range(2), range(3))
]
DOMAINS: dict[str, list[Any]] = {
    "continent": ["EU", "AS", "NA", None],
    "country": ["DE", "FR", "JP", "CN", "US", "TR", None],
    "pages_viewed": [0, 1, 2, 3, None],
    "pages_viewed_30m": [0, 1, 2, 3, None],
    "preferences.analytics": [0.0, 0.25, 0.3, 0.5, 0.75, 1.0, None],
    "is_bot": [True, False, None],
    "consent": [{"ads": True}, {"ads": False}, {}],
    "locale": [*TEXTS, None],
    "recent": [*LATELY, None],
}
"""Values that behave as all others do, for every leaf below."""
HOME = {"DE": "EU", "FR": "EU", "JP": "AS", "CN": "AS", "US": "NA"}


def column_of(field: str) -> str:
    return "recent" if recent_of(field) else "consent" if field.startswith("consent.") else field


@st.composite
def leaf(draw: st.DrawFn, fields: tuple[str, ...]) -> Leaf:
    field = draw(st.sampled_from(fields))
    if draw(st.integers(0, 9)) == 0:
        return Leaf(field, "present", draw(st.booleans()))
    if field in ("is_bot", "consent.ads"):
        return Leaf(field, draw(st.sampled_from(["eq", "ne"])), draw(st.booleans()))
    if field in ("continent", "country"):
        op = draw(st.sampled_from(["eq", "ne"]))
        return Leaf(field, op, draw(st.sampled_from(DOMAINS[field][::2][:2])))
    if field == "locale":
        op = draw(st.sampled_from(["eq", "starts_with", "ends_with", "contains"]))
        return Leaf(field, op, draw(st.sampled_from(["ab", "a"] if op == "eq" else ["a", "b"])))
    values = [0.25, 0.5] if field.startswith("preferences") else [1, 2]
    op = draw(st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge", "between", "in"]))
    if op in ("between", "in"):
        return Leaf(field, op, tuple(values))
    return Leaf(field, op, draw(st.sampled_from(values)))


FIELDS = [
    ("continent", "country"),
    ("pages_viewed", "pages_viewed_30m", "is_bot"),
    ("locale", "consent.ads"),
    ("recent.Content Shown|a|24h", "recent.Content Shown|a|48h", "recent.Content Shown||48h"),
    ("preferences.analytics", "continent"),
]


@st.composite
def rule_sets(draw: st.DrawFn) -> list[Rule]:
    fields = draw(st.sampled_from(FIELDS))
    condition: st.SearchStrategy[Condition] = st.recursive(
        leaf(fields),
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple)),
            st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        ),
        max_leaves=4,
    )
    caps = [None, Cap(1, 24)] if "recent" in column_of(fields[0]) else [None]
    rules = []
    for number in range(draw(st.integers(1, 4))):
        rules.append(
            Rule(
                f"r{number}",
                "next_step",
                draw(st.integers(0, 2)),
                draw(st.one_of(condition, condition, condition, st.just(All(())))),
                draw(st.sampled_from(["a", "b"])),
                *draw(st.sampled_from([(None, None)] * 3 + [(HOURS * HOUR, None), (None, HOURS * HOUR)])),
                rollout=draw(st.sampled_from([100.0] * 4 + [50.0, 0.0])),
                cap=draw(st.sampled_from(caps)),
            )
        )
    return rules


def everyone(rules: list[Rule]) -> list[dict[str, Any]]:
    """Every user that the job can make, as far as the rules ask."""
    found = repr([rule.asks for rule in rules])
    asked = [name for name in DOMAINS if f"'{name}" in found]
    users = [dict(zip(asked, values, strict=True)) for values in itertools.product(*(DOMAINS[name] for name in asked))]
    return [user for user in users if _possible(user)]


def _possible(user: dict[str, Any]) -> bool:
    here, there = user.get("continent"), HOME.get(user.get("country") or "")
    part, whole = user.get("pages_viewed_30m"), user.get("pages_viewed")
    return (here is None or there is None or here == there) and (part is None or whole is None or part <= whole)


def verdicts(rules: list[Rule]) -> set[tuple[str, frozenset[str]]]:
    """By the definitions, with every user before and after the moment at which dates turn."""
    users, hour = everyone(rules), HOURS * HOUR
    moments = [(user, at_ms) for user in users for at_ms in (hour - 1, hour)]
    met: dict[str, Any] = {}
    takes: dict[str, Any] = {}
    for rule in rules:
        # the last hours are those before hour 100 whichever the moment: dates and periods are independent
        asks = np.array([holds(rule.asks, user, hour) for user, _ in moments])
        on = np.array([(rule.start_ms or 0) <= at_ms < (rule.end_ms or 2 * hour) for _, at_ms in moments])
        met[rule.id], takes[rule.id] = asks, asks & on
    nobody = np.zeros(len(moments), dtype=bool)
    alive = [rule for rule in rules if met[rule.id].any()]
    found = {("contradictory", frozenset([rule.id])) for rule in rules if rule not in alive}

    def taken_by(higher: list[Rule], capped: bool) -> Any:
        """By rules that are not rolled out in part; a cap holds back those who reached it, so it proves no shadow."""
        certain = [takes[rule.id] for rule in higher if rule.rollout == 100 and (capped or rule.cap is None)]
        return np.logical_or.reduce(certain) if certain else nobody

    for rule in alive:
        taken = taken_by([other for other in alive if other.priority > rule.priority], capped=False)
        if rule.rollout > 0 and not (takes[rule.id] & ~taken).any():
            found.add(("shadowed", frozenset([rule.id])))
    for one, two in itertools.combinations(alive, 2):
        taken = taken_by([other for other in alive if other.priority > one.priority], capped=True)
        both = takes[one.id] & takes[two.id] & ~taken
        if one.priority == two.priority and one.content != two.content and one.rollout * two.rollout and both.any():
            found.add(("conflict", frozenset([one.id, two.id])))
    if not taken_by(alive, capped=True).all():
        found.add(("gap", frozenset()))
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rule_sets())
def test_the_prover_says_what_brute_force_says(rules: list[Rule]) -> None:
    findings = [finding for finding in prove(Bundle(rules, {}, ["next_step"])) if finding.severity == "error"]
    said = {
        (finding.kind, frozenset(finding.rules[:1] if finding.kind == "shadowed" else finding.rules))
        for finding in findings
    }
    assert said == verdicts(rules)
    for finding in findings:
        if finding.kind in ("conflict", "gap"):
            assert finding.witness is not None and finding.at_ms is not None
            for name in finding.rules:
                rule = next(rule for rule in rules if rule.id == name)
                assert decide([rule], finding.witness, finding.at_ms) == name
            higher = [
                rule for rule in rules if finding.kind == "gap" or rule.priority > _priority(rules, finding.rules)
            ]
            assert decide(higher, finding.witness, finding.at_ms) is None


def _priority(rules: list[Rule], names: tuple[str, ...]) -> int:
    return next(rule.priority for rule in rules if rule.id in names)
