"""The commands of docs/docker.md, typed for a project of the tests' own."""

import re
import shutil
import subprocess

import pytest

from usher.settings import ROOT

PROJECT = "usher-test"
Environment = dict[str, str]


def engine_answers() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True).returncode == 0


needs_engine = pytest.mark.skipif(not engine_answers(), reason="no Docker engine answers here; CI starts one")


def block(title: str) -> str:
    """The commands of that title, for whichever Compose there is."""
    text = (ROOT / "docs" / "docker.md").read_text()
    (commands,) = re.findall(rf"```sh\n# {title}\n(.*?)```", text, re.DOTALL)
    return composed(commands.strip())


def composed(commands: str) -> str:
    v2 = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
    return commands.replace("docker compose", f"{'docker compose' if v2 else 'docker-compose'} -p {PROJECT}")


def inside(service: str, command: str) -> str:
    """The line that runs a command in a container of the stack."""
    return composed(f"docker compose -f docker/compose.yaml exec -T {service} {command}")


def shell(commands: str, environment: Environment) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout.strip()


def succeeds(commands: str, environment: Environment) -> bool:
    try:
        shell(commands, environment)
    except AssertionError:
        return False
    return True


def logs(environment: Environment) -> str:
    """The last lines of each container."""
    names = shell(f"docker ps -a --format '{{{{.Names}}}} {{{{.Status}}}}' --filter name={PROJECT}", environment)
    tails = [shell(f"docker logs --tail 15 {line.split()[0]} 2>&1", environment) for line in names.splitlines()]
    return "\n\n".join([names, *tails])
