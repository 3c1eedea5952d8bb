"""Newcomers that are the same for the same seed, keep to the contract, and hold a truth to learn."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from usher.enrich import Devices
from usher.enrich._continents import CONTINENT_OF
from usher.features import CONTINENTS, DEVICE_TYPES, MODEL_INPUTS, ONBOARDING_STEPS, PRODUCT_FEATURES, SLOTS
from usher.model.reference import millis_of
from usher.simulator import COUNTRIES, USER_AGENTS, Message, mess, simulate, simulate_history, write_ndjson

START = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = Path(__file__).parents[2] / "conf" / "event.schema.json"


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    return [*simulate(120, 7, START, timedelta(days=2))]


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    content = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(content)
    return Draft202012Validator(content)


def test_the_same_seed_gives_the_same_messages(messages: list[Message]) -> None:
    assert [*simulate(120, 7, START, timedelta(days=2))] == messages
    assert [*simulate(120, 8, START, timedelta(days=2))] != messages


def test_ordered_by_time_within_the_duration_with_unique_ids(messages: list[Message]) -> None:
    times = [message["timestamp"] for message in messages]
    assert times == sorted(times)
    assert times[0] >= "2026-01-01T00:00:00.000Z" and times[-1] < "2026-01-03T00:00:00.000Z"
    assert len({message["messageId"] for message in messages}) == len(messages)
    assert all(message["receivedAt"] > message["timestamp"] for message in messages)


def test_every_message_keeps_to_the_schema(messages: list[Message], schema: Draft202012Validator) -> None:
    assert [error.message for message in messages for error in schema.iter_errors(message)] == []


def test_anonymous_until_signed_up_then_both_ids(messages: list[Message]) -> None:
    signed_up: set[str] = set()
    for message in messages:
        if message["type"] == "identify":
            signed_up.add(message["anonymousId"])
        assert ("userId" in message) == (message["anonymousId"] in signed_up)
    assert 0.6 * 120 < len(signed_up) < 120  # some leave before


def test_every_name_that_the_counters_need_occurs(messages: list[Message]) -> None:
    seen = Counter(message.get("event") or message["type"] for message in messages)
    steps = {f"Onboarding Step {what}" for what in ("Viewed", "Completed", "Skipped")}
    assert set(seen) == steps | {
        "page", "identify", "Signed Up", "Feature Used", "Content Shown", "Content Clicked", "Onboarding Completed",
    }  # fmt: skip
    of = {
        name: {(m.get("properties") or {}).get(name) for m in messages} - {None} for name in ("feature", "step", "slot")
    }
    assert of["feature"] == set(PRODUCT_FEATURES) and of["step"] == set(ONBOARDING_STEPS) and of["slot"] < set(SLOTS)


def test_sessions_are_bursts_of_5_to_30(messages: list[Message]) -> None:
    sizes, last, size = [], {}, Counter[str]()
    for message in messages:
        user, time = message["anonymousId"], millis_of(message["timestamp"])
        if user in last and time - last[user] > 1_800_000:
            sizes.append(size.pop(user))
        size[user] += 1
        last[user] = time
    assert min(sizes) >= 5 and max(sizes) <= 30 and len(sizes) > 120  # all but the last, which the end may cut


def test_people_are_what_enrichment_will_say() -> None:
    assert {agent: Devices().parse(agent).device_type for agent in USER_AGENTS} == {
        agent: device for agent, (device, _) in USER_AGENTS.items()
    }
    assert {device for device, _ in USER_AGENTS.values()} == set(DEVICE_TYPES)
    assert all(CONTINENT_OF[code] == country.continent for code, country in COUNTRIES.items())
    assert {country.continent for country in COUNTRIES.values()} == set(CONTINENTS) - {"AN"}


def test_mess_says_what_to_expect(messages: list[Message]) -> None:
    messy = mess(messages, seed=3, share=0.2)
    records = [*messy]
    expected = messy.expected
    assert expected["read"] == len(records) == sum(expected.values()) - expected["read"]
    assert expected["accepted"] + expected["late"] == len(messages)
    assert all(0.03 < expected[kind] / len(messages) < 0.12 for kind in ("duplicate", "late")), expected
    assert 0.06 < expected["quarantined"] / len(messages) < 0.14
    newest, late = 0, 0
    for time, _, _ in records:
        late += time < newest
        newest = max(time, newest)
    assert late == expected["late"]
    assert [*mess(messages, seed=3, share=0.2)] == records


def test_what_is_quarantined_breaks_the_schema(messages: list[Message], schema: Draft202012Validator) -> None:
    messy = mess(messages, seed=3, share=0.2)
    assert sum(not valid(schema, value) for _, _, value in messy) == messy.expected["quarantined"]


def valid(schema: Draft202012Validator, value: bytes) -> bool:
    try:
        return bool(schema.is_valid(json.loads(value)))
    except ValueError:
        return False


def test_no_mess(messages: list[Message]) -> None:
    messy = mess(messages[:50], seed=3, share=0)
    assert [json.loads(value) for _, _, value in messy] == messages[:50]
    assert messy.expected == {"read": 50, "accepted": 50, "duplicate": 0, "late": 0, "quarantined": 0}


def test_write_ndjson(messages: list[Message], tmp_path: Path) -> None:
    assert write_ndjson(messages, tmp_path / "events.ndjson") == len(messages)
    assert [json.loads(line) for line in (tmp_path / "events.ndjson").read_bytes().splitlines()] == messages


def test_history_is_rows_over_the_inputs_and_labels() -> None:
    history = simulate_history(60, seed=5)
    assert history.names == MODEL_INPUTS and history.inputs.shape == (len(history), len(MODEL_INPUTS))
    assert history.preferences.shape == (len(history), 6) and set(history.preferences.flat) == {0.0, 1.0}
    assert history.engagement.min() >= 0 and history.engagement.max() <= 100
    assert (simulate_history(60, seed=5).inputs == history.inputs).all()


def test_a_start_without_time_zone_and_a_wrong_share() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        next(simulate(1, 1, datetime(2026, 1, 1), timedelta(days=1)))
    with pytest.raises(ValueError, match="between 0 and 1"):
        mess([], 1, 2)
