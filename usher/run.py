"""The job on Flink's in-process minicluster, and what it counted."""

import os
import sys
from typing import Any

from elasticsearch import Elasticsearch
from kafka import KafkaConsumer, TopicPartition

from usher.access import check_access, check_servers, elasticsearch_login, kafka_login
from usher.settings import JOB_FILES, ROOT, SettingsError, missing_files
from usher.stack.indices import INDICES, create_indices
from usher.stack.topics import create_topics

VERDICTS = ("accepted", "duplicate", "late", "quarantined")


def prepare(settings: dict[str, Any]) -> None:
    """Topics and indices; a job that starts afresh counts afresh. Raises AccessError if a server is not there."""
    check_servers(settings)
    create_topics(settings["kafka"], **kafka_login(settings))
    if not settings["restore_from"]:
        with Elasticsearch(**elasticsearch_login(settings)) as client:
            client.indices.delete(index=INDICES["ingest"], ignore_unavailable=True)
    create_indices(settings["elasticsearch"], **elasticsearch_login(settings))


class JobError(RuntimeError):
    """The job failed; the text is its cause, without Java's frames."""


def personalize(settings: dict[str, Any], bounded: bool) -> None:
    """Run the job until it ends (`bounded`) or is stopped."""
    sys.path.insert(0, str(ROOT))  # jobs/ is submitted to Flink as files and not installed
    from py4j.protocol import Py4JJavaError

    from jobs.personalize import build

    os.environ.setdefault("JVM_ARGS", jvm_args(settings))
    if missing := missing_files(settings, JOB_FILES, here=True):
        raise SettingsError("\n".join(missing))
    prepare(settings)
    check_access(settings)
    try:
        build(settings, bounded).execute("personalize")
    except Py4JJavaError as error:
        raise JobError(f"The job failed: {cause(error.java_exception)}") from None


def cause(exception: Any) -> str:
    """What a Java exception (`getMessage`, `getCause`) says at the bottom of it."""
    deepest = exception
    while deepest.getCause() is not None:
        deepest = deepest.getCause()
    return str(deepest.getMessage() or deepest.toString())


def jvm_args(settings: dict[str, Any]) -> str:
    """What PyFlink's launcher of the JVM reads in JVM_ARGS: left alone, the heap takes a quarter of the machine.

    The parallel collector took a seventh less CPU per event than G1 (docs/speed.md).
    """
    return f"-Xmx{settings['minicluster_heap_mb']}m -XX:+UseParallelGC"


def counts(settings: dict[str, Any]) -> dict[str, int]:
    """`read` by Kafka's own offsets, and what the job made of it: `accepted + duplicate + late + quarantined`."""
    with Elasticsearch(**elasticsearch_login(settings)) as client:
        client.indices.refresh(index="ingest")
        hits = client.search(index="ingest", size=1000)["hits"]["hits"]
        client.indices.refresh(index="profiles")
        profiles = client.count(index="profiles")["count"]
    found = {"read": records_in(settings, "events"), **dict.fromkeys(VERDICTS, 0), "profiles": int(profiles)}
    for hit in hits:
        found[hit["_source"]["verdict"]] += hit["_source"]["records"]
    return found


def records_in(settings: dict[str, Any], topic: str) -> int:
    """How many records a topic holds."""
    consumer = KafkaConsumer(**kafka_login(settings))
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        first, last = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        return sum(last[partition] - first[partition] for partition in partitions)
    finally:
        consumer.close()
