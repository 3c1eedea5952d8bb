"""Where a user is and what they hold: ip and user agent, a column at a time."""

from collections.abc import Mapping
from typing import Any

from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext

from usher.enrich import Enricher
from usher.settings import ROOT

FIELDS = [
    DataTypes.FIELD(name, DataTypes.STRING())
    for name in ("country", "continent", "region", "city", "device_type", "os", "browser")
] + [DataTypes.FIELD("is_bot", DataTypes.BOOLEAN())]


class Enrich:
    """Opens the geo database once a worker; look-ups are cached."""

    def __init__(self, geo_database: str) -> None:
        self._geo_database = geo_database

    def open(self, function_context: FunctionContext) -> None:
        self._enricher = Enricher(ROOT / self._geo_database)

    def __call__(self, columns: Mapping[str, Any]) -> dict[str, list[Any]]:
        return self._enricher(columns["ip"], columns["user_agent"])
