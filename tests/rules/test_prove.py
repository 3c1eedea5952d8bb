"""The prover: each kind of finding with its witness, no miss against users at random."""

import itertools
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usher.features import DEVICE_TYPES
from usher.rules import Bundle, Rule
from usher.rules.bucket import bucket, fnv1a32, in_group
from usher.rules.conditions import EVERYONE, All, Condition, Leaf, Not
from usher.rules.conditions import Any as AnyOf
from usher.rules.findings import Finding
from usher.rules.ids import group_gate, of_decimals, passes, rollout_gate
from usher.rules.model import Example, Group, Holdout
from usher.rules.prove import prove

sys.path.insert(0, str(Path(__file__).parent))
from reference import MOMENTS, decide, holdouts, rule_sets, users

NOVEMBER = 1_795_000_000_000
ANALYTICS = "feature_counts.analytics"
EU, AS = Leaf("continent", "eq", "EU"), Leaf("continent", "eq", "AS")
MOBILE = Leaf("device_type", "eq", "mobile")


def rule(name: str, when: Condition, priority: int = 1, content: str = "a", **more: Any) -> Rule:
    return Rule(name, "next_step", priority, when, content, **more)


def found(*rules: Rule) -> list[Finding]:
    return [finding for finding in prove(Bundle(rules, {}), now_ms=0) if finding.slot == "next_step"]


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
        All((Leaf("locale", "eq", "de_AT"), Not(Leaf("locale", "in", ("DE-at", "fr"))))),
        All((Leaf("pages_viewed_30m", "ge", 5), Leaf("events_total", "le", 3))),
        All((Leaf("feature_counts.analytics", "ge", 5), Leaf("events_total", "le", 3))),
        All((Leaf("pages_viewed", "ge", 3), Leaf("features_used", "ge", 3), Leaf("events_total", "le", 5))),
        All((Leaf(ANALYTICS, "ge", 3), Leaf("feature_counts.reports", "ge", 3), Leaf("features_used", "le", 5))),
        All((Leaf("pages_viewed_30m", "ge", 3), Leaf("steps_completed_30m", "ge", 3), Leaf("events_30m", "le", 5))),
        All((Leaf(ANALYTICS, "eq", 0), Leaf("recent.Feature Used|analytics|168h", "ge", 1))),
        All((Leaf("content_shown", "le", 1), Leaf("recent.Content Shown|a|24h", "ge", 2))),
        All((Leaf("device_type", "present", True), *(Leaf("device_type", "ne", one) for one in DEVICE_TYPES))),
    ],
)
def test_contradictory(when: Condition) -> None:
    assert "contradictory" in kinds(rule("r", when), DEFAULT)


def test_what_is_kept_of_the_last_hours_may_be_less_than_what_is_counted() -> None:
    cut_short = All((Leaf("features_used_30m", "ge", 3), Leaf("recent.Feature Used||1h", "eq", 0)))
    assert kinds(rule("r", cut_short), DEFAULT) == []
    used = rule("used", Leaf("recent.Feature Used|analytics|168h", "ge", 1), 1, "b")
    assert kinds(rule("never", Leaf(ANALYTICS, "eq", 0)), used, DEFAULT) == [], "lately is also ever"


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
    assert kinds(rule("r", AnyOf((EU, Not(EU))))) == ["redundant"], "a default need not be written as one, but should"
    assert kinds(rule("r", EU), rule("s", Not(Not(EU))), DEFAULT) == ["duplicate"]
    narrow = All((Leaf("sessions_total", "ge", 2), Leaf("sessions_total", "ge", 1)))
    assert kinds(rule("r", narrow), DEFAULT) == ["redundant"]
    assert kinds(rule("r", EU, examples=(Example({"continent": "AS"}, "a"),)), DEFAULT) == ["example"]


def test_values_outside_a_closed_set_are_unknown_to_all() -> None:
    known = rule("known", Leaf("device_type", "in", DEVICE_TYPES))
    rules = [known, rule("unknown", Leaf("device_type", "present", False))]
    assert kinds(*rules) == []
    assert Bundle(rules, {}).decide_one({"device_type": "tv"})["next_step"].rule_id == "unknown"
    assert Bundle(rules, {}).decide({"device_type": ["tv"]})["next_step"].rule_id.tolist() == ["unknown"]


