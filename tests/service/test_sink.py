"""The way to Kafka when it cannot be had at first."""

import asyncio
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError

from usher.service import sink
from usher.service.sink import Sink


def test_whatever_keeps_it_from_kafka_is_said_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A certificate that is not there yet is no KafkaError."""
    fates: list[Any] = [
        KafkaConnectionError(),
        FileNotFoundError("/etc/ca.pem"),
        FileNotFoundError("/etc/ca.pem"),
        None,
    ]

    class Producer:
        def close(self, timeout: float) -> None:
            pass

    def new_producer(_: Sink) -> Any:
        if (fate := fates.pop(0)) is not None:
            raise fate
        return Producer()

    monkeypatch.setattr(Sink, "_new_producer", new_producer)
    monkeypatch.setattr(sink, "CONNECT_AGAIN_S", 0)

    async def connect() -> bool:
        kafka = Sink({}, 1, 1)
        await kafka.start()
        async with asyncio.timeout(10):
            while not kafka.connected:
                await asyncio.sleep(0.01)
        await kafka.stop()
        return kafka.connected

    with caplog.at_level("WARNING", "usher.service"):
        assert asyncio.run(connect())
    assert [record.args[0] for record in caplog.records if record.args] == ["KafkaConnectionError", "FileNotFoundError"]
    assert "ca.pem" not in caplog.text
