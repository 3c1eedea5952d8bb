"""The log of decisions, decided again: every change is found, and nothing else."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from typer.testing import CliRunner
from waiting import until

from usher.rules import Bundle, Rule
from usher.rules.backtest import backtest, read_topic
from usher.rules.cli import app
from usher.rules.conditions import EVERYONE, Leaf
from usher.stack import Stack
from usher.stack.topics import create_topics

sys.path.insert(0, str(Path(__file__).parent))
CONF = Path(__file__).parents[2] / "conf"
HOUR = 3_600_000


def row(user: str, day: int, content: str | None, **fields: Any) -> dict[str, Any]:
    """A record of the topic `decisions`, as far as it matters here."""
    shown = {"next_step": {"content": content, "rule": "r", "reason": "DEFAULT"}}
    return {"user_id": user, "updated_at": f"2026-03-{day:02}T12:00:00Z", "decisions": shown, **fields}


ROWS = [
    row("ann", 1, "old", continent="EU", feature_counts={"analytics": 1}, preferences={"analytics": 0.2}),
    row("ann", 5, "old", continent="EU", feature_counts={"analytics": 2}, preferences={"analytics": 0.2}),
    row("bob", 2, "old", continent="NA", feature_counts={}, preferences={"analytics": 0.9}),
    row("eve", 3, "new", continent=None, feature_counts={"analytics": 9}),
]
NEW = Bundle([Rule("often", "next_step", 1, Leaf("feature_counts.analytics", "ge", 2), "new")], {}, ["next_step"])


def moves(rows: list[dict[str, Any]], bundle: Bundle = NEW, as_of: datetime | None = None) -> list[tuple[Any, ...]]:
    found = backtest(bundle, rows, "continent", as_of).summary()["moves"]
    return [(one["from"], one["to"], one["decisions"], one["users"], one["by"], one["who"]) for one in found]


def test_every_change_from_what_to_what_and_whose() -> None:
    assert moves(ROWS) == [
        ("old", None, 2, 2, {"EU": 1, "NA": 1}, ["ann", "bob"]),
        ("old", "new", 1, 1, {"EU": 1}, ["ann"]),
    ]


def test_as_of_a_date_each_user_counts_once_as_they_were() -> None:
    assert moves(ROWS, as_of=datetime(2026, 3, 2, 12, tzinfo=UTC)) == [
        ("old", None, 2, 2, {"EU": 1, "NA": 1}, ["ann", "bob"])
    ]
    assert moves(ROWS, as_of=datetime(2026, 3, 9)) == [
        ("old", None, 1, 1, {"NA": 1}, ["bob"]),
        ("old", "new", 1, 1, {"EU": 1}, ["ann"]),
    ]


def test_each_row_is_decided_at_its_own_moment() -> None:
    second = round(datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1000)
    dated = Bundle([Rule("r", "next_step", 1, EVERYONE, "new", second, second + 24 * HOUR)], {}, ["next_step"])
    assert {(one[1], *one[5]) for one in moves(ROWS, dated)} == {(None, "ann"), ("new", "bob"), (None, "eve")}
    assert [one[:2] for one in moves(ROWS[:1], dated, datetime(2026, 3, 2, 5))] == [("old", "new")]


def test_a_slot_that_the_new_rules_drop_shows_nothing_any_more() -> None:
    rows = [ROWS[3] | {"decisions": {"next_step": {"content": "new"}, "banner": {"content": "sale"}, "old_slot": None}}]
    assert moves(rows) == [("sale", None, 1, 1, {"None": 1}, ["eve"])]
    shows_nothing = rows[0] | {"decisions": {"banner": {"content": None}}}
    assert moves([shows_nothing]) == [], "from nothing to nothing"


@pytest.mark.parametrize("decisions", ["x", ["next_step"], {"next_step": "x"}])
def test_a_row_whose_decisions_are_none_is_named(tmp_path: Path, decisions: Any) -> None:
    log = tmp_path / "log.ndjson"
    log.write_text(json.dumps(ROWS[0]) + "\n" + json.dumps(ROWS[0] | {"decisions": decisions}) + "\n")
    bad = CliRunner().invoke(app, ["backtest", str(CONF), "--against", str(log)])
    assert bad.exit_code == 2 and f"{log}:2: This is no logged decision" in bad.stderr


def test_without_a_history_the_remedy_is_said(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = KafkaAdminClient(bootstrap_servers=stack.kafka)
    if "decisions" in admin.list_topics():
        admin.delete_topics(["decisions"])
        until(lambda: "decisions" not in admin.list_topics(), 30, "the topic to be gone")
    admin.close()
    for address, says in ((stack.kafka, "has no topic `decisions`"), ("127.0.0.1:1", "does not answer")):
        monkeypatch.setenv("USHER_KAFKA", address)
        bad = CliRunner().invoke(app, ["backtest", str(CONF)])
        assert bad.exit_code == 2 and says in bad.stderr and "Remedy: " in bad.stderr


def test_command_line_on_a_file_and_on_the_topic(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [one | {"decisions": {"next_step": {"content": "gone"}}} for one in ROWS]
    log = tmp_path / "log.ndjson"
    log.write_text("".join(json.dumps(one) + "\n" for one in rows))
    run = CliRunner().invoke
    told = json.loads(run(app, ["backtest", str(CONF), "--against", str(log), "--json"]).stdout)
    assert (told["decisions"], told["users"], told["version"]) == (4, 3, Bundle.load(CONF).version)
    assert {(move["from"], move["to"]) for move in told["moves"]} == {("gone", "step_create_profile")}
    text = run(app, ["backtest", str(CONF), "--against", str(log), "--by", "country"]).stdout
    assert "next_step: gone -> step_create_profile\n    4 decisions, 3 users; by country: None 4" in text

    create_topics(stack.kafka)
    login = {"bootstrap_servers": [stack.kafka]}
    producer = KafkaProducer(**login)
    before = sum(1 for _ in read_topic(login))
    for one in rows:
        producer.send("decisions", key=one["user_id"].encode(), value=json.dumps(one).encode())
    producer.close()
    monkeypatch.setenv("USHER_KAFKA", stack.kafka)
    assert json.loads(run(app, ["backtest", str(CONF), "--json"]).stdout)["decisions"] == before + 4

    log.write_text("{}\n")
    bad = run(app, ["backtest", str(CONF), "--against", str(log)])
    assert bad.exit_code == 2 and f"{log}:1: This is no logged decision" in bad.stderr
    assert run(app, ["backtest", str(CONF), "--against", str(log), "--by", "colour"]).exit_code == 2
    assert run(app, ["backtest", str(CONF), "--against", str(log), "--as-of", "soon"]).exit_code == 2
