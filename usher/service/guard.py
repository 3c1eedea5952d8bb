"""Around every request: security headers on the way out, and one log line that says nothing of the person."""

import logging
import time
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from usher.service.problems import Problem

log = logging.getLogger("usher.service")

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"strict-transport-security", b"max-age=31536000"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
]


class Guard:
    """ASGI middleware. The log has method, route (its template: no ids), status and milliseconds; of a fault of ours
    its kind and place, not its values: they may be a person's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, status = time.perf_counter(), 500

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                there = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in HEADERS if pair[0] not in there)]
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        except Exception as error:
            log.error("%s at %s", type(error).__name__, _places(error))
            if status != 500:  # it has begun to answer: only the connection's end can tell the client
                raise ConnectionError("The answer was cut short.") from None
            await Problem(500, "The service failed; its log says where.").response()(scope, receive, guarded)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            milliseconds = (time.perf_counter() - began) * 1000
            log.info("%s %s %d %.1f ms", scope["method"], route, status, milliseconds)
        return None


def _places(error: BaseException) -> str:
    trace, places = error.__traceback__, []
    while trace is not None:
        places.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " < ".join(reversed(places[-6:]))
