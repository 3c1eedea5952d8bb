"""Settings: `conf/usher.yaml`, overridden by `USHER_*` environment variables, checked before anything starts."""

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "conf" / "usher.yaml"
PATHS = ("geo_database", "model_dir", "rules_dir", "connectors_jar", "dead_letters", "service_keys")
WHOLE_NUMBERS = (
    *("tile_s", "allowed_lateness_s", "clock_grace_s", "idle_timeout_s", "catch_up_s"),
    *("parallelism", "max_parallelism"),
    *("checkpoint_interval_s", "minicluster_heap_mb", "restart_attempts", "state_ttl_h", "bundle_size", "bundle_ms"),
    *("service_workers", "decision_budget_ms", "ack_timeout_s", "buffer_mib", "rate_events_s", "rate_requests_s"),
    *("retain_events_h", "retain_rejected_h", "retain_decisions_h", "retain_profiles_h"),
)
NUMBERS = ("out_of_orderness_s", "clock_lag_s")
MAY_BE_EMPTY = (
    *("kafka_user", "kafka_password", "kafka_ca"),
    *("elasticsearch_user", "elasticsearch_password", "elasticsearch_api_key", "elasticsearch_ca"),
    *("start_at", "restore_from", "replaces", "savepoint_dir", "trusted_proxies", "cors_origins"),
)
TEXTS = (
    *("kafka", "kafka_security", "kafka_sasl_mechanism", "elasticsearch", "profiles_index", "group_id"),
    *("checkpoint_dir", "state_backend", "flink", "ip_privacy", "consent_category", "consent_mode"),
    *PATHS,
    *MAY_BE_EMPTY,
)
KINDS: dict[str, type] = dict.fromkeys(TEXTS, str) | dict.fromkeys(WHOLE_NUMBERS, int) | dict.fromkeys(NUMBERS, float)
"""Every setting by name; `conf/usher.yaml` has their defaults and says what they are."""
MAY_BE_ZERO = (
    *("out_of_orderness_s", "allowed_lateness_s", "clock_grace_s", "catch_up_s"),
    *("retain_events_h", "retain_rejected_h", "retain_decisions_h", "retain_profiles_h"),
)
LATENESS_MAX_S = 3600
"""What comes later could be a duplicate that is no longer known."""
CHOICES = {
    "state_backend": ("hashmap", "rocksdb"),
    "kafka_security": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "kafka_sasl_mechanism": ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
    "ip_privacy": ("truncate", "full", "drop"),
    "consent_mode": ("opt_out", "opt_in"),
}
SECRETS = ("kafka_password", "elasticsearch_password", "elasticsearch_api_key")
"""Never in a file of settings and never printed: only by USHER_NAME, or by USHER_NAME_FILE that names a file."""
SERVICE_SECRETS = ("USHER_WRITE_KEY", "USHER_READ_KEY", "USHER_ADMIN_KEY", "USHER_PSEUDONYM_KEYS")
"""Read where they are used (from `opened()`) and nowhere else, so that no listing of settings shows them."""
SECRET_VARIABLES = (*(f"USHER_{name.upper()}" for name in SECRETS), *SERVICE_SECRETS)
SERVICE_VARIABLES = {"USHER_HOME", "USHER_SERVERS", *SERVICE_SECRETS}
JOB_FILES = {
    "model_dir": "`usher train` makes a model",
    "rules_dir": "it has to hold rules/ and content/",
    "geo_database": "`make geo` fetches one",
    "connectors_jar": "`make connectors` builds it",
}
"""What the job cannot do without, and how it is had."""

