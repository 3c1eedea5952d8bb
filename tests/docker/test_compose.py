"""The whole stack from docker/compose.yaml on a real engine, by the commands of docs/docker.md: events in, profiles and
decisions out, through a crash and a change of the model, and nothing left behind."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from composing import PROJECT, Environment, block, composed, inside, logs, needs_engine, shell, succeeds
from elasticsearch import Elasticsearch
from waiting import until

from usher.settings import ROOT
from usher.stack._servers import free_port

FIRST_PROFILE_S = 180
IMAGE_BYTES = 1_500_000_000
PROMOTED_S = 10  # 5 s to the model, and the rest of the path of an event
PORTS = ("KAFKA_PORT", "ELASTICSEARCH_PORT", "FLINK_PORT", "SERVICE_PORT")


@pytest.fixture
def environment() -> Iterator[Environment]:
    """Nothing of Usher's is set, as on a stranger's machine, but free ports."""
    ports: set[int] = set()
    for _ in PORTS:
        ports.add(free_port(0, ports))
    bare = {name: value for name, value in os.environ.items() if not name.startswith("USHER_")}
    environment = bare | {name: str(port) for name, port in zip(PORTS, sorted(ports), strict=True)}
    yield environment
    shell(block("down"), environment)


@needs_engine
def test_from_up_to_profiles_to_down(environment: Environment) -> None:
    make_image, up = block("up").splitlines()
    shell(make_image, environment)
    size, user = shell("docker image inspect usher --format '{{.Size}} {{.Config.User}}'", environment).split()
    assert int(size) <= IMAGE_BYTES and user == "usher"
    assert int(size) / 1e6 == pytest.approx(_documented("image, on a base of 212 MB"), rel=0.1)

    began = time.monotonic()
    left = lambda: FIRST_PROFILE_S - (time.monotonic() - began)  # noqa: E731
    shell(up, environment)
    with Elasticsearch(f"http://127.0.0.1:{environment['ELASTICSEARCH_PORT']}") as client:
        stack = _Stack(client, environment)
        stack.until(lambda: succeeds(block("send"), environment), left(), "the service")
        stack.until(lambda: stack.profile("ada"), left(), "the first profile")
        print(f"cold up to first profile: {time.monotonic() - began:.0f} s; image: {int(size) / 1e6:.0f} MB")
        assert "welcome_message" in shell(block("profile"), environment)
        decision = json.loads(shell(block("decide"), environment))
        assert decision["key"] == "welcome_message" and decision["variant"] and decision["value"]
        assert shell(inside("service", "stat -c %a /var/lib/usher/keys/write"), environment) == "600"

        _the_job_comes_back_after_a_crash(stack)
        _what_is_promoted_serves(stack)
        _nothing_is_lost_by_a_stop(stack, up)

    shell(block("down"), environment)
    for kind in ("ps -a", "volume ls", "network ls"):
        command = f"docker {kind} -q --filter label=com.docker.compose.project={PROJECT}"
        assert shell(command, environment) == "", kind


class _Stack:
    def __init__(self, client: Elasticsearch, environment: Environment) -> None:
        self.client, self.environment = client, environment

    def until(self, found: Callable[[], Any], seconds: float, what: str) -> None:
        try:
            until(found, seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{logs(self.environment)}") from None

    def send(self, user: str) -> None:
        shell(block("send").replace("ada", user), self.environment)

    def profile(self, user: str) -> dict[str, Any] | None:
        """None while there is none, and while Elasticsearch still starts."""
        answer = self.client.options(ignore_status=(404, 503), max_retries=0)  # 503: its shard is not up yet
        if not answer.ping():
            return None
        found = answer.get(index="profiles", id=user)
        return dict(found["_source"]) if found.get("found") else None

    def run(self, service: str, command: str) -> str:
        return shell(inside(service, command), self.environment)


def _the_job_comes_back_after_a_crash(stack: _Stack) -> None:
    """From within, for an engine does not restart what `docker kill` ended. TaskManagers finish what they are at, so
    what proves a new job is an event sent after its submission."""
    checkpoint = "ls /var/lib/usher/checkpoints/*/chk-*/_metadata"
    stack.until(lambda: succeeds(inside("job", f"bash -c '{checkpoint}'"), stack.environment), 60, "a checkpoint")
    succeeds(inside("jobmanager", "bash -c 'kill -9 -1'"), stack.environment)
    said = lambda: re.sub(r"\s+", " ", shell(block("why"), stack.environment))  # noqa: E731
    again = r"submitting it, from file:///var/lib/usher/checkpoints/\w+/chk-.* Job has been submitted"
    stack.until(lambda: re.search(again, said()), FIRST_PROFILE_S, "the job's next submission")
    stack.send("bob")
    stack.until(lambda: stack.profile("bob"), FIRST_PROFILE_S, "a profile after the crash of the JobManager")
    stack.send("ada")
    counted = lambda: (stack.profile("ada") or {}).get("events_total") == 2  # noqa: E731
    stack.until(counted, 60, "the second event of a user of before the crash")


def _what_is_promoted_serves(stack: _Stack) -> None:
    first = stack.run("service", "cat /var/lib/usher/model/champion")
    stack.run("service", "usher train --users 600 --seed 5 --candidates linear --no-promote")
    versions = set(stack.run("service", "ls /var/lib/usher/model/versions").split())
    (second,) = versions - {first}
    for version, command in (
        (second, block("promote").replace("$VERSION", second)),
        (first, inside("service", "usher rollback")),
    ):
        shell(command, stack.environment)
        stack.until(lambda version=version: _serves(stack, version), PROMOTED_S, f"decisions of {version}")


def _serves(stack: _Stack, version: str) -> bool:
    stack.send("ada")
    time.sleep(1)  # the pace of the visits: whoever calls this asks again until it holds
    return (stack.profile("ada") or {}).get("model_version") == version


def _nothing_is_lost_by_a_stop(stack: _Stack, up: str) -> None:
    key = stack.run("service", "cat /var/lib/usher/keys/write")
    shell(block("stop"), stack.environment)
    shell(up, stack.environment)
    stack.until(lambda: stack.profile("ada"), FIRST_PROFILE_S, "Elasticsearch, again")
    shell(block("simulate"), stack.environment)
    stack.until(lambda: stack.profile("u-1-000000"), FIRST_PROFILE_S, "a profile after the next `up`")
    assert stack.run("service", "cat /var/lib/usher/keys/write") == key
    for line in block("daily").splitlines():
        shell(line, stack.environment)


@needs_engine
def test_a_wrong_address_is_said_in_a_sentence_and_not_tried_in_a_hot_loop(environment: Environment) -> None:
    sentence, name = "Kafka at nowhere:9092 does not answer", f"{PROJECT}-job"
    shell(f"docker run -d --rm --name {name} -e USHER_KAFKA=nowhere:9092 usher job", environment)
    try:
        said = lambda: shell(f"docker logs {name} 2>&1", environment)  # noqa: E731
        until(lambda: sentence in said(), 60, "the sentence")
        until(lambda: "Trying again in 20 s." in said(), 90, "the second attempt")
        assert said().count(sentence) <= 2 and "Traceback" not in said()
    finally:
        shell(f"docker rm -f {name}", environment)


@needs_engine
def test_kubernetes_starts_its_pods_by_a_name_that_is_there(environment: Environment) -> None:
    scripts = "command -v kubernetes-jobmanager.sh kubernetes-taskmanager.sh"
    shell(f"docker run --rm --entrypoint /docker-entrypoint.sh usher bash -c '{scripts}'", environment)


def test_the_file_is_valid_for_both_generations() -> None:
    """No `version` (2 warns of it, 1.29 does not need it), every port on loopback and by variable, every image ours."""
    composed: dict[str, Any] = yaml.safe_load(Path(ROOT / "docker/compose.yaml").read_text())
    assert "version" not in composed
    for service in composed["services"].values():
        assert service["image"] == "${IMAGE:-usher}"
        for port in service.get("ports", ()):
            assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z]+_PORT:-\d+\}:\d+", port)


@needs_engine
def test_settings_reach_every_part_but_not_the_stacks_own_addresses(tmp_path: Path) -> None:
    (tmp_path / "my.env").write_text("USHER_PARALLELISM=3\nUSHER_KAFKA=elsewhere:9092\n")
    for file, parallelism in ((str(tmp_path / "my.env"), "3"), ("", None)):
        shown = shell(composed("docker compose -f docker/compose.yaml config"), dict(os.environ) | {"SETTINGS": file})
        services = yaml.safe_load(shown)["services"]
        assert {services[name]["environment"].get("USHER_PARALLELISM") for name in ("job", "service")} == {parallelism}
        assert services["job"]["environment"]["USHER_KAFKA"] == "kafka:29092"


@needs_engine
def test_official_images_are_laid_over_it() -> None:
    """Only `config`: no image can be pulled where this runs."""
    shown = shell(block("official").replace("up -d", "config"), dict(os.environ) | {"KAFKA_IMAGE": "mirror/kafka:1"})
    composed: dict[str, Any] = yaml.safe_load(shown)
    images = {name: service["image"] for name, service in composed["services"].items()}
    assert images.pop("kafka") == "mirror/kafka:1" and images.pop("elasticsearch").startswith("elasticsearch:")
    assert set(images.values()) == {"usher"}


def _documented(row: str) -> float:
    """The figure of that row of docs/docker.md."""
    (figure,) = re.findall(rf"\| {re.escape(row)} \| ([\d,]+) ", (ROOT / "docs/docker.md").read_text())
    return float(figure.replace(",", ""))
