"""Where a user is and on what: IP address to place, user agent to device.

>>> enricher = Enricher("build/geo/country.mmdb")            # doctest: +SKIP
>>> enricher(["81.2.69.142"], ["Mozilla/5.0 ..."])   # doctest: +SKIP
{'country': ['GB'], 'continent': ['EU'], ...}
"""

from ._devices import Device, Devices
from ._geo import Geo, GeoDatabaseError, Place
from ._rows import ENRICHED_COLUMNS, Enricher, enrich

__all__ = ["ENRICHED_COLUMNS", "Device", "Devices", "Enricher", "Geo", "GeoDatabaseError", "Place", "enrich"]
