"""What `replay` sends, and MovieLens as messages."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from usher import movielens, replay
from usher.features import PRODUCT_FEATURES
from usher.model.reference import millis_of

ROOT = Path(__file__).parents[2]
LINES = [
    b'{"userId": "u1", "anonymousId": "a1", "timestamp": "2026-01-01T00:00:01.500Z"}',
    b"garbage \xff",
    b'{"userId": null, "anonymousId": "a2", "timestamp": "2026-01-01T00:00:00Z"}',
    b'{"userId": 7, "timestamp": "yesterday"}',
    b"",
    b"[1]",
]
T1, T0 = 1_767_225_601_500, 1_767_225_600_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(LINES))
    return path


def test_every_line_as_it_is_at_its_own_time(file: Path) -> None:
    assert [*replay.records_of(file)] == [
        (T1, b"u1", LINES[0]),
        (T1, None, LINES[1]),
        (T0, b"a2", LINES[2]),
        (T0, None, LINES[3]),
        (T0, None, LINES[4]),
        (T0, None, LINES[5]),
    ]


def test_live_is_now(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_now", lambda: 42)
    assert [time for time, _, _ in replay.records_of(file, live=True)] == [42] * 6


def test_a_line_over_the_limit_is_named(file: Path) -> None:
    file.write_bytes(b"{}\n" + b"x" * (replay.MAX_REQUEST_BYTES + 1))
    with pytest.raises(replay.ReplayError, match=r"Line 2 of .*events.ndjson has 4,194,305 bytes"):
        [*replay.records_of(file)]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(replay.ReplayError, match="does not exist"):
        replay.replay(tmp_path / "none", "localhost:1")


class FakeProducer:
    """Keeps what it is sent."""

    settings: dict[str, Any]
    sent: list[Any]

    def __init__(self, **settings: Any) -> None:
        type(self).settings, type(self).sent = settings, []

    def send(self, topic: str, value: bytes, key: bytes | None, timestamp_ms: int) -> "FakeProducer":
        self.sent.append((topic, timestamp_ms, key, value))
        return self

    def get(self, timeout: float) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


def test_replay_sends_and_counts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "KafkaProducer", FakeProducer)
    assert replay.replay(file, "kafka:1") == 6
    assert FakeProducer.sent[0] == ("events", T1, b"u1", LINES[0])
    assert FakeProducer.settings["acks"] == "all" and FakeProducer.settings["enable_idempotence"]
    assert FakeProducer.settings["max_request_size"] == 4 * 1024 * 1024


@pytest.fixture(scope="module")
def ratings() -> list[dict[str, Any]]:
    return [*movielens.messages(ROOT / "build" / "recbole")]


def test_movielens(ratings: list[dict[str, Any]]) -> None:
    identified = [message for message in ratings if message["type"] == "identify"]
    assert (len(ratings), len(identified)) == (100_943, 943)
    assert len({message["messageId"] for message in ratings}) == len(ratings)
    times = [millis_of(message["timestamp"]) for message in ratings]
    assert times == sorted(times)
    assert ratings[0]["timestamp"].startswith("1997-09-20") and ratings[-1]["timestamp"].startswith("1998-04-22")
    first = next(message for message in identified if message["userId"] == "ml-1")
    assert first["traits"] == {"age": 24, "occupation": "technician", "gender": "M"}
    features = {message["properties"]["feature"] for message in ratings if message["type"] == "track"}
    assert {"action", "childrens", "sci_fi", "film_noir"} <= features and not features & set(PRODUCT_FEATURES)


def test_movielens_keeps_to_the_schema(ratings: list[dict[str, Any]]) -> None:
    schema = Draft202012Validator(json.loads((ROOT / "conf" / "event.schema.json").read_text()))
    assert all(schema.is_valid(message) for message in ratings[:3000])
