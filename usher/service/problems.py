"""What went wrong, as RFC 9457 problem details: which field, and why."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson
from starlette.responses import Response

PROBLEM_JSON = "application/problem+json"


class Fault(NamedTuple):
    """One thing wrong in a request: `field` is a JSON pointer into the body, or the name of a header or parameter."""

    field: str
    reason: str


class Problem(Exception):
    """An answer that is not a success. `extra` members stand beside RFC 9457's own."""

    def __init__(
        self,
        status: int,
        detail: str,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.faults = status, detail, faults
        self.headers, self.extra = headers, extra or {}

    def response(self) -> Response:
        """The answer; `errors` is there when single fields are to blame."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.extra,
        }
        if self.faults:
            body["errors"] = [fault._asdict() for fault in self.faults]
        return Response(orjson.dumps(body), self.status, self.headers, PROBLEM_JSON)


def bad_request(faults: Sequence[Fault], what: str = "The request") -> Problem:
    """400, every fault named."""
    said = " ".join(f"{field}: {reason}" for field, reason in faults[:5])
    return Problem(400, f"{what} is not valid: {said}", faults)
