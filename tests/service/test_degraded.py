"""Decisions when something is not as it should be: the question, the profile, or Elasticsearch. Never an error."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from running import GERMANY, IPHONE, Service, ask, profile, serving

from usher.rules.model import Content
from usher.stack import Stack


def test_texts_of_no_sensible_length_count_as_absent(service: Service) -> None:
    """A newcomer gets no error, and one request does not hold up the others: a locale of 100,000 tags took 30 s."""
    locale, agent = "-".join(["de"] * 100_000), IPHONE + "x" * 400_000
    context = {"targetingKey": "new", "ip": GERMANY, "userAgent": IPHONE, "locale": "de-DE"}
    began = time.monotonic()
    assert ask(service, "welcome_message", context | {"locale": locale})["metadata"]["text"].startswith("Welcome")
    assert ask(service, "welcome_message", context | {"userAgent": agent})["value"] == "europe_welcome"
    assert ask(service, "welcome_message", context | {"city": "x" * 400_000})["value"] == "europe_mobile_welcome"
    languages = {"User-Agent": IPHONE, "X-Forwarded-For": GERMANY, "Accept-Language": "-".join(["de"] * 4000)}
    assert ask(service, "welcome_message", {}, **languages)["metadata"]["text"].startswith("Welcome")
    assert time.monotonic() - began < 5


def test_a_long_locale_is_cut_before_it_is_shortened() -> None:
    """The stream reads what an event of old said."""
    content = Content("hello", {"en": "Hello", "de": "Hallo"}, "en")
    began = time.monotonic()
    assert content.localized("-".join(["de"] * 100_000)) == "Hallo"
    assert time.monotonic() - began < 0.1


@pytest.mark.parametrize("wrong", [{"updated_at": None}, {"updated_at": 1_700_000_000_000}, {"feature_counts": None}])
def test_a_profile_that_cannot_be_used_is_done_without(
    service: Service, client: Elasticsearch, wrong: dict[str, Any]
) -> None:
    client.index(index="profiles", id="broken", document=profile("broken", country="US", continent="NA") | wrong)
    context = {"targetingKey": "broken", "ip": GERMANY, "userAgent": IPHONE}
    found = ask(service, "welcome_message", context)
    assert (found["value"], found["metadata"]["degraded"]) == ("europe_mobile_welcome", True)
    assert "A profile cannot be used (" in service.log.read_text()
    client.delete(index="profiles", id="broken")


# --- Elasticsearch slow, down, or strange


@contextmanager
def listening(answer: bytes | None) -> Iterator[str]:
    """A server that takes connections and answers each request with these bytes, or never (None)."""
    server = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            held.append(connection)
            if answer is not None:
                connection.recv(65536)
                connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}"
    server.close()
    for connection in held:
        connection.close()


GONE = "http://127.0.0.1:1"
FAILS = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
GIBBERISH = b"220 mail.example ESMTP\r\n"


@pytest.mark.parametrize("answer", ["gone", None, FAILS, GIBBERISH])
def test_without_profiles_the_context_decides(ready: Stack, tmp_path: Path, answer: Any) -> None:
    with ExitStack() as stack:
        url = GONE if answer == "gone" else stack.enter_context(listening(answer))
        service = stack.enter_context(serving(ready.kafka, url, tmp_path))
        for _ in range(3):
            found = ask(service, "welcome_message", {"targetingKey": "ada", "ip": GERMANY, "userAgent": IPHONE})
            assert (found["value"], found["metadata"]["degraded"]) == ("europe_mobile_welcome", True)


def test_the_next_host_is_asked(ready: Stack, tmp_path: Path, ada: str) -> None:
    with serving(ready.kafka, f"{GONE};{ready.elasticsearch}", tmp_path, decision_budget_ms="2000") as service:
        for _ in range(4):
            found = ask(service, "feature_highlight", {"targetingKey": ada})
            assert (found["value"], found["metadata"]["degraded"]) == ("analytics_tour", False)
