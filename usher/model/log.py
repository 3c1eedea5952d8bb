"""The `decisions` log as a table: one row a decision, flat columns, times in ms since 1970.

>>> rows = read_ndjson(Path("decisions.ndjson"))          # doctest: +SKIP
>>> rows = read_kafka("127.0.0.1:9092")                   # doctest: +SKIP
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from usher.columns import COUNTED, NUMBERS
from usher.features import PRODUCT_FEATURES

from ._bundle import ModelError
from .dataset import CHALLENGER, SCORES

KEYS = ("user_id", "updated_at")
TEXTS = ("device_type", "continent", "country", "model_version")
FEATURES = (*KEYS, *COUNTED, "device_type", "continent", "country")
"""What was known when it was decided."""
COLUMNS = (*KEYS, "anonymous_ids", *COUNTED, "unknown_features", *TEXTS, *SCORES, *CHALLENGER)
"""`anonymous_ids`: a sorted tuple of the other ids whose doings are counted in the row."""
MAX_NAMED = 3
PATIENCE_S = 10


def rows_of(documents: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Documents of the log -> COLUMNS; a score that was not logged is NaN, a text that is unknown is ''."""
    return _frame([_row(document) for document in documents])


def read_ndjson(file: Path) -> pd.DataFrame:
    """A file of one decision a line; raises `ModelError` naming the lines that are none."""
    if not file.is_file():
        raise ModelError(f"There is no file {file}: give the log of decisions, one JSON object a line.")
    with file.open("rb") as lines:
        return _rows(enumerate(lines, 1), str(file), "line")


def read_kafka(bootstrap: str, topic: str = "decisions", **login: Any) -> pd.DataFrame:
    """All that the topic holds; `login` is what kafka-python needs beside the address (`usher.access.kafka_login`)."""
    return _rows(_values(bootstrap, topic, login), f"topic {topic}", "record")


def documents(bootstrap: str, topic: str = "decisions") -> list[dict[str, Any]]:
    """The topic's documents as they are."""
    return [json.loads(value) for _, value in _values(bootstrap, topic, {})]


def write_ndjson(rows: pd.DataFrame, file: Path) -> int:
    """The inverse of `read_ndjson`; the number of lines."""
    with file.open("w") as out:
        for row in rows.to_dict("records"):
            out.write(json.dumps(_document({str(name): value for name, value in row.items()})) + "\n")
    return len(rows)


def _rows(numbered: Iterable[tuple[int, bytes]], where: str, what: str) -> pd.DataFrame:
    rows: list[list[Any]] = []
    wrong: list[str] = []
    for number, text in numbered:
        try:
            rows.append(_row(json.loads(text)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            wrong.append(f"{what} {number} ({error!r})")
    if wrong:
        more = f" and {len(wrong) - MAX_NAMED} more" if len(wrong) > MAX_NAMED else ""
        raise ModelError(
            f"{where} is no log of decisions: {', '.join(wrong[:MAX_NAMED])}{more}. "
            "Each must be one JSON object as the job writes them to the topic `decisions`."
        )
    return _frame(rows)


def _frame(rows: list[list[Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[*COLUMNS])
    frame["updated_at"] = pd.to_datetime(frame["updated_at"], utc=True, format="ISO8601").astype("i8") // 1_000_000
    numbers = [*COUNTED, *SCORES, *CHALLENGER[1:]]
    frame[numbers] = frame[numbers].astype(np.float64)
    return frame.drop_duplicates([*KEYS], keep="last", ignore_index=True)  # a restarted job writes some twice


def _row(document: Mapping[str, Any]) -> list[Any]:
    counts = document["feature_counts"] or {}
    challenger = json.loads(document.get("challenger") or "{}")
    return [
        *(document[name] for name in KEYS),
        tuple(sorted(document.get("anonymous_ids") or ())),
        *(document[name] for name in NUMBERS),
        *(counts.get(name, 0) for name in PRODUCT_FEATURES),
        sum(name not in PRODUCT_FEATURES for name in counts),
        *(document.get(name) or "" for name in TEXTS),
        *_scores(document),
        challenger.get("model_version", ""),
        *_scores(challenger),
    ]


def _scores(document: Mapping[str, Any]) -> Iterator[Any]:
    likes = document.get("preferences") or {}
    yield document.get("engagement_score")
    yield from (likes.get(name) for name in PRODUCT_FEATURES)


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    whole = {name: int(row[name]) for name in NUMBERS}
    scores = _written(row, "")
    shadow = {"model_version": row["challenger_version"], **_written(row, "challenger_")}
    return {
        "user_id": row["user_id"],
        "updated_at": pd.Timestamp(row["updated_at"], unit="ms", tz="UTC").isoformat().replace("+00:00", "Z"),
        "anonymous_ids": [*row.get("anonymous_ids", ())],
        **{name: row[name] for name in TEXTS},
        **whole,
        "feature_counts": {name: int(row[f"used_{name}"]) for name in PRODUCT_FEATURES if row[f"used_{name}"]},
        **scores,
        "challenger": json.dumps(shadow) if row["challenger_version"] else None,
    }


def _written(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    if np.isnan(row[f"{prefix}engagement_score"]):
        return {}
    likes = {name: row[f"{prefix}p_{name}"] for name in PRODUCT_FEATURES}
    return {"engagement_score": row[f"{prefix}engagement_score"], "preferences": likes}


def _values(bootstrap: str, topic: str, login: Mapping[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Each record's number and value; raises `ModelError` when the broker does not answer, or no longer."""
    try:
        options: dict[str, Any] = {"bootstrap_servers": bootstrap, **login}
        consumer = KafkaConsumer(**options, auto_offset_reset="earliest", bootstrap_timeout_ms=PATIENCE_S * 1000)
        try:
            yield from enumerate(_polled(consumer, topic), 1)
        finally:
            consumer.close()
    except (KafkaError, OSError) as error:
        raise ModelError(
            f"The topic {topic} cannot be read: Kafka at {bootstrap} does not answer or does not accept the login "
            f"({type(error).__name__}): check USHER_KAFKA and the other USHER_KAFKA_…, and that the broker is up."
        ) from error


def _polled(consumer: KafkaConsumer, topic: str) -> Iterator[bytes]:
    partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    ends = consumer.end_offsets(partitions)
    heard = time.monotonic()
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        for batch in consumer.poll(timeout_ms=1000, max_records=5000).values():
            yield from (record.value for record in batch)
            heard = time.monotonic()
        if time.monotonic() - heard > PATIENCE_S:  # the client would go on asking a broker that is gone
            raise KafkaTimeoutError(f"nothing came for {PATIENCE_S} s")
