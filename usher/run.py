"""The job on Flink's in-process minicluster, and what it counted."""

import sys
from typing import Any

from elasticsearch import Elasticsearch
from kafka import KafkaConsumer, TopicPartition

from usher.settings import ROOT
from usher.stack.indices import INDICES, create_indices
from usher.stack.topics import create_topics

VERDICTS = ("accepted", "duplicate", "late", "quarantined")


def prepare(settings: dict[str, Any]) -> None:
    """Topics and indices; a job that starts afresh counts afresh."""
    create_topics(settings["kafka"])
    if not settings["restore_from"]:
        with Elasticsearch(settings["elasticsearch"]) as client:
            client.indices.delete(index=INDICES["ingest"], ignore_unavailable=True)
    create_indices(settings["elasticsearch"])


def personalize(settings: dict[str, Any], bounded: bool) -> None:
    """Run the job until it ends (`bounded`) or is stopped."""
    sys.path.insert(0, str(ROOT))  # jobs/ is submitted to Flink as files and not installed
    from jobs.personalize import build

    prepare(settings)
    build(settings, bounded).execute().wait()


def counts(settings: dict[str, Any]) -> dict[str, int]:
    """`read` by Kafka's own offsets, and what the job made of it: `accepted + duplicate + late + quarantined`."""
    with Elasticsearch(settings["elasticsearch"]) as client:
        client.indices.refresh(index="ingest")
        hits = client.search(index="ingest", size=1000)["hits"]["hits"]
        client.indices.refresh(index="profiles")
        profiles = client.count(index="profiles")["count"]
    found = {"read": records_in(settings["kafka"], "events"), **dict.fromkeys(VERDICTS, 0), "profiles": int(profiles)}
    for hit in hits:
        found[hit["_source"]["verdict"]] += hit["_source"]["records"]
    return found


def records_in(bootstrap: str, topic: str) -> int:
    """How many records a topic holds."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        first, last = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        return sum(last[partition] - first[partition] for partition in partitions)
    finally:
        consumer.close()
