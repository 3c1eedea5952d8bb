"""Explain: every gate of every rule, how far off a user is, what of a user no rule can read, and the stored user."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from usher.rules import Bundle, Rule
from usher.rules.bucket import in_rollout
from usher.rules.cli import app
from usher.rules.columns import User
from usher.rules.conditions import EVERYONE, All, Leaf, Not
from usher.rules.conditions import Any as AnyOf
from usher.rules.model import Cap, Group, Holdout
from usher.rules.publish import publish
from usher.rules.topic import Login
from usher.rules.why import reasons, unread
from usher.stack import Stack
from usher.stack.indices import create_indices

sys.path.insert(0, str(Path(__file__).parent))
from reference import MOMENTS, holdouts, rule_sets, users

CONF = Path(__file__).parents[2] / "conf"
DAY_MS = 86_400_000


@settings(max_examples=200, deadline=None)
@given(rule_sets(), users, st.sampled_from(MOMENTS), holdouts)
def test_a_rule_takes_exactly_those_for_whom_every_gate_is_open(
    rules: list[Rule], user: dict[str, Any], at: int, holdout: Holdout | None
) -> None:
    bundle = Bundle(rules, {}, holdout=holdout)
    for verdict in bundle.explain(user, "next_step", at):
        assert all(gate.open for gate in verdict.gates) == bundle.takes(bundle.rules[verdict.rule_id], user, at)
        assert (verdict.outcome in ("taken", "outranked")) == all(gate.open for gate in verdict.gates)


@pytest.mark.parametrize(
    ("leaf", "wanted", "says"),
    [
        (Leaf("sessions_total", "gt", 1), True, "is 1, must grow by at least 1"),
        (Leaf("sessions_total", "ge", 3), True, "is 1, must grow by at least 2"),
        (Leaf("sessions_total", "lt", 1), True, "is 1, must fall by at least 1"),
        (Leaf("sessions_total", "le", 0), True, "is 1, must fall by at least 1"),
        (Leaf("sessions_total", "eq", 4), True, "is 1, must grow by 3"),
        (Leaf("sessions_total", "ne", 1), True, "is 1"),
        (Leaf("sessions_total", "in", (7, 8)), True, "is 1, must grow by 6"),
        (Leaf("sessions_total", "between", (3, 5)), True, "is 1, must grow by at least 2"),
        (Leaf("sessions_total", "ge", 1), False, "is 1, must fall by at least 1"),
        (Leaf("sessions_total", "between", (0, 9)), False, "is 1, must fall by at least 2"),
        (Leaf("sessions_total", "ne", 3), False, "is 1, must grow by 2"),
        (Leaf("sessions_total", "eq", 1), False, "is 1"),
        (Leaf("active_ms", "ge", 12345679), True, "is 12345678, must grow by at least 1"),
        (Leaf("preferences.reports", "ge", 0.6), True, "is 0.4, must grow by at least 0.2"),
        (Leaf("preferences.reports", "gt", 0.4), True, "is 0.4, must grow by more than 0"),
        (Leaf("preferences.reports", "lt", 0.1), True, "is 0.4, must fall by more than 0.3"),
        (Leaf("preferences.reports", "between", (0.1, 0.3)), True, "is 0.4, must fall by at least 0.1"),
        (Leaf("engagement_score", "ge", 1), True, "unknown"),
        (Leaf("consent.ads", "eq", True), True, "is False"),
        (Leaf("city", "starts_with", "B"), True, "is Ulm"),
    ],
)
def test_how_far_off(leaf: Leaf, wanted: bool, says: str) -> None:
    fields = {"sessions_total": 1, "active_ms": 12345678, "preferences": {"reports": 0.4}}
    user = User({**fields, "consent": {"ads": False}, "city": "Ulm"}, 0)
    assert reasons(leaf, user, wanted) == [f"{'' if wanted else 'not '}{leaf}: {says}"]


def test_empty_conditions_have_a_reason() -> None:
    assert reasons(EVERYONE, User({}, 0), True) == [] == reasons(Not(AnyOf(())), User({}, 0), True)
    assert reasons(AnyOf(()), User({}, 0), True) == ["nobody"]


def test_no_gate_hides_behind_a_condition_that_fails() -> None:
    name = next(
        name for name in map(str, range(999)) if in_rollout("holdout", name, 5) and not in_rollout("r", name, 9)
    )
    every = Rule(
        "r",
        "next_step",
        1,
        Leaf("country", "eq", "DE"),
        "a",
        start_ms=DAY_MS,
        rollout=9.0,
        cap=Cap(1, 24),
        group=Group("g", 0.0, 0.1),
    )
    (verdict,) = Bundle([every], {}, holdout=Holdout(5.0)).explain(
        {"country": "FR", "user_id": name, "recent": {"Content Shown|a": 2}}, "next_step", 0
    )
    assert (verdict.outcome, verdict.detail) == ("failed", "country = DE: is FR")
    assert [gate.name for gate in verdict.gates] == ["condition", "cap", "dates", "holdout", "group", "rollout"]
    assert not any(gate.open for gate in verdict.gates)
    told = "\n".join(verdict.lines())
    assert "cap closed: shown 2 times in the last 1d, the cap is 1" in told
    assert "dates closed: on from 1970-01-02T00:00:00Z to ever, asked at 1970-01-01T00:00:00Z" in told
    assert "holdout closed: the holdout of 5 % gets defaults only" in told
    assert "rollout closed: bucket 0." in told and told.count("\n") == 5


def test_open_gates_are_told_too() -> None:
    rule = Rule("r", "next_step", 1, All((Leaf("country", "eq", "DE"),)), "a", rollout=99.99, cap=Cap(3, 24))
    (verdict,) = Bundle([rule], {}).explain({"country": "DE", "user_id": "a"}, "next_step", 0)
    assert verdict.outcome == "taken"
    assert [(gate.name, gate.open) for gate in verdict.gates] == [("condition", True), ("cap", True), ("rollout", True)]
    assert "cap open: shown an unknown number of times in the last 1d, the cap is 3" in "\n".join(verdict.lines())


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ({"contry": "DE"}, "'contry' is not a field of the profile and is ignored: did you mean country?"),
        ({"preferences": {"report": 1}}, "'preferences.report' is not a field"),
        ({"sessions_total": "3"}, "sessions_total '3' is not a count: it is unknown."),
        ({"country": "Deutschland"}, "country 'Deutschland' is none of its values"),
        ({"recent": [1]}, "`recent` is no mapping"),
        ({"recent": {"Feature used|x": 1}}, "`recent` has 'Feature used|x'"),
        ({"user_id": 7}, "user_id 7 is not a text"),
    ],
)
def test_what_no_rule_can_read_is_said(user: dict[str, Any], says: str) -> None:
    (sentence,) = unread(user)
    assert sentence.startswith(says)
    warned = CliRunner().invoke(app, ["explain", json.dumps(user)])
    assert warned.exit_code == 0 and f"Warning: {says}" in warned.stderr


def test_a_good_user_has_no_warnings() -> None:
    good = {"user_id": "u", "country": "DE", "city": None, "sessions_total": 1, "feature_counts": {"reports": 2}}
    assert unread({**good, "consent": {"ads": True}, "recent": {"Feature Used|reports": {"2d": 1}}}) == []


def test_the_stored_user_by_the_published_rules(
    stack: Stack, kafka: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_indices(stack.elasticsearch)
    stored = {"user_id": "why-ann", "updated_at": "2026-03-01T12:00:00Z", "continent": "EU", "country": "DE"}
    with Elasticsearch(stack.elasticsearch) as client:
        client.index(index="profiles", id="why-ann", document=stored)
    for part, text in (
        ("rules", "slots: [banner]\nrules:\n- {id: r, slot: banner, content: a}\n"),
        ("content", "content:\n  a: {text: {en: A}, fallback: en}\n"),
    ):
        (tmp_path / part).mkdir()
        (tmp_path / part / "all.yaml").write_text(text)
    publish(kafka, tmp_path)
    monkeypatch.setenv("USHER_KAFKA", stack.kafka)
    monkeypatch.setenv("USHER_ELASTICSEARCH", stack.elasticsearch)
    run = CliRunner().invoke
    asked = ["explain", "--user-id", "why-ann", "--json"]
    told = json.loads(run(app, asked).stdout)
    assert [(slot, verdicts[0]["outcome"]) for slot, verdicts in told.items()] == [("banner", "taken")]
    monkeypatch.setenv("USHER_KAFKA", "127.0.0.1:1")
    down = run(app, asked)
    assert "Kafka at 127.0.0.1:1 does not answer" in down.stderr, "the directory is asked instead"
    taken = [one["rule_id"] for one in json.loads(down.stdout)["welcome_message"] if one["outcome"] == "taken"]
    assert taken == ["welcome_europe"]
    assert "There is no profile of nobody" in run(app, ["explain", "--user-id", "nobody"]).stderr
    assert run(app, ["explain"]).exit_code == run(app, ["explain", "{}", "--user-id", "why-ann"]).exit_code == 2
