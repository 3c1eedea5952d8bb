"""What schemathesis cannot read in the document: the collector takes times from 1990 to an hour from now, and the pixel
a message in base64."""

import base64
import json
from typing import Any

import schemathesis
from hypothesis import strategies as st

YEARS = range(1990, 2026)
schemathesis.openapi.format(
    "date-time", st.datetimes().filter(lambda time: time.year in YEARS).map(lambda time: f"{time.isoformat()}Z")
)


def encoded(message: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(message).encode()).decode()


NAMES = ("userId", "previousId", "groupId", "event")  # with all of these it is legal by any type
schemathesis.openapi.format(
    "base64-message", st.fixed_dictionaries({name: st.text("abcä/ 1", min_size=1) for name in NAMES}).map(encoded)
)
