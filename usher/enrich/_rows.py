"""Many users at once, columns in and columns out."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ._devices import Device, Devices
from ._geo import Geo, Place

ENRICHED_COLUMNS = (*Place._fields, *Device._fields)
"""country, continent, region, city, device_type, os, browser, is_bot."""


class Enricher:
    """`Enricher("geo.mmdb")(ips, user_agents)["country"]`: one value per row in each column, with caches kept."""

    def __init__(self, path: str | Path) -> None:
        self.geo = Geo(path)
        self.devices = Devices()

    def __call__(self, ip: Sequence[str | None], user_agent: Sequence[str | None]) -> dict[str, list[Any]]:
        """Columns by name, in the order of `ENRICHED_COLUMNS`."""
        if len(ip) != len(user_agent):
            raise ValueError(f"enrich() got {len(ip)} addresses but {len(user_agent)} user agents: give one per row.")
        if not len(ip):
            return {name: [] for name in ENRICHED_COLUMNS}
        places = zip(*map(self.geo.lookup, ip), strict=True)
        devices = zip(*map(self.devices.parse, user_agent), strict=True)
        return {name: [*values] for name, values in zip(ENRICHED_COLUMNS, (*places, *devices), strict=True)}


@lru_cache(4)
def _enricher(path: str) -> Enricher:
    return Enricher(path)


def enrich(
    ip: Sequence[str | None], user_agent: Sequence[str | None], path: str | Path = "build/geo/country.mmdb"
) -> dict[str, list[Any]]:
    """`enrich(ips, user_agents, "geo.mmdb")`: `Enricher` with the opened database kept between calls."""
    return _enricher(str(path))(ip, user_agent)
