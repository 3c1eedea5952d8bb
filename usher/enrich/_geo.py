"""IP address to place, by a MaxMind-format database."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import maxminddb

from ._continents import CONTINENT_OF


class GeoDatabaseError(RuntimeError):
    """The geo database is missing or is not a MaxMind database; the message says what to do."""


class Place(NamedTuple):
    """Where an address is: ISO 3166-1 country, two-letter continent, English region and city; None when unknown."""

    country: str | None = None
    continent: str | None = None
    region: str | None = None
    city: str | None = None


NOWHERE = Place()


class Geo:
    """`Geo("geo.mmdb").lookup("81.2.69.142").country == "GB"`.

    Reads ip-location-db's country databases (`country_code` alone) and MaxMind's GeoIP2 and GeoLite2 City and Country.
    """

    def __init__(self, path: str | Path, cache_size: int = 65_536) -> None:
        self.path = Path(path)
        self._reader = _open(self.path)
        self._cached = lru_cache(cache_size)(self._lookup)

    def lookup(self, ip: str | None) -> Place:
        """The place of an IPv4 or IPv6 address; all None for no address, a malformed or an unknown one."""
        return self._cached(ip) if isinstance(ip, str) and ip else NOWHERE

    def _lookup(self, ip: str) -> Place:
        try:
            record = self._reader.get(ip)
        except (ValueError, maxminddb.InvalidDatabaseError):
            return NOWHERE  # not an address, IPv6 asked of an IPv4 database, or a damaged record
        return _place(record) if isinstance(record, dict) else NOWHERE


def _open(path: Path) -> maxminddb.Reader:
    if not path.is_file():
        raise GeoDatabaseError(f"The geo database {path} does not exist: run `make geo` to fetch it.")
    try:
        return maxminddb.open_database(str(path))
    except (maxminddb.InvalidDatabaseError, OSError) as error:
        raise GeoDatabaseError(
            f"The geo database {path} cannot be read ({error}): run `make geo` to fetch it again."
        ) from error


def _place(record: dict[str, Any]) -> Place:
    country = record.get("country_code") or _child(record, "country").get("iso_code")
    continent = _child(record, "continent").get("code") or CONTINENT_OF.get(country or "")
    subdivisions = record.get("subdivisions") or [{}]
    return Place(country, continent, _english(subdivisions[0]), _english(_child(record, "city")))


def _child(record: dict[str, Any], name: str) -> dict[str, Any]:
    child = record.get(name)
    return child if isinstance(child, dict) else {}


def _english(named: dict[str, Any]) -> str | None:
    return _child(named, "names").get("en")
