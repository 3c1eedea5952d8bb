"""Settings: `conf/usher.yaml`, overridden by `USHER_*` environment variables, checked before anything starts."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PATHS = ("geo_database", "model_dir", "rules_dir", "connectors_jar", "dead_letters")
MAY_BE_ZERO = ("out_of_orderness_s", "clock_grace_s")
CHOICES = {"state_backend": ("hashmap", "rocksdb")}
SERVICE_VARIABLES = {"USHER_HOME", "USHER_SERVERS"}


class SettingsError(ValueError):
    """One or more settings are unknown or impossible; the text lists them all."""


def load(environ: Mapping[str, str] | None = None, file: Path | None = None) -> dict[str, Any]:
    """All settings by name; paths are absolute, relative ones are taken from the project's root.

    >>> load({"USHER_TILE_S": "2"})["tile_s"]
    2
    """
    environ = os.environ if environ is None else environ
    file = file or ROOT / "conf" / "usher.yaml"
    settings: dict[str, Any] = yaml.safe_load(file.read_text())
    problems: list[str] = []
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
    problems += _problems(settings)
    if problems:
        raise SettingsError("\n".join(problems))
    for name in PATHS:
        settings[name] = str(ROOT / settings[name])
    if "://" not in settings["checkpoint_dir"]:
        settings["checkpoint_dir"] = (ROOT / settings["checkpoint_dir"]).as_uri()
    return settings


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
    return problems
