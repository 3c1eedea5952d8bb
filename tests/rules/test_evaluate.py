"""The evaluator: equal to the reference on columns and on one user, nulls included; a total order."""

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usher.rules import Bundle, Rule
from usher.rules.bucket import bucket, in_group, in_rollout
from usher.rules.conditions import EVERYONE, Leaf
from usher.rules.model import Cap, Group, Holdout
from usher.rules.steps import step_order

sys.path.insert(0, str(Path(__file__).parent))
from reference import HOUR, MOMENTS, decide, holdouts, rule_sets, users

CONF = Path(__file__).parents[2] / "conf"


@settings(max_examples=300, deadline=None)
@given(rule_sets(), st.lists(users, min_size=1, max_size=8), st.sampled_from(MOMENTS), holdouts)
def test_columns_and_one_user_equal_the_reference(
    rules: list[Rule], people: list[dict[str, Any]], at: int, holdout: Holdout | None
) -> None:
    bundle = Bundle(rules, {}, holdout=holdout)
    columns = {name: [user[name] for user in people] for name in people[0]}
    batch = bundle.decide(columns, at)["next_step"].rule_id.tolist()
    assert batch == [decide(rules, user, at, holdout) for user in people]
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


@pytest.mark.parametrize("odd", ["often", {"2d": "many"}, {"99y": 1}, [[1]], [7], [["x", 1]], [[HOUR, "x"]], 1.5, [{}]])
def test_an_odd_profile_counts_as_nothing_and_stops_no_batch(odd: Any) -> None:
    rules = [Rule("r", "next_step", 1, Leaf("recent.Feature Used|analytics|24h", "ge", 1), "a")]
    people = [{"Feature Used|analytics": odd}, {"Feature Used|analytics": [[100, 1]]}]
    got = Bundle(rules, {}).decide({"recent": people}, 100 * HOUR)["next_step"]
    assert got.content_id.tolist() == [None, "a"]


def test_a_language_is_that_of_every_way_to_write_a_locale() -> None:
    rules = [Rule("r", "next_step", 1, Leaf("locale", "starts_with", "de-"), "a")]
    got = Bundle(rules, {}).decide({"locale": ["de-AT", "de_DE", "DE-at", "den", "de", None]})["next_step"]
    assert got.content_id.tolist() == ["a", "a", "a", None, None, None]


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


@pytest.mark.parametrize(
    ("group", "first"), [("namespace1", [False, False, False, False]), ("namespace2", [False, False, True, True])]
)
def test_growthbook_namespaces(group: str, first: list[bool]) -> None:
    """The cases of GrowthBook's SDKs: users 1 to 4, in the first 40 % or in the rest."""
    assert [in_group(group, user, 0, 40) for user in "1234"] == first
    assert [in_group(group, user, 40, 100) for user in "1234"] == [not one for one in first]


def test_a_cap_counts_what_was_shown_in_the_period() -> None:
    rules = [
        Rule("tour", "next_step", 1, EVERYONE, "a", cap=Cap(2, 24)),
        Rule("rest", "next_step", 0, EVERYONE, "b"),
    ]
    at = 100 * HOUR + 5
    lately = [
        {"Content Shown|a": [[99, 1], [76, 1]]},
        {"Content Shown|a": [[99, 1], [75, 9]]},
        {"Content Shown|b": [[99, 9]]},
        None,
    ]
    got = Bundle(rules, {}).decide({"recent": lately}, at)["next_step"].content_id.tolist()
    assert got == ["b", "a", "a", "a"], "hour 76 is within 24 h of hour 100, hour 75 is not; the unknown caps nothing"
    verdicts = Bundle(rules, {}).explain({"recent": lately[0]}, "next_step", at)
    assert [verdict.outcome for verdict in verdicts] == ["capped", "taken"]
    assert verdicts[0].detail == "shown 2 times in the last 1d, the cap is 2"


def test_held_out_users_get_defaults_only_and_groups_share_nobody() -> None:
    europe = Leaf("continent", "eq", "EU")
    rules = [
        Rule("one", "next_step", 2, europe, "a", group=Group("g", 0, 50)),
        Rule("two", "next_step", 1, europe, "b", group=Group("g", 50, 100)),
        Rule("rest", "next_step", 0, EVERYONE, "c"),
    ]
    bundle = Bundle(rules, {}, holdout=Holdout(20.0))
    people = [{"user_id": f"u{number}", "continent": "EU"} for number in range(2000)]
    seen = {person["user_id"]: bundle.decide_one(person)["next_step"].content_id for person in people}
    held = {name for name in seen if bucket("holdout", name) < 0.2}
    assert {name for name, content in seen.items() if content == "c"} == held
    assert 300 < len(held) < 500
    alone = [Bundle([rule], {}, holdout=Holdout(20.0)) for rule in rules[:2]]
    both = [all(one.decide_one(person)["next_step"].rule_id for one in alone) for person in people]
    assert not any(both)


@given(st.text(), st.floats(0, 100), st.floats(0, 100))
def test_raising_a_rollout_moves_nobody_out(user: str, one: float, two: float) -> None:
    assert in_rollout("r", user, max(one, two)) or not in_rollout("r", user, min(one, two))


def test_step_order_follows_preferences() -> None:
    got = step_order({"preferences": [None, {"reports": 0.9, "collaboration": 0.5}]})
    assert got[0] == ["create_profile", "connect_data", "invite_team", "first_dashboard", "set_goals"]
    assert got[1] == ["create_profile", "set_goals", "invite_team", "connect_data", "first_dashboard"]
