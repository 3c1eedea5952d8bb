"""The prover against brute force: on small domains it says exactly what trying every user says."""

import itertools
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import z3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usher.rules import Bundle, Rule
from usher.rules.conditions import All, Condition, Leaf, Not
from usher.rules.conditions import Any as AnyOf
from usher.rules.encode import Encoder
from usher.rules.fields import recent_of
from usher.rules.laws import possible
from usher.rules.model import Cap
from usher.rules.prove import prove

sys.path.insert(0, str(Path(__file__).parent))
from reference import HOUR, decide, holds, value

HOURS = 100
TEXTS = ["".join(letters) for size in range(5) for letters in itertools.product("abz", repeat=size)]
LATELY = [
    {
        "Content Shown|a": [[HOURS, now], [HOURS - 30, before]],
        "Content Shown|b": [[HOURS, other_now], [HOURS - 30, other]],
    }
    for now, before, other_now, other in itertools.product(range(4), range(4), range(2), range(3))
]
USED_LATELY = [
    {f"Feature Used|{name}": [[HOURS, n]] for name, n in zip(("analytics", "reports", "dashboards"), uses, strict=True)}
    for uses in itertools.product(range(4), repeat=3)
]
DOMAINS: dict[str, list[Any]] = {
    "continent": ["EU", "AS", "NA", None],
    "country": ["DE", "FR", "JP", "CN", "US", "TR", None],
    "device_type": ["desktop", "mobile", "tablet", "other", "tv", None],
    "preferences.analytics": [0.0, 0.25, 0.3, 0.5, 0.75, 1.0, None],
    "is_bot": [True, False, None],
    "consent": [{"ads": True}, {"ads": False}, {}],
    "locale": [*TEXTS, None],
}
"""Values that behave as all others do, for every leaf below."""
FEATURE = ("features_used", "events_total")
DONE: dict[str, tuple[str, ...]] = {
    "page": ("pages_viewed", "events_total"),
    "page now": ("pages_viewed_30m", "pages_viewed", "events_30m", "events_total"),
    "Feature Used|analytics": ("feature_counts.analytics", *FEATURE),
    "Feature Used|reports": ("feature_counts.reports", *FEATURE),
    "Feature Used|dashboards": FEATURE,
    "Feature Used|dashboards now": ("features_used_30m", "events_30m", *FEATURE),
    "Content Shown|a": ("content_shown", "events_total"),
    "Content Shown|b": ("content_shown", "events_total"),
    "else": ("events_total",),
    "else now": ("events_30m", "events_total"),
}
"""What a user may do, in the last 30 minutes or before, and the counters that count it (`sql/04_tiles.sql`)."""
COUNTED = sorted({name for counters in DONE.values() for name in counters})
HOME = {"DE": "EU", "FR": "EU", "JP": "AS", "CN": "AS", "US": "NA"}


@st.composite
def leaf(draw: st.DrawFn, fields: tuple[str, ...]) -> Leaf:
    field = draw(st.sampled_from(fields))
    if draw(st.integers(0, 9)) == 0:
        return Leaf(field, "present", draw(st.booleans()))
    if field in ("is_bot", "consent.ads"):
        return Leaf(field, draw(st.sampled_from(["eq", "ne"])), draw(st.booleans()))
    if field in ("continent", "country", "device_type"):
        op = draw(st.sampled_from(["eq", "ne", "in"]))
        if op == "in":
            return Leaf(field, op, tuple(value for value in DOMAINS[field] if value not in ("tv", None)))
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
    ("device_type", "is_bot"),
    ("pages_viewed", "pages_viewed_30m", "is_bot"),
    ("pages_viewed_30m", "events_total"),
    ("feature_counts.analytics", "feature_counts.reports", "features_used"),
    ("feature_counts.analytics", "pages_viewed", "events_total"),
    ("pages_viewed_30m", "features_used_30m", "events_30m"),
    ("pages_viewed", "pages_viewed_30m", "events_30m", "events_total"),
    ("locale", "consent.ads"),
    ("recent.Content Shown|a|24h", "recent.Content Shown|a|48h", "recent.Content Shown||48h"),
    ("recent.Content Shown|a|24h", "recent.Content Shown||48h", "content_shown"),
    ("recent.Feature Used|analytics|24h", "feature_counts.analytics", "features_used"),
    ("recent.Feature Used||24h", "feature_counts.analytics", "feature_counts.reports"),
    ("preferences.analytics", "continent"),
]
RECENT = sorted({name for fields in FIELDS for name in fields if recent_of(name)} | {"recent.Content Shown|b|24h"})


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
    caps = [None, Cap(1, 24)] if "Content Shown" in fields[0] else [None]
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
    plain = [dict(zip(asked, values, strict=True)) for values in itertools.product(*(DOMAINS[name] for name in asked))]
    counted = histories(tuple(sorted(name for name in (*COUNTED, *RECENT) if f"'{name}'" in found)))
    return [user | counts for user in plain if _possible(user) for counts in counted]


