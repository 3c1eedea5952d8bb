"""The evaluator: equal to the reference on columns and on one user, nulls included; a total order; fast enough."""

import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usher.rules import Bundle, Rule
from usher.rules.bucket import bucket, in_rollout
from usher.rules.conditions import EVERYONE, Leaf
from usher.rules.steps import step_order

sys.path.insert(0, str(Path(__file__).parent))
from reference import decide, rule_sets, users

CONF = Path(__file__).parents[2] / "conf"


@settings(max_examples=300, deadline=None)
@given(rule_sets(), st.lists(users, min_size=1, max_size=8), st.sampled_from([0, 10, 15, 20]))
def test_columns_and_one_user_equal_the_reference(rules: list[Rule], people: list[dict[str, Any]], at: int) -> None:
    bundle = Bundle(rules, {})
    columns = {name: [user[name] for user in people] for name in people[0]}
    batch = bundle.decide(columns, at)["next_step"].rule_id.tolist()
    assert batch == [decide(rules, user, at) for user in people]
    assert batch == [bundle.decide_one(user, at)["next_step"].rule_id for user in people]
    for user, winner in zip(people, batch, strict=True):
        taken = [verdict.rule_id for verdict in bundle.explain(user, "next_step", at) if verdict.outcome == "taken"]
        assert taken == ([winner] if winner else [])


@settings(max_examples=100, deadline=None)
@given(rule_sets(), users, st.randoms())
def test_nothing_depends_on_the_order_of_rules(rules: list[Rule], user: dict[str, Any], rng: random.Random) -> None:
    shuffled = rng.sample(rules, len(rules))
    one, two = Bundle(rules, {}), Bundle(shuffled, {})
    assert one.version == two.version
    assert one.decide_one(user, 0) == two.decide_one(user, 0)
    keys = [rule.order for rule in rules]
    assert len(set(keys)) == len(keys), "the order is total"


def test_null_is_false_even_for_ne_and_maps_are_opened() -> None:
    rules = [Rule("r", "next_step", 1, Leaf("feature_counts.analytics", "ne", 1), "a")]
    maps: list[Any] = [{"analytics": 2}, {"analytics": 1}, {}, None, [("analytics", 3)]]
    got = Bundle(rules, {}).decide({"feature_counts": maps})["next_step"]
    assert got.content_id.tolist() == ["a", None, "a", None, "a"], "{} is 0 uses; None is unknown"
    arrays = {"feature_counts.analytics": np.array([2.0, 1.0, np.nan])}
    assert Bundle(rules, {}).decide(arrays)["next_step"].content_id.tolist() == ["a", None, None]


def test_dates_per_row_and_reasons() -> None:
    rules = [
        Rule("part", "next_step", 2, EVERYONE, "a", start_ms=10, end_ms=20, rollout=50),
        Rule("rest", "next_step", 1, EVERYONE, "b"),
    ]
    inside = next(name for name in map(str, range(99)) if in_rollout("part", name, 50))
    at = np.array([9, 10, 20], dtype="datetime64[ms]")
    got = Bundle(rules, {}).decide({"user_id": [inside] * 3}, at)["next_step"]
    assert got.content_id.tolist() == ["b", "a", "b"]
    assert got.reason.tolist() == ["DEFAULT", "SPLIT", "DEFAULT"]


@pytest.mark.parametrize(
    ("seed", "value", "expected"),
    [
        ("seed", "a", 0.0505),
        ("seed", "b", 0.2696),
        ("foo", "ab", 0.2575),
        ("foo", "def", 0.2019),
        ("89123klj", "8952klfjas09ujkasdf", 0.124),
        ("90850943850283058242805", "123", 0.7516),
        ("()**(%$##$%#$#", '___)((*":&', 0.0128),
    ],
)
def test_growthbook_vectors(seed: str, value: str, expected: float) -> None:
    assert bucket(seed, value) == expected


@given(st.text(), st.floats(0, 100), st.floats(0, 100))
def test_raising_a_rollout_moves_nobody_out(user: str, one: float, two: float) -> None:
    assert in_rollout("r", user, max(one, two)) or not in_rollout("r", user, min(one, two))


def test_step_order_follows_preferences() -> None:
    got = step_order({"preferences": [None, {"reports": 0.9, "collaboration": 0.5}]})
    assert got[0] == ["create_profile", "connect_data", "invite_team", "first_dashboard", "set_goals"]
    assert got[1] == ["create_profile", "set_goals", "invite_team", "connect_data", "first_dashboard"]


def test_a_batch_of_1000_takes_about_10_microseconds_a_row() -> None:
    bundle, rng = Bundle.load(CONF), random.Random(1)
    columns: dict[str, Any] = {
        "continent": [rng.choice(["EU", "NA", None]) for _ in range(1000)],
        "device_type": [rng.choice(["mobile", "desktop"]) for _ in range(1000)],
        "feature_counts": [{"analytics": row % 4} for row in range(1000)],
        "steps_completed": np.arange(1000) % 5,
    }
    times = []
    for _ in range(10):
        start = time.perf_counter()
        bundle.decide(columns)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.02, "10 us a row, with as much again for a busy machine"
