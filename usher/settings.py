"""Settings: `conf/usher.yaml`, overridden by `USHER_*` environment variables, checked before anything starts."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "conf" / "usher.yaml"
PATHS = ("geo_database", "model_dir", "rules_dir", "connectors_jar", "dead_letters", "service_keys")
MAY_BE_ZERO = (
    "catch_up_s",
    "retain_events_h",
    "retain_rejected_h",
    "retain_decisions_h",
    "retain_profiles_h",
    "out_of_orderness_s",
    "clock_grace_s",
)
CHOICES = {
    "state_backend": ("hashmap", "rocksdb"),
    "kafka_security": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "kafka_sasl_mechanism": ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
    "ip_privacy": ("truncate", "full", "drop"),
    "consent_mode": ("opt_out", "opt_in"),
}
SECRETS = ("kafka_password", "elasticsearch_password", "elasticsearch_api_key")
"""Never in a file of settings and never printed: only by USHER_NAME, or by USHER_NAME_FILE that names a file."""
SERVICE_SECRETS = {"USHER_WRITE_KEY", "USHER_READ_KEY", "USHER_ADMIN_KEY", "USHER_PSEUDONYM_KEYS"}
"""Read where they are used and nowhere else, so that no listing of settings shows them."""
SERVICE_VARIABLES = {"USHER_HOME", "USHER_SERVERS", *SERVICE_SECRETS}

_DESCRIBED = re.compile(r"^(?P<name>\w+):\s.*\s#\s(?P<variable>USHER_\w+): (?P<help>.+)$")


class SettingsError(ValueError):
    """One or more settings are unknown or impossible; the text lists them all."""


@dataclass(frozen=True)
class Setting:
    """What `usher settings` shows of one: `value` is what holds now, dots for a secret."""

    name: str
    variable: str
    default: Any
    value: Any
    help: str


def load(environ: Mapping[str, str] | None = None, file: Path | None = None, cluster: bool = False) -> dict[str, Any]:
    """All settings by name; paths are absolute, relative ones are taken from the project's root.

    On a `cluster`, where machines do not share the project's folder, what the job writes must have an address.

    >>> load({"USHER_TILE_S": "2"})["tile_s"]
    2
    """
    environ = os.environ if environ is None else environ
    file = file or FILE
    settings: dict[str, Any] = yaml.safe_load(file.read_text())
    problems = [
        f"{name} stands in {file.name}: secrets are set by USHER_{name.upper()} or USHER_{name.upper()}_FILE only."
        for name in SECRETS
        if settings[name]
    ]
    problems += _override(settings, _opened(environ, problems), file)
    problems += _problems(settings)
    if cluster:
        problems += _local_places(settings)
    if problems:
        raise SettingsError("\n".join(problems))
    for name in PATHS:
        settings[name] = str(ROOT / settings[name])
    if "://" not in settings["checkpoint_dir"]:
        settings["checkpoint_dir"] = (ROOT / settings["checkpoint_dir"]).as_uri()
    return settings


def described(environ: Mapping[str, str] | None = None) -> list[Setting]:
    """Each setting with its variable, default, value and help, in the order of `conf/usher.yaml`."""
    settings, defaults = load(environ), load({})
    found = []
    for line in FILE.read_text().splitlines():
        if match := _DESCRIBED.match(line):
            name = match["name"]
            value = ("•••" if settings[name] else "") if name in SECRETS else settings[name]
            found.append(Setting(name, match["variable"], defaults[name], value, match["help"]))
    return found


def shipped(path: str) -> str:
    """The path as every worker can use it with `ROOT / path`: inside the project, relative to the project."""
    return str(Path(path).relative_to(ROOT)) if Path(path).is_relative_to(ROOT) else path


def _opened(environ: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    """The environment, with the contents of files that hold secrets in the place of their names."""
    opened = dict(environ)
    for name in SECRETS:
        variable = f"USHER_{name.upper()}"
        if (place := opened.pop(f"{variable}_FILE", None)) is None:
            continue
        try:
            opened[variable] = Path(place).read_text().strip()
        except OSError as error:
            problems.append(f"{variable}_FILE names {place}, which cannot be read: {error.strerror}.")
    return opened


def _override(settings: dict[str, Any], environ: Mapping[str, str], file: Path) -> list[str]:
    problems = []
    for variable, text in environ.items():
        name = variable.removeprefix("USHER_").lower()
        if not variable.startswith("USHER_") or variable in SERVICE_VARIABLES:
            continue
        if name not in settings:
            problems.append(f"{variable} is not a setting of Usher; see {file.name} for those that are.")
            continue
        try:
            settings[name] = type(settings[name])(text)
        except ValueError:
            problems.append(f"{variable}={text!r} must be a number like the default {settings[name]}.")
    return problems


def _problems(settings: dict[str, Any]) -> list[str]:
    problems = []
    for name, value in settings.items():
        if isinstance(value, int | float):
            zero_allowed = name in MAY_BE_ZERO
            if not math.isfinite(value) or value < 0 or (value == 0 and not zero_allowed):
                problems.append(f"{name} = {value} must be {'zero or more' if zero_allowed else 'greater than zero'}.")
    for name, choices in CHOICES.items():
        if settings[name] not in choices:
            problems.append(f"{name} = {settings[name]!r} must be one of {', '.join(choices)}.")
    return problems + _addresses(settings) + _logins(settings)


def _addresses(settings: dict[str, Any]) -> list[str]:
    problems = []
    for address in settings["kafka"].split(","):
        host, colon, port = address.strip().rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
            problems.append(f"kafka: {address.strip()!r} is not an address like broker:9092.")
    for address in settings["elasticsearch"].split(";"):
        if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", address.strip()):
            # an address with a password in it would be printed wherever addresses are
            problems.append(
                "elasticsearch must hold addresses like http://host:9200, separated by ';', without user and password."
            )
    return problems


def _logins(settings: dict[str, Any]) -> list[str]:
    problems = []
    if settings["kafka_security"].startswith("SASL") and not (settings["kafka_user"] and settings["kafka_password"]):
        problems.append(
            f"kafka_security = {settings['kafka_security']} needs USHER_KAFKA_USER and USHER_KAFKA_PASSWORD."
        )
    if bool(settings["elasticsearch_user"]) != bool(settings["elasticsearch_password"]):
        problems.append("USHER_ELASTICSEARCH_USER and USHER_ELASTICSEARCH_PASSWORD are set together or not at all.")
    try:
        datetime.fromisoformat(settings["start_at"] or "2026-01-31T00:00:00Z").astimezone(UTC)
    except ValueError:
        problems.append(f"start_at = {settings['start_at']!r} is not a time like 2026-01-31T00:00:00Z.")
    if settings["replaces"] and "://" not in settings["savepoint_dir"]:
        problems.append("USHER_REPLACES needs USHER_SAVEPOINT_DIR, an address that all workers reach.")
    if settings["elasticsearch_user"] and settings["elasticsearch_api_key"]:
        problems.append("Set USHER_ELASTICSEARCH_API_KEY or user and password, not both.")
    return problems


def _local_places(settings: dict[str, Any]) -> list[str]:
    problems = []
    if "://" not in settings["checkpoint_dir"]:
        problems.append(
            f"checkpoint_dir = {settings['checkpoint_dir']!r} is a folder of one machine: "
            "on a cluster set USHER_CHECKPOINT_DIR to an address that all its machines reach, as s3://… or file:///…."
        )
    if not Path(settings["dead_letters"]).is_absolute():
        problems.append(
            f"dead_letters = {settings['dead_letters']!r} is relative: "
            "on a cluster set USHER_DEAD_LETTERS to an absolute folder that its workers may write."
        )
    return problems