def _possible(user: dict[str, Any]) -> bool:
    here, there = user.get("continent"), HOME.get(user.get("country") or "")
    return here is None or there is None or here == there


@cache
def histories(asked: tuple[str, ...]) -> list[dict[str, Any]]:
    """What users may have done as fields of a profile, each known or not; one of those whom no leaf tells apart."""
    told: dict[tuple[Any, ...], dict[str, Any]] = {}
    lately = [name for name in asked if recent_of(name)]
    recents: list[Any] = [{}] if not lately else LATELY if "Content Shown" in lately[0] else USED_LATELY
    kinds = {tuple(name for name in counters if name in asked) for counters in DONE.values()} - {()}
    for recent, times in itertools.product(recents, itertools.product(range(4), repeat=len(kinds))):
        counts = dict.fromkeys((name for name in asked if name not in lately), 0)
        done = [*zip(kinds, times, strict=True), *((DONE[key], n) for key, pairs in recent.items() for _, n in pairs)]
        for counters, n in done:  # what is remembered of the last hours, and what is not, or was before
            counts |= {name: counts[name] + n for name in counters if name in counts}
        user: dict[str, Any] = {"recent": recent} if lately else {}
        for name, n in counts.items():
            prefix, _, entry = name.partition(".")
            user |= {prefix: user.get(prefix, {}) | {entry: n}} if entry else {name: n}
        for size in range(len(user) + 1):
            for unknown in itertools.combinations(user, size):
                one = user | dict.fromkeys(unknown)
                values = (value(one, name, HOURS * HOUR) for name in asked)
                told.setdefault(tuple(None if n is None else min(n, 3) for n in values), one)
    return list(told.values())


@pytest.mark.parametrize("asked", [fields for fields in FIELDS if {*fields} & {*COUNTED}], ids=" ".join)
def test_every_combination_of_counts_is_possible_or_not(asked: tuple[str, ...]) -> None:
    """0, 1, 2, more and unknown in each counter, and what a guess takes to be possible is."""
    counters = tuple(sorted(name for name in asked if name != "is_bot"))
    people = [tuple(value(user, name, HOURS * HOUR) for name in counters) for user in histories(counters)]
    there = {tuple(None if n is None else min(n, 3) for n in person) for person in people}
    for counts in itertools.product([0, 1, 2, 3, None], repeat=len(counters)):
        leaves = [
            Leaf(name, "present", False) if n is None else Leaf(name, "ge" if n == 3 else "eq", n)
            for name, n in zip(counters, counts, strict=True)
        ]
        encoder, solver = Encoder(), z3.Solver()
        asks = encoder.condition(All(tuple(leaves)))
        solver.add(asks, *encoder.always())
        assert (solver.check() == z3.sat) == (counts in there), leaves
        known = {name: n for name, n in zip(counters, counts, strict=True) if n is not None}
        halves = {name.partition(".")[0] for name in counters if name not in known and "." in name}
        halves |= (
            {"recent"} if "||" in " ".join(counters) else set()
        )  # there `possible` adds up what this test does not
        if not halves & {name.partition(".")[0] for name in known}:  # a map is known as a whole
            assert counts in there or not possible(known), known


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
    findings = [finding for finding in prove(Bundle(rules, {}, ["next_step"]), now_ms=0) if finding.severity == "error"]
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
