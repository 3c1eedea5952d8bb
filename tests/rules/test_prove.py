"""The prover: each kind of finding with its witness, no miss against users at random."""

import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usher.rules import Bundle, Rule
from usher.rules.conditions import EVERYONE, All, Condition, Leaf, Not
from usher.rules.conditions import Any as AnyOf
from usher.rules.findings import Finding
from usher.rules.model import Example, Holdout
from usher.rules.prove import prove

sys.path.insert(0, str(Path(__file__).parent))
from reference import MOMENTS, decide, holdouts, rule_sets, users

EU, AS = Leaf("continent", "eq", "EU"), Leaf("continent", "eq", "AS")
MOBILE = Leaf("device_type", "eq", "mobile")


def rule(name: str, when: Condition, priority: int = 1, content: str = "a", **more: Any) -> Rule:
    return Rule(name, "next_step", priority, when, content, **more)


def found(*rules: Rule) -> list[Finding]:
    return [finding for finding in prove(Bundle(rules, {})) if finding.slot == "next_step"]


def kinds(*rules: Rule) -> list[str]:
    return [finding.kind for finding in found(*rules)]


DEFAULT = rule("default", EVERYONE, 0, "z")


@pytest.mark.parametrize(
    "when",
    [
        All((EU, AS)),
        All((Leaf("sessions_total", "gt", 1), Leaf("sessions_total", "lt", 2))),
        All((Leaf("city", "starts_with", "ab"), Leaf("city", "starts_with", "ac"))),
        All((EU, Leaf("continent", "present", False))),
        All((Leaf("locale", "eq", "de"), Leaf("locale", "contains", "\\u{64}"))),
    ],
)
def test_contradictory(when: Condition) -> None:
    assert "contradictory" in kinds(rule("r", when), DEFAULT)


def test_null_is_known_to_the_prover() -> None:
    neither = All((Not(Leaf("sessions_total", "ge", 1)), Not(Leaf("sessions_total", "lt", 1))))
    assert kinds(rule("r", neither), DEFAULT) == [], "met by a user whose sessions are unknown"


def test_shadowed_names_the_rules_that_take_them() -> None:
    low = rule("low", AnyOf((EU, AS)), 1)
    higher = [rule("eu", EU, 3), rule("as", AS, 2), rule("mobile", MOBILE, 4)]
    assert [finding.rules for finding in found(low, *higher, DEFAULT)] == [("low", "eu", "as")]
    part = rule("eu", EU, 3, rollout=99.0)
    assert kinds(low, part, higher[1], DEFAULT) == [], "a rule rolled out in part takes nobody for sure"
    dated = rule("eu", EU, 3, start_ms=10)
    assert kinds(low, dated, higher[1], DEFAULT) == [], "nor does one out of its dates"


def test_conflict_has_a_witness_and_a_higher_rule_settles_it() -> None:
    one, two = rule("one", EU, 1, "a", rollout=30.0), rule("two", MOBILE, 1, "b", rollout=30.0)
    (conflict,) = found(one, two, DEFAULT)
    assert conflict.kind == "conflict"
    assert conflict.witness is not None
    bundle = Bundle([one, two], {})
    assert all(bundle.takes(item, conflict.witness, conflict.at_ms or 0) for item in (one, two))
    assert kinds(one, two, rule("both", All((EU, MOBILE)), 2), DEFAULT) == []


def test_gap_duplicate_redundant_and_example() -> None:
    assert kinds(rule("r", EU)) == ["gap"]
    assert kinds(rule("r", AnyOf((EU, Not(EU))))) == [], "a default need not be written as one"
    assert kinds(rule("r", EU), rule("s", Not(Not(EU))), DEFAULT) == ["duplicate"]
    narrow = All((Leaf("sessions_total", "ge", 2), Leaf("sessions_total", "ge", 1)))
    assert kinds(rule("r", narrow), DEFAULT) == ["redundant"]
    assert kinds(rule("r", EU, examples=(Example({"continent": "AS"}, "a"),)), DEFAULT) == ["example"]


def test_no_time_is_said_as_undecided() -> None:
    findings = prove(Bundle([rule("r", EU), DEFAULT], {}), total_s=0.0)
    assert {finding.kind for finding in findings if finding.slot == "next_step"} == {"undecided"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rule_sets(most=4), users, holdouts, st.sampled_from(MOMENTS))
def test_nothing_that_a_user_shows_is_missed(
    rules: list[Rule], user: dict[str, Any], holdout: Holdout | None, at: int
) -> None:
    """With rollouts, groups and a holdout, by the ids of users; brute force cannot try all of those."""
    findings = prove(Bundle(rules, {}, ["next_step"], holdout))
    said = {(finding.kind, frozenset(finding.rules)) for finding in findings}
    named = {rule.id: rule for rule in rules}

    def taken(one: Rule, person: dict[str, Any], at_ms: int) -> bool:
        return decide([one], person, at_ms, holdout) == one.id

    for finding in findings:
        if finding.kind in ("conflict", "gap"):
            assert finding.witness is not None and finding.at_ms is not None
            top = min((named[name].priority for name in finding.rules), default=-1)
            for one in rules:
                if one.id in finding.rules or one.priority > top:
                    assert taken(one, finding.witness, finding.at_ms) == (one.id in finding.rules)
    takers = [one for one in rules if taken(one, user, at)]
    for one in takers:
        assert ("contradictory", frozenset([one.id])) not in said
    if not takers:
        assert ("gap", frozenset()) in said or "undecided" in {finding.kind for finding in findings}
    best = [one for one in takers if one.priority == max(taker.priority for taker in takers)]
    for one, two in itertools.combinations(best, 2):
        pair = frozenset([one.id, two.id])
        assert one.content == two.content or {("conflict", pair), ("undecided", pair)} & said


def test_300_healthy_rules_have_gaps_only() -> None:
    rules = []
    for number in range(100):
        for slot in ("welcome_message", "next_step", "feature_highlight"):
            when = All((Leaf("sessions_total", "eq", number), Leaf("locale", "starts_with", f"d{number}"), MOBILE))
            rules.append(Rule(f"{slot}_{number}", slot, 1 + number % 7, when, "a" if number % 2 else "b"))
    assert {finding.kind for finding in prove(Bundle(rules, {}))} == {"gap"}
