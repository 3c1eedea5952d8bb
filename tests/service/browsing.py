"""Pages of a site on loopback, of another origin than the service, and what reaches Kafka from them."""

import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

from running import Topic

NODE = Path(__file__).parent / "node"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ANALYTICS = NODE / "node_modules/@segment/analytics-next/dist/umd"


def messages(events: Topic, count: int) -> list[dict[str, Any]]:
    """The next so many."""
    return [json.loads(record.value) for record in events.records(count)]


def put(site: str, name: str, html: str) -> str:
    """A page of the site; its address."""
    folder = Path(urllib.request.urlopen(f"{site}/root").read().decode())
    (folder / name).write_text(f"<!doctype html><title>Start</title>{html}")
    return f"{site}/{name}"
