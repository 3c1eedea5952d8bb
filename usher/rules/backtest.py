"""New rules against the log of decisions: whose content would change, and from what to what."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from usher.rules.bundle import Bundle
from usher.rules.fields import FIELDS
from usher.rules.topic import Login, answers

BATCH = 10_000
WHO = 5
"""So many users of each move are named."""
_MAPS = ("feature_counts", "preferences", "recent", "consent")
SEGMENTS = tuple(name for name in FIELDS if "." not in name)
_COLUMNS = ("user_id", *_MAPS, *SEGMENTS)
Row = Mapping[str, Any]


@dataclass
class Move:
    """From one content to another (None: nothing): decisions in all and by segment, users, and some of them."""

    slot: str
    before: str | None
    after: str | None
    decisions: int = 0
    by: Counter[str] = field(default_factory=Counter)
    users: set[str] = field(default_factory=set)

    def summary(self) -> dict[str, Any]:
        """As JSON has it."""
        ends = {"slot": self.slot, "from": self.before, "to": self.after}
        some = sorted(self.users)[:WHO]
        return {**ends, "decisions": self.decisions, "users": len(self.users), "by": dict(self.by), "who": some}


@dataclass
class Backtest:
    """What changes: `moves`, most decisions first, of `decisions` that were logged for `users`."""

    version: str
    segment: str
    decisions: int = 0
    users: set[str] = field(default_factory=set)
    moves: dict[tuple[str, str | None, str | None], Move] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """As JSON has it."""
        moves = sorted(self.moves.values(), key=lambda one: (-one.decisions, one.slot, str(one.before), str(one.after)))
        counts = {"decisions": self.decisions, "users": len(self.users), "segment": self.segment}
        return {"version": self.version, **counts, "moves": [move.summary() for move in moves]}


def backtest(bundle: Bundle, rows: Iterable[Row], segment: str, as_of: datetime | None = None) -> Backtest:
    """Decide every logged row again, at its own moment; with `as_of`, each user once, as they were then.

    A slot that the new rules do not have shows nothing any more.
    """
    found = Backtest(bundle.version, segment)
    left = iter(rows if as_of is None else _last_before(rows, as_of))
    while batch := list(islice(left, BATCH)):
        columns = {name: [row.get(name) for row in batch] for name in _COLUMNS}
        moments = [millis(row) if as_of is None else _millis(as_of) for row in batch]
        decided = {slot: one.content_id.tolist() for slot, one in bundle.decide(columns, moments).items()}
        for number, row in enumerate(batch):
            for slot, logged in (row.get("decisions") or {}).items():  # one that was not decided then is not compared
                after = decided[slot][number] if slot in decided else None
                _compare(found, slot, row, logged, after)
        found.decisions += len(batch)
        found.users.update(str(row.get("user_id")) for row in batch)
    return found


def text(found: Mapping[str, Any]) -> str:
    """A summary as a person reads it: one line per move, and where its decisions are."""
    lines = [f"{found['decisions']:,} decisions of {found['users']:,} users, again by rules {found['version']}:"]
    for move in found["moves"]:
        segments = ", ".join(f"{name} {n:,}" for name, n in sorted(move["by"].items(), key=lambda one: -one[1])[:8])
        lines.append(f"{move['slot']}: {move['from'] or 'nothing'} -> {move['to'] or 'nothing'}")
        counts = f"{move['decisions']:,} decisions, {move['users']:,} users"
        lines.append(f"    {counts}; by {found['segment']}: {segments}; e.g. {', '.join(move['who'])}")
    return "\n".join(lines if found["moves"] else [*lines, "nobody's content changes."]) + "\n"


def read_file(path: Path) -> Iterator[Row]:
    """The rows of an NDJSON file; `ValueError` with the line of the first that is none."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _row(line, f"{path}:{number}")


def read_topic(login: Login) -> Iterator[Row]:
    """The rows that the topic `decisions` holds now; `ValueError` where there is none, `KafkaError` without Kafka."""
    if not answers(login):  # else the client would insist for seconds
        raise KafkaError("nothing answers there")
    consumer = KafkaConsumer(**login, group_id=None, enable_auto_commit=False)
    try:
        parts = [TopicPartition("decisions", number) for number in consumer.partitions_for_topic("decisions") or ()]
        if not parts:
            remedy = "Remedy: let the job run first, or give a file of decisions with `--against FILE`."
            raise ValueError(f"Kafka has no topic `decisions`, so there is no history yet. {remedy}")
        consumer.assign(parts)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(parts)
        while any(consumer.position(part) < end for part, end in ends.items()):
            for part, records in consumer.poll(1000).items():
                inside = (record for record in records if record.offset < ends[part])
                yield from (_row(record.value, f"decisions-{part.partition}:{record.offset}") for record in inside)
    finally:
        consumer.close()


def millis(row: Row) -> int:
    """When the row was decided, in UTC milliseconds."""
    return _millis(datetime.fromisoformat(row["updated_at"]))


def _row(line: str | bytes, where: str) -> Row:
    try:
        row = json.loads(line)
        millis(row)
        good = _are_decisions(row.get("decisions"))
    except (ValueError, TypeError, KeyError):
        good = False
    if not good:
        what = "no JSON object with `updated_at` and, by slot, `decisions`"
        remedy = "Remedy: use the records of the topic `decisions`."
        raise ValueError(f"{where}: This is no logged decision: {what}. {remedy}")
    return dict(row)


def _are_decisions(found: Any) -> bool:
    """An object that says of each slot what it showed, or null."""
    return found is None or (
        isinstance(found, dict) and all(one is None or isinstance(one, dict) for one in found.values())
    )


def _millis(moment: datetime) -> int:
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _last_before(rows: Iterable[Row], as_of: datetime) -> list[Row]:
    """Each user's last row up to that moment."""
    last: dict[str, Row] = {}
    for row in rows:
        name, at_ms = str(row.get("user_id")), millis(row)
        if at_ms <= _millis(as_of) and (name not in last or millis(last[name]) <= at_ms):
            last[name] = row
    return list(last.values())


def _compare(found: Backtest, slot: str, row: Row, logged: Mapping[str, Any] | None, after: str | None) -> None:
    if logged is None or (before := logged.get("content")) == after:
        return
    move = found.moves.setdefault((slot, before, after), Move(slot, before, after))
    move.decisions += 1
    move.by[str(row.get(found.segment))] += 1
    move.users.add(str(row.get("user_id")))
