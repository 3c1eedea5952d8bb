"""What every route asks of a request: its body within limits, who sent it, and from where."""

import base64
import binascii
import ipaddress
import time
import zlib
from collections.abc import Iterable
from typing import Any

import orjson
from fastapi import Request

from usher.service.keys import Holder, Keys, Role
from usher.service.limits import Rates
from usher.service.messages import Origin
from usher.service.problems import Fault, Problem, bad_request

MAX_BODY_BYTES = 512 * 1024
"""Segment's limit for a batch is 500 KB; the same holds for what gzip unpacks to."""
BROWSER = "Mozilla/"
"""Every browser's user agent begins so; other callers speak for a user and not as one."""

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="usher", charset="UTF-8"'}


class Door:
    """Keys, rates and proxies: who may come in."""

    def __init__(self, keys: Keys, requests_s: float, events_s: float, trusted_proxies: Iterable[str]) -> None:
        self._keys = keys
        self.requests, self.events = Rates(requests_s), Rates(events_s)
        self._proxies = [ipaddress.ip_network(network, strict=False) for network in trusted_proxies]

    def admit(self, request: Request, role: Role, body_key: Any = None) -> Holder:
        """Who asks; 401 for no or a wrong key, 403 for one of another role, 429 for too many requests."""
        key = presented(request)
        holder = self._keys.holder(body_key if key is None and isinstance(body_key, str) else key)
        if holder is None:
            detail = f"A {role} key is needed: as Basic user, as Bearer token or in the header X-API-Key."
            raise Problem(401, detail, headers=_CHALLENGE)
        if holder.role != role:
            raise Problem(403, f"This key is a {holder.role} key; a {role} key is needed.")
        self.requests.take(holder.name)
        return holder

    def origin(self, request: Request) -> Origin:
        """The client's address: of X-Forwarded-For the last entry that no trusted proxy put itself."""
        ip = request.client.host if request.client else ""
        forwarded = [hop.strip() for hop in request.headers.get("x-forwarded-for", "").split(",") if hop.strip()]
        while forwarded and self._trusts(ip):
            ip = forwarded.pop()
        return Origin(ip, request.headers.get("user-agent", ""), time.time_ns() // 1_000_000)

    def _trusts(self, ip: str) -> bool:
        try:
            address = ipaddress.ip_address(ip)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)


def presented(request: Request) -> str | None:
    """The key as Basic user, Bearer token or X-API-Key; a wrong Authorization is not made good by another header."""
    authorization = request.headers.get("authorization")
    if authorization is None:
        return request.headers.get("x-api-key")
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
        except (binascii.Error, ValueError):
            return ""
    return ""


async def read_body(request: Request) -> bytes:
    """The body, unpacked if it is gzip; 413 when either is over the limit, 415 for another encoding."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise Problem(415, f"Content-Encoding {encoding[:40]!r} is not supported: send gzip or plain JSON.")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        parts.append(part)
    body = b"".join(parts)
    return _unpacked(body) if encoding == "gzip" else body


async def read_json(request: Request) -> Any:
    """The body as JSON, whatever its Content-Type: sendBeacon and analytics.js call it text/plain."""
    return json_of(await read_body(request), "The body")


def json_of(text: bytes, what: str) -> Any:
    """JSON, or 400 with the place where it ends to be JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise bad_request([Fault("/", f"{what} is not JSON: {error}.")]) from None


def _unpacked(body: bytes) -> bytes:
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        unpacked = inflate.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise bad_request([Fault("/", f"The body is not gzip as Content-Encoding says: {error}.")]) from None
    if len(unpacked) > MAX_BODY_BYTES:
        raise _too_large()
    if not inflate.eof:
        raise bad_request([Fault("/", "The gzip body ends early.")])
    return unpacked


def _too_large() -> Problem:
    return Problem(413, f"A body may have {MAX_BODY_BYTES} bytes, packed and unpacked: send smaller batches.")
