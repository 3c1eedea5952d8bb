"""One service for all tests that need nothing special of it, on the session's own Kafka and Elasticsearch."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from browsing import ANALYTICS, CHROMIUM
from elasticsearch import Elasticsearch
from playwright.sync_api import Page, sync_playwright
from published import unpublish
from running import GROUP, Service, Topic, profile, serving
from waiting import until

from usher.stack import Stack
from usher.stack.indices import create_indices
from usher.stack.topics import create_topics


@pytest.fixture(scope="session")
def ready(stack: Stack) -> Stack:
    """The stack with topics and indices, and the rules of the directory in force."""
    unpublish(stack.kafka)
    create_topics(stack.kafka)
    create_indices(stack.elasticsearch)
    return stack


@pytest.fixture(scope="session")
def service(ready: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that need nothing special of it."""
    folder = tmp_path_factory.mktemp("service")
    settings = {"trusted_proxies": "127.0.0.0/8 10.0.0.0/8", "cors_origins": "*", "ip_privacy": "full"}
    settings["decision_budget_ms"] = "5000"  # a busy machine is no degraded mode here
    settings |= {"group_id": GROUP, "dead_letters": str(folder / "dead-letters")}
    with serving(ready.kafka, ready.elasticsearch, folder, **settings) as service:
        until(
            lambda: service.write.post("/v1/track", json={"userId": "warm", "event": "Up"}).status_code == 200,
            30,
            "Kafka",
        )
        yield service


@pytest.fixture
def events(service: Service, ready: Stack) -> Iterator[Topic]:
    """What the service writes to Kafka during the test."""
    topic = Topic(ready.kafka)
    yield topic
    topic._consumer.close()


@pytest.fixture(scope="session")
def client(ready: Stack) -> Iterator[Elasticsearch]:
    with Elasticsearch(ready.elasticsearch) as client:
        yield client


@pytest.fixture
def ada(client: Elasticsearch) -> Iterator[str]:
    """Ada is known: in the USA, on a desktop, and has used analytics twice."""
    known = {"country": "US", "continent": "NA", "device_type": "desktop", "feature_counts": {"analytics": 2}}
    client.index(index="profiles", id="ada", document=profile("ada", **known, pages_viewed_30m=12, locale="en-US"))
    yield "ada"
    client.delete(index="profiles", id="ada")


# --- in a browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A site on loopback, of another origin than the service; it also serves analytics.js as npm has it."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ANALYTICS, folder / "analytics")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.folder = folder  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (folder / "root").write_text(str(folder))
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    assert CHROMIUM, "Chromium is missing: install it (Debian and Ubuntu: chromium)."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    context = browser.new_context(locale="de-DE")
    yield context.new_page()
    context.close()
