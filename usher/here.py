"""The settings of this machine: those of `conf/usher.yaml`, and the embedded stack where it runs."""

import os
from typing import Any

from usher.settings import load
from usher.stack import Stack


def settings_here() -> dict[str, Any]:
    """The settings; the embedded stack's addresses where it runs and none were given."""
    settings = load()
    found = Stack().status()
    for name in ("kafka", "elasticsearch"):
        if f"USHER_{name.upper()}" not in os.environ and found.get(name, {}).get("running"):
            settings[name] = found[name]["address"]
    return settings