def test_what_is_over_is_a_warning_and_conflicts_with_nothing() -> None:
    one, two = rule("one", EU, 1, "a", end_ms=10), rule("two", EU, 1, "b")
    bundle = Bundle([one, two, DEFAULT], {}, ["next_step"])
    assert [finding.kind for finding in prove(bundle, now_ms=9)] == ["conflict"]
    (expired,) = prove(bundle, now_ms=10)
    assert (expired.kind, expired.severity) == ("expired", "warning")
    assert expired.sentence.startswith("Rule 'one': it ended at 1970-01-01 00:00 UTC")


def test_small_rollouts_have_an_id_in_common() -> None:
    group = Group("g", 0, 1)
    one, two = rule("one", EU, 1, "a", rollout=1, group=group), rule("two", MOBILE, 1, "b", rollout=0.5)
    bundle = Bundle([one, two, DEFAULT], {}, ["next_step"], Holdout(50))
    (conflict,) = prove(bundle, now_ms=NOVEMBER)
    assert (conflict.kind, conflict.at_ms) == ("conflict", NOVEMBER), "the first moment that will do"
    assert conflict.witness is not None and conflict.at_ms is not None
    assert all(bundle.takes(item, conflict.witness, conflict.at_ms) for item in (one, two))


def test_one_seed_is_one_place() -> None:
    """All whom a rollout of 5 % lets in are held out by a holdout of that seed."""
    one, two = rule("x", EU, 1, "a", rollout=5), rule("two", EU, 1, "b")
    bundle = Bundle([one, two, DEFAULT], {}, ["next_step"], Holdout(5, "x"))
    assert [finding.kind for finding in prove(bundle)] == []
    assert [finding.kind for finding in prove(Bundle([one, two, DEFAULT], {}, ["next_step"], Holdout(4, "x")))] == [
        "conflict"
    ]


@given(st.text(max_size=3), st.floats(0, 100), st.lists(st.integers(0, 999), min_size=1, max_size=30, unique=True))
def test_many_ids_are_hashed_as_one_is(seed: str, percent: float, numbers: list[int]) -> None:
    for many in (np.array(sorted(numbers)), np.arange(1000)):
        names = [f"user-3-{number:03d}" for number in many]
        inside = passes(rollout_gate(seed, percent), "user-3-", 1000, many).tolist()
        assert inside == [bucket(seed, name) < percent / 100 for name in names]
        low, high = round(percent, 1) / 2, round(percent, 1)
        inside = passes(group_gate(seed, low, high), "user-3-", 1000, many).tolist()
        assert inside == [in_group(seed, name, low, high) for name in names]


def test_decimals_of_every_length_are_hashed() -> None:
    numbers = [0, 9, 10, 99_999, 100_000, 100_001, 999_999, 10**9, 2**32 - 1]
    assert of_decimals(np.array(numbers, dtype=np.uint32)).tolist() == [fnv1a32(str(number)) for number in numbers]


def test_many_parts_of_a_text_are_soon_told_apart() -> None:
    parts = [Leaf("city", "contains", part) for part in ("abcab", "bcabc", "cabca", "xyzxy", "zxyzx")]
    other = rule("other", All((Not(Leaf("city", "contains", "abc")), Leaf("city", "contains", "cab"))), 1, "b")
    begun = time.process_time()
    assert kinds(rule("r", All(tuple(parts))), other, DEFAULT) == []
    assert time.process_time() - begun < 2, "35 seconds, with z3's strings"


def test_warnings_do_not_take_the_time_of_errors() -> None:
    """The gap of the last slot is found before any warning about the first."""
    narrow = All((Leaf("sessions_total", "ge", 2), Leaf("sessions_total", "ge", 1)))
    rules = [rule("r", narrow), DEFAULT, Rule("s", "welcome_message", 1, EU, "a")]
    assert [finding.kind for finding in prove(Bundle(rules, {}, ["next_step", "welcome_message"]))] == [
        "gap",
        "redundant",
    ]


def test_no_time_is_said_as_undecided() -> None:
    findings = prove(Bundle([rule("r", EU), DEFAULT], {}), total_s=0.0)
    assert {finding.kind for finding in findings if finding.slot == "next_step"} == {"undecided"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rule_sets(most=4), users, holdouts, st.sampled_from(MOMENTS))
def test_nothing_that_a_user_shows_is_missed(
    rules: list[Rule], user: dict[str, Any], holdout: Holdout | None, at: int
) -> None:
    """With rollouts, groups and a holdout, by the ids of users; brute force cannot try all of those."""
    findings = prove(Bundle(rules, {}, ["next_step"], holdout), now_ms=0)
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
