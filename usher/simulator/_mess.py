"""What a stream looks like in production: duplicates, garbage, missing ids and latecomers; and NDJSON files."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from usher.model.reference import millis_of

from ._days import Message

Record = tuple[int, bytes | None, bytes]
"""Record time in ms, key, value: what goes to Kafka."""

_GARBAGE = (b"", b"\xff\xfe\x00garbage", b"not json", b'{"messageId": "cut of', b"[1, 2]", b"null", b'"text"', b"42")


class Mess:
    """Iterate once over the records; then `expected` says what the job must count.

    Duplicates, garbage and messages without ids are added, so every message given is still there once. A late one is
    a message given whose record time is minutes behind those before it. A reader that gets ahead of its own watermark
    takes some late ones as accepted: `late` is then a most and `accepted` a least, and their sum is exact.
    """

    def __init__(self, messages: Iterable[Message], seed: int, share: float) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share}, but must be between 0 and 1.")
        self.expected = dict.fromkeys(("read", "accepted", "duplicate", "late", "quarantined"), 0)
        self._messages, self._share, self._rng = messages, share, Random(f"{seed}:mess")

    def __iter__(self) -> Iterator[Record]:
        for outcome, record in self._records():
            self.expected["read"] += 1
            self.expected[outcome] += 1
            yield record

    def _records(self) -> Iterator[tuple[str, Record]]:
        newest: int | None = None
        for message in self._messages:
            time, key, value = record_of(message)
            kind = self._rng.choice(("duplicate", "garbage", "no id", "late")) if self._bad() else "clean"
            if kind == "late" and newest is not None:
                yield "late", (newest - self._rng.randint(400_000, 900_000), key, value)
                continue
            newest = max(time, newest or time)
            yield "accepted", (time, key, value)
            if kind == "duplicate":
                yield "duplicate", (newest, key, value)
            elif kind == "garbage":
                yield "quarantined", (newest, None, self._rng.choice(_GARBAGE))
            elif kind == "no id":
                yield "quarantined", (newest, None, _without_ids(message))

    def _bad(self) -> bool:
        return self._rng.random() < self._share


def mess(messages: Iterable[Message], seed: int, share: float) -> Mess:
    """`records = mess(messages, seed=7, share=0.02)`: each message is met by one kind of trouble at that rate."""
    return Mess(messages, seed, share)


def record_of(message: Message) -> Record:
    """A message as a Kafka record: its own timestamp, its user key, compact JSON."""
    key = message.get("userId") or message["anonymousId"]
    return millis_of(message["timestamp"]), key.encode(), to_json(message)


def write_ndjson(messages: Iterable[Message], path: str | Path) -> int:
    """Write one message a line; the number of lines written."""
    count = 0
    with Path(path).open("wb") as file:
        for message in messages:
            file.write(to_json(message) + b"\n")
            count += 1
    return count


def to_json(message: Message) -> bytes:
    """Compact UTF-8 JSON."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def _without_ids(message: Message) -> bytes:
    return to_json({name: value for name, value in message.items() if name not in ("userId", "anonymousId")})