_KIND = {str: 'text; put it in quotes, "" for none', int: "a whole number", float: "a number"}
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
    variables, problems = _opened(os.environ if environ is None else environ)
    file = file or FILE
    settings, faults = _read(file)
    problems = [*faults, *problems, *_override(settings, variables, file)]
    if not faults:  # else there is no telling what the values would be
        problems += _problems(settings)
        problems += _local_places(settings) if cluster else []
    if problems:
        raise SettingsError("\n".join(problems))
    for name, between in (("kafka", ","), ("elasticsearch", ";")):
        settings[name] = between.join(address.strip() for address in settings[name].split(between))
    for name in PATHS:
        settings[name] = str(ROOT / settings[name])
    if "://" not in settings["checkpoint_dir"]:
        settings["checkpoint_dir"] = (ROOT / settings["checkpoint_dir"]).as_uri()
    return settings


def opened(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment, with what each secret's …_FILE holds in the place of the file's name. Raises SettingsError.

    >>> opened({"USHER_WRITE_KEY_FILE": "/run/secrets/write"})["USHER_WRITE_KEY"]    # doctest: +SKIP
    """
    variables, problems = _opened(os.environ if environ is None else environ)
    if problems:
        raise SettingsError("\n".join(problems))
    return variables


def missing_files(settings: Mapping[str, Any], names: Iterable[str], here: bool = False) -> list[str]:
    """A sentence for each of these JOB_FILES that does not exist.

    What lies outside the project is the workers' own: it is looked for only if they are `here`.
    """
    return [
        f"{name} = {settings[name]} does not exist: {JOB_FILES[name]}; USHER_{name.upper()} says where it is."
        for name in names
        if (here or Path(settings[name]).is_relative_to(ROOT)) and not Path(settings[name]).exists()
    ]


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


def _opened(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    variables, problems = dict(environ), list[str]()
    for variable in SECRET_VARIABLES:
        place = variables.pop(f"{variable}_FILE", "")
        if not place:
            continue
        if variables.get(variable):
            problems.append(f"{variable} and {variable}_FILE are both set: unset one of them.")
            continue
        try:
            variables[variable] = Path(place).read_text().strip()
            reason = "" if variables[variable] else "it is empty"
        except OSError as error:
            reason = str(error.strerror)
        except UnicodeDecodeError:
            reason = "it is no text"
        if reason:
            problems.append(f"{variable}_FILE names {place}, which cannot be read: {reason}.")
    return variables, problems


def _read(file: Path) -> tuple[dict[str, Any], list[str]]:
    """The settings of a file, and what is wrong with their names and kinds; not yet with their values."""
    try:
        found = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"{file} cannot be read as settings, one `name: value` a line: {reason}.") from error
    if not isinstance(found, dict):
        raise SettingsError(f"{file} holds no settings: write one `name: value` a line.")
    faults = [f"{name} in {file.name} is not a setting of Usher." for name in found if name not in KINDS]
    faults += [f"{name} is missing in {file.name}." for name in KINDS if name not in found]
    for name, value in found.items():
        if name in SECRETS and value:
            variable = f"USHER_{name.upper()}"
            faults.append(f"{name} stands in {file.name}: secrets are set by {variable} or {variable}_FILE only.")
        elif name in KINDS and not _is(value, KINDS[name]):
            faults.append(f"{name} = {value!r} in {file.name} must be {_KIND[KINDS[name]]}.")
    return found, faults


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, int | float if kind is float else kind) and not isinstance(value, bool)


def _override(settings: dict[str, Any], environ: Mapping[str, str], file: Path) -> list[str]:
    problems = []
    for variable, text in environ.items():
        name = variable.removeprefix("USHER_").lower()
        if not variable.startswith("USHER_") or variable in SERVICE_VARIABLES:
            continue
        if name not in KINDS:
            problems.append(f"{variable} is not a setting of Usher; see {file.name} for those that are.")
            continue
        try:
            settings[name] = KINDS[name](text)
        except ValueError:
            problems.append(f"{variable}={text!r} must be {_KIND[KINDS[name]]}.")
    return problems


def _problems(settings: dict[str, Any]) -> list[str]:
    problems = []
    for name in (*WHOLE_NUMBERS, *NUMBERS):
        value, zero_allowed = settings[name], name in MAY_BE_ZERO
        if not math.isfinite(value) or value < 0 or (value == 0 and not zero_allowed):
            problems.append(f"{name} = {value} must be {'zero or more' if zero_allowed else 'greater than zero'}.")
    if settings["allowed_lateness_s"] > LATENESS_MAX_S:
        problems.append(
            f"allowed_lateness_s = {settings['allowed_lateness_s']} must be at most {LATENESS_MAX_S}: "
            "duplicates are known for an hour."
        )
    if settings["parallelism"] > settings["max_parallelism"]:
        problems.append(
            f"parallelism = {settings['parallelism']} must be at most max_parallelism = {settings['max_parallelism']}, "
            "which stays as it is for the life of the state."
        )
    for name, choices in CHOICES.items():
        if settings[name] not in choices:
            problems.append(f"{name} = {settings[name]!r} must be one of {', '.join(choices)}.")
    problems += [f"{name} must not be empty." for name in TEXTS if not settings[name] and name not in MAY_BE_EMPTY]
    return problems + _addresses(settings) + _logins(settings) + _start(settings) + _authorities(settings)


def _addresses(settings: dict[str, Any]) -> list[str]:
    problems = []
    for address in settings["kafka"].split(","):
        host, colon, port = address.strip().rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
            problems.append(f"kafka: {address.strip()!r} is not an address like broker:9092.")
    if not all(_is_http(address.strip()) for address in settings["elasticsearch"].split(";")):
        # an address with a password in it would be printed wherever addresses are
        problems.append(
            "elasticsearch must hold addresses like http://host:9200, separated by ';', without user and password."
        )
    if not _is_http(settings["flink"]):
        problems.append("flink must be an address like http://host:8081, without user and password.")
    return problems


def _is_http(address: str) -> bool:
    try:
        port = urlsplit(address).port
    except ValueError:
        return False
    return bool(re.fullmatch(r"https?://(\[[^\s/@]+\]|[^\s/@:]+)(:\d+)?(/[^\s@]*)?", address)) and port != 0


def _logins(settings: dict[str, Any]) -> list[str]:
    problems, security = [], settings["kafka_security"]
    if security.startswith("SASL") and not (settings["kafka_user"] and settings["kafka_password"]):
        problems.append(f"kafka_security = {security} needs USHER_KAFKA_USER and USHER_KAFKA_PASSWORD.")
    if bool(settings["elasticsearch_user"]) != bool(settings["elasticsearch_password"]):
        problems.append("USHER_ELASTICSEARCH_USER and USHER_ELASTICSEARCH_PASSWORD are set together or not at all.")
    if settings["elasticsearch_user"] and settings["elasticsearch_api_key"]:
        problems.append("Set USHER_ELASTICSEARCH_API_KEY or user and password, not both.")
    return problems


def _start(settings: dict[str, Any]) -> list[str]:
    problems = []
    try:
        datetime.fromisoformat(settings["start_at"] or "2026-01-31T00:00:00Z").astimezone(UTC)
    except ValueError:
        problems.append(f"start_at = {settings['start_at']!r} is not a time like 2026-01-31T00:00:00Z.")
    if settings["replaces"] and "://" not in settings["savepoint_dir"]:
        problems.append("USHER_REPLACES needs USHER_SAVEPOINT_DIR, an address that all workers reach.")
    return problems


def _authorities(settings: dict[str, Any]) -> list[str]:
    problems = [
        f"{name} = {settings[name]} is not a file: it must be there on every machine, this one too."
        for name in ("kafka_ca", "elasticsearch_ca")
        if settings[name] and not Path(settings[name]).is_file()
    ]
    if settings["elasticsearch_ca"] and "http://" in settings["elasticsearch"]:
        problems.append("elasticsearch_ca is for addresses that begin with https://, and elasticsearch has another.")
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
