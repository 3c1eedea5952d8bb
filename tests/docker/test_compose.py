"""The whole stack from docker/compose.yaml on a real engine: events in, profiles out, and nothing left behind."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from elasticsearch import Elasticsearch
from waiting import until

from usher.settings import ROOT
from usher.stack._servers import free_port

PROJECT = "usher-test"
FIRST_PROFILE_S = 180
IMAGE_BYTES = 1_500_000_000
PORTS = ("KAFKA_PORT", "ELASTICSEARCH_PORT", "FLINK_PORT", "SERVICE_PORT")


def engine_answers() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True).returncode == 0


needs_engine = pytest.mark.skipif(not engine_answers(), reason="no Docker engine answers here; CI starts one")


def block(title: str) -> str:
    """The commands of docs/docker.md, for whichever Compose there is and for a project of our own."""
    text = (ROOT / "docs" / "docker.md").read_text()
    (commands,) = re.findall(rf"```sh\n# {title}\n(.*?)```", text, re.DOTALL)
    v2 = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
    return commands.replace("docker compose", f"{'docker compose' if v2 else 'docker-compose'} -p {PROJECT}")


def shell(commands: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout.strip()


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    ports: set[int] = set()
    for _ in PORTS:
        ports.add(free_port(0, ports))
    keys = {f"USHER_{role}_KEY": f"{role.lower()}-key-for-the-test-0123456789" for role in ("WRITE", "READ", "ADMIN")}
    environment = dict(os.environ) | {name: str(port) for name, port in zip(PORTS, sorted(ports), strict=True)} | keys
    yield environment
    shell(block("down"), environment)


@needs_engine
def test_from_up_to_profiles_to_down(environment: dict[str, str]) -> None:
    make_image, up = block("up").strip().splitlines()
    shell(make_image, environment)
    size, user = shell("docker image inspect usher --format '{{.Size}} {{.Config.User}}'", environment).split()
    assert int(size) <= IMAGE_BYTES and user == "usher"

    began = time.monotonic()
    shell(up, environment)
    address = f"http://127.0.0.1:{environment['ELASTICSEARCH_PORT']}"
    send, profile = block("use").strip().splitlines()
    outside = {name: value for name, value in environment.items() if not name.endswith("_KEY")}
    with Elasticsearch(address) as client:
        until(lambda: _there(client), FIRST_PROFILE_S, "the indices")
        shell(send, outside)
        _await_profile(client, "u-1-000000", environment)
    print(f"cold up to first profile: {time.monotonic() - began:.0f} s; image: {int(size) / 1e6:.0f} MB")
    assert "welcome_message" in shell(profile, outside)
    health = f"http://127.0.0.1:{environment['SERVICE_PORT']}/health"
    shell(f".venv/bin/python -c 'import urllib.request as u; u.urlopen(\"{health}\", timeout=30)'", environment)

    shell(block("stop"), environment)
    shell(up, environment)
    with Elasticsearch(address) as client:
        until(lambda: _there(client), FIRST_PROFILE_S, "Elasticsearch, again")
        assert client.exists(index="profiles", id="u-1-000000")
        shell(send.replace("--users 20", "--users 20 --seed 2"), outside)
        _await_profile(client, "u-2-000000", environment)

    shell(block("down"), environment)
    for kind in ("ps -a", "volume ls", "network ls"):
        command = f"docker {kind} -q --filter label=com.docker.compose.project={PROJECT}"
        assert shell(command, environment) == "", kind


def test_the_file_is_valid_for_both_generations() -> None:
    """No `version` (2 warns of it, 1.29 does not need it), every port on loopback and by variable, every image ours."""
    composed: dict[str, Any] = yaml.safe_load(Path(ROOT / "docker/compose.yaml").read_text())
    assert "version" not in composed
    for service in composed["services"].values():
        assert service["image"] == "${IMAGE:-usher}"
        for port in service.get("ports", ()):
            assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z]+_PORT:-\d+\}:\d+", port)


@needs_engine
def test_official_images_are_laid_over_it() -> None:
    """Only `config`: no image can be pulled where this runs."""
    (command,) = block("official").strip().splitlines()
    shown = shell(command.replace("up -d", "config"), dict(os.environ) | {"KAFKA_IMAGE": "mirror/kafka:1"})
    composed: dict[str, Any] = yaml.safe_load(shown)
    images = {name: service["image"] for name, service in composed["services"].items()}
    assert images.pop("kafka") == "mirror/kafka:1" and images.pop("elasticsearch").startswith("elasticsearch:")
    assert set(images.values()) == {"usher"}


def _await_profile(client: Elasticsearch, user: str, environment: dict[str, str]) -> None:
    try:
        until(lambda: client.exists(index="profiles", id=user), FIRST_PROFILE_S, f"the profile of {user}")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{_logs(environment)}") from None


def _there(client: Elasticsearch) -> bool:
    return bool(client.ping() and client.indices.exists(index="profiles"))


def _logs(environment: dict[str, str]) -> str:
    names = shell(f"docker ps -a --format '{{{{.Names}}}} {{{{.Status}}}}' --filter name={PROJECT}", environment)
    tails = [shell(f"docker logs --tail 15 {line.split()[0]} 2>&1", environment) for line in names.splitlines()]
    return "\n\n".join([names, *tails])
