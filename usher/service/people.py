"""What is stored of one person, everywhere; to export it, to erase it, and to see that it is gone."""

import itertools
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from elasticsearch import ConflictError, Elasticsearch, NotFoundError
from kafka import KafkaProducer

from usher.model.reference import iso_of
from usher.service.letters import Letters
from usher.service.privacy import Pseudonyms
from usher.service.sink import CONTROL_HEADER, TOPIC
from usher.service.topics import Login, Place, records, rewrite, unread
from usher.service.whose import Names, is_about, is_of, readable
from usher.settings import load

LOGS = ("decisions", "events_quarantined", "events_late")
"""Topics that nothing reads as a stream, so that they can be written anew without the person's records. `decisions` is
also what models are trained on."""
INDICES = ("profiles", "identities")
"""Elasticsearch aliases with documents of people; `user_id` is the person, `_id` that or an id that they had before."""
LETTERS, STREAM = "dead_letters", "stream"
SEARCHED = 10_000
"""Documents of one person looked for at once: far more than the 100 ids that the stream allows them."""

Hit = Mapping[str, Any]


class Wish(NamedTuple):
    """An erasure that was asked for: all ids of the person, and where in `events` the stream is told so."""

    names: Names
    places: tuple[Place, ...]


class People:
    """`People(kafka_login(settings), elasticsearch_login(settings), Pseudonyms.load()).erase("ada")`.

    Of the settings (by default those in force) `group_id` names the job and `dead_letters` its folder. It reads whole
    topics, and so takes as long as they are.
    """

    def __init__(
        self,
        kafka: Login,
        elasticsearch: Login,
        pseudonyms: Pseudonyms,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._kafka, self._elasticsearch, self._pseudonyms = kafka, elasticsearch, pseudonyms
        settings = load() if settings is None else settings
        self._group_id, self._letters = settings["group_id"], Letters(Path(settings["dead_letters"]))

    def names(self, user_id: str) -> Names:
        """Under which ids the person is stored: pseudonyms, the id itself from before there were any, and whatever
        was merged with these."""
        found = dict.fromkeys([*self._pseudonyms.all(user_id), user_id])
        asked: set[str] = set()
        with Elasticsearch(**self._elasticsearch) as client:
            while new := found.keys() - asked:
                asked |= new
                for hit in documents(client, new):
                    owner, merged = (hit["_source"].get(name) for name in ("user_id", "anonymous_ids"))
                    found |= dict.fromkeys([hit["_id"], owner or hit["_id"], *(merged or [])])
        return tuple(found)

    def export(self, user_id: str) -> dict[str, Any]:
        """All that is stored of the person, by store; times as they were recorded."""
        names = self.names(user_id)
        answer: dict[str, Any] = {"user_id": user_id, "stored_as": list(names)}
        with Elasticsearch(**self._elasticsearch) as client:
            hits = documents(client, names)
        for index in INDICES:
            answer[index] = [hit["_source"] for hit in hits if alias_of(hit) == index]
        for topic in (TOPIC, *LOGS):
            answer[topic] = [
                {"record_time": iso_of(record.timestamp), "message": readable(record.value)}
                for record in records(self._kafka, topic)
                if is_of(record, names)
            ]
        return answer | {LETTERS: self._letters.of(names)}

    def remaining(self, names: Names, places: Iterable[Place] = ()) -> dict[str, int]:
        """How much of the person is left in each store; looks in all of them, record by record.

        `stream` counts the wishes that the job had not read when it last saved its state.
        """
        with Elasticsearch(**self._elasticsearch) as client:
            hits = documents(client, names)
        left = {index: sum(alias_of(hit) == index for hit in hits) for index in INDICES}
        for topic in (*LOGS, TOPIC):
            left[topic] = sum(is_of(record, names) for record in records(self._kafka, topic))
        left[LETTERS] = len(self._letters.of(names))
        return left | {STREAM: unread(self._kafka, self._group_id, TOPIC, places)}

    def request_erasure(self, user_id: str) -> Wish:
        """What takes effect at once: the stream is told, and forgets; profiles go."""
        names, now_ms = self.names(user_id), time.time_ns() // 1_000_000
        places = self._tell([name for name in names if self._may_tell(name, user_id)], now_ms)
        self.delete_documents(names, now_ms)
        return Wish(names, places)

    def _may_tell(self, name: str, user_id: str) -> bool:
        """Where ids are pseudonyms, the id itself is written to `events` only if it is stored somewhere already."""
        if name != user_id or name in self._pseudonyms.all(user_id):
            return True
        with Elasticsearch(**self._elasticsearch) as client:
            return bool(documents(client, [name]))

    def _tell(self, names: Iterable[str], now_ms: int) -> tuple[Place, ...]:
        producer = KafkaProducer(**self._kafka, acks="all", enable_idempotence=True)
        try:
            sent = [
                producer.send(
                    TOPIC,
                    json.dumps({"userId": name, "requestedAt": iso_of(now_ms)}).encode(),
                    name.encode(),
                    headers=[(CONTROL_HEADER, b"erase")],
                    timestamp_ms=now_ms,
                )
                for name in names
            ]
            told = [future.get(timeout=30) for future in sent]
        finally:
            producer.close()
        return tuple((metadata.partition, metadata.offset) for metadata in told)

    def delete_documents(self, names: Names, version: int) -> None:
        """Profiles, with a version that the stream's older writes cannot overtake, and in every index that has one."""
        with Elasticsearch(**self._elasticsearch) as client:
            found = [(hit["_index"], hit["_id"]) for hit in documents(client, names)]
            for index, name in [*itertools.product(INDICES, names), *found]:
                try:
                    client.delete(index=index, id=name, version=version, version_type="external")
                except (NotFoundError, ConflictError):  # nothing there, or newer: see `erase`
                    continue

    def erase_logs(self, names: Names) -> dict[str, int]:
        """Decisions (the training data), quarantine, late topic and dead letters without the person; how many went."""
        gone = {topic: rewrite(self._kafka, topic, lambda record: is_of(record, names)) for topic in LOGS}
        return gone | {LETTERS: self._letters.drop(lambda line: is_about(line, names))}

    def erase(self, user_id: str, patience_s: float = 30) -> dict[str, int]:
        """Erase and verify: what is left in each store, at the latest after `patience_s`.

        A running job may still write a profile or a decision from before the request; it deletes the profile itself,
        and the log is looked at again. Without a running job it does so when it next runs.
        """
        names, places = self.request_erasure(user_id)
        deadline = time.monotonic() + patience_s
        while True:
            self.erase_logs(names)
            left = self.remaining(names, places)
            if is_erased(left) or time.monotonic() > deadline:
                return left
            self.delete_documents(names, time.time_ns() // 1_000_000)
            time.sleep(1)


def is_erased(left: Mapping[str, int]) -> bool:
    """Nothing left but raw messages in `events`, which end with their retention and bring nobody back."""
    return not any(count for store, count in left.items() if store != TOPIC)


def documents(client: Elasticsearch, names: Iterable[str]) -> list[Hit]:
    """The person's documents in the indices in use and in those that a switch left behind."""
    wanted = [name for name in names if name]
    indices = [pattern for alias in INDICES for pattern in (alias, f"{alias}-*")]
    client.indices.refresh(index=indices, ignore_unavailable=True)
    query = {"bool": {"should": [{"ids": {"values": wanted}}, {"terms": {"user_id": wanted}}]}}
    found = client.search(index=indices, query=query, size=SEARCHED, ignore_unavailable=True)
    return list(found["hits"]["hits"])


def alias_of(hit: Hit) -> str:
    """`profiles-v1` is `profiles`."""
    return next(alias for alias in INDICES if hit["_index"] == alias or hit["_index"].startswith(f"{alias}-"))
