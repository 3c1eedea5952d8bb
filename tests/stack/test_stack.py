"""The embedded stack: real servers, started, used and stopped."""

import json
import os
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from usher.stack import MissingTool, Stack, StackError, _process, _servers, indices
from usher.stack.topics import TOPICS, create_topics


def test_up_again_changes_nothing(stack: Stack) -> None:
    before = stack.status()
    assert stack.up().status() == before
    assert all(server["running"] for server in before.values())


def test_a_record_comes_back(stack: Stack) -> None:
    create_topics(stack.kafka)
    assert create_topics(stack.kafka) == (), "the topics are made once"
    producer = KafkaProducer(bootstrap_servers=stack.kafka)
    sent = producer.send("events_late", key=b"u1", value=b"{}").get(timeout=20)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=stack.kafka, consumer_timeout_ms=20_000)
    assert set(TOPICS) <= set(consumer.topics())
    place = TopicPartition("events_late", sent.partition)
    consumer.assign([place])
    consumer.seek(place, sent.offset)
    assert next(consumer).value == b"{}"
    consumer.close()


def test_a_document_comes_back(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mapping = {"mappings": {"dynamic": "strict", "properties": {"user_id": {"type": "keyword"}}}}
    monkeypatch.setattr(indices, "INDICES", {"check": "check-v1"})
    monkeypatch.setattr(indices, "MAPPINGS", tmp_path)
    with pytest.raises(StackError, match="check.json is missing"):
        indices.create_indices(stack.elasticsearch)
    (tmp_path / "check.json").write_text(json.dumps(mapping))
    assert indices.create_indices(stack.elasticsearch) == ("check-v1",)
    assert indices.create_indices(stack.elasticsearch) == (), "the index is made once"
    with Elasticsearch(stack.elasticsearch) as client:
        client.index(index="check", id="u1", document={"user_id": "u1"})
        assert client.get(index="check", id="u1")["_source"] == {"user_id": "u1"}
        client.indices.delete(index="check-v1")


def test_taken_ports_are_avoided_and_down_leaves_nothing(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "second")
    with ExitStack() as held:
        taken = {port for port in (9092, 9093, 9200) if _hold(port, held)}
        with stack:
            state = json.loads((stack.home / "stack.json").read_text())
            ports = {int(stack.kafka.split(":")[1]), int(stack.elasticsearch.rsplit(":")[-1])}
            assert not ports & {9092, 9093, 9200}, f"we hold {taken}, others the rest"
            assert stack.fleeting == (["Elasticsearch"] if os.geteuid() == 0 else []), (
                "pytest's folders are root's alone"
            )
    for server in state.values():
        assert _process.started_at(server["pid"]) is None
        assert not server.get("temporary") or not os.path.exists(server["temporary"])
    assert stack.fleeting == []
    assert not any(server["running"] for server in stack.status().values())
    with pytest.raises(StackError, match="usher up"):
        _ = stack.kafka


def test_who_ended_by_itself_is_back_where_it_was(tmp_path: Path) -> None:
    """Though it had another port than the usual one, which is free again."""
    stack = Stack(tmp_path)
    with ExitStack() as held:
        _hold(9092, held)
        stack.up()
    try:
        address, pid = stack.kafka, stack.status()["kafka"]["pid"]
        elasticsearch = stack.status()["elasticsearch"]["pid"]
        os.kill(pid, signal.SIGKILL)
        stack.up()
        assert (stack.kafka, stack.status()["elasticsearch"]["pid"]) == (address, elasticsearch)
        assert stack.status()["kafka"]["pid"] != pid
    finally:
        stack.down()


def test_a_port_that_another_took_meanwhile(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever answers there is not taken for ours."""
    port = int(stack.elasticsearch.rsplit(":")[-1])
    monkeypatch.setattr(_servers, "free_port", lambda *_: port)
    monkeypatch.setattr(Stack, "servers", (_servers.Elasticsearch(),))
    with pytest.raises(StackError, match="Elasticsearch ended while starting"):
        Stack(tmp_path).up()
    assert json.loads((tmp_path / "stack.json").read_text()) == {}


def _hold(port: int, held: ExitStack) -> bool:
    """Take the port, unless someone else has it."""
    try:
        held.enter_context(socket.create_server(("127.0.0.1", port)))
    except OSError:
        return False
    return True


def test_a_failed_start_tells_why_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_servers, "KAFKA_HEAP", "1k")
    stack = Stack(tmp_path)
    with pytest.raises(StackError, match="(?s)Kafka ended while starting.*heap"):
        stack.up()
    assert json.loads((tmp_path / "stack.json").read_text()) == {}


def test_a_missing_tool_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="`java` is missing: install OpenJDK 17") as told:
        Stack(tmp_path).up()
    assert told.value.exit_code == 2


def test_a_pid_that_was_reused_is_left_alone() -> None:
    _process.stop(os.getpid(), started="another time", patience_s=0)
    assert not _process.is_ours(os.getpid(), "another time")
