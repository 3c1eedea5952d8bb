"""Elasticsearch over kept connections, at the least cost: a decision waits for nothing else.

A general HTTP client costs more processor time than all the rest of a decision (`usher bench decide` has the figures),
and one that speaks only what is needed here is short: requests with a JSON body or none, answers of any framing.
"""

import asyncio
import base64
import itertools
import ssl
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import orjson


class ElasticError(Exception):
    """Elasticsearch was not reached, or answered neither 200 nor that there is no such document."""


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing() and self._answer is None

    async def ask(self, raw: bytes) -> tuple[int, bytes]:
        assert self._transport is not None
        self._body: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # what asyncio and httptools call

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods only

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, AttributeError) as error:  # not HTTP, or bytes that nobody asked for
            self._end(ElasticError(f"The answer is not HTTP: {type(error).__name__}."))
            self.close()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result((self._parser.get_status_code(), b"".join(self._body)))
        if not self._parser.should_keep_alive():
            self.close()

    def connection_lost(self, _: Exception | None) -> None:
        self._end(ElasticError("The connection was lost."))

    def _end(self, error: ElasticError) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)


class Host:
    """One node, and the connections to it that are free."""

    def __init__(self, url: str, authorization: str | None, ca_certs: str | None) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        self._address = (parts.hostname or "localhost", parts.port or (443 if secure else 80))
        self._ssl = ssl.create_default_context(cafile=ca_certs) if secure else None
        self._path = parts.path.rstrip("/")
        self._head = f"Host: {self._address[0]}:{self._address[1]}\r\nAccept: application/json\r\n"
        if authorization is not None:
            self._head += f"Authorization: {authorization}\r\n"
        self._free: list[_Connection] = []

    async def ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body. A connection whose answer nobody awaits any more is closed, not used again."""
        length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        raw = f"{method} {self._path}{path} HTTP/1.1\r\n{self._head}{length}\r\n".encode() + body
        connection = await self._connection()
        try:
            answer = await connection.ask(raw)
        except BaseException:
            connection.close()
            raise
        if connection.usable:
            self._free.append(connection)
        return answer

    async def _connection(self) -> _Connection:
        while self._free:
            connection = self._free.pop()
            if connection.usable:
                return connection
        loop = asyncio.get_running_loop()
        try:
            _, made = await loop.create_connection(_Connection, *self._address, ssl=self._ssl)
        except OSError as error:
            raise ElasticError(f"Elasticsearch was not reached: {type(error).__name__}.") from error
        return made

    def close(self) -> None:
        while self._free:
            self._free.pop().close()


class Elastic:
    """`await Elastic(["http://localhost:9200"]).ask("GET", "profiles/_doc/u1")`; several hosts are asked in turn.

    The arguments are those of `usher.access.elasticsearch_login`.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        basic_auth: tuple[str, str] | None = None,
        api_key: str | None = None,
        ca_certs: str | None = None,
    ) -> None:
        authorization = f"ApiKey {api_key}" if api_key else None
        if basic_auth:
            authorization = f"Basic {base64.b64encode(':'.join(basic_auth).encode()).decode()}"
        self._hosts = [Host(host, authorization, ca_certs) for host in hosts]
        self._turn = itertools.cycle(self._hosts)

    async def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The answer of a 200, or of a 404 that says there is no such document; the next host if one is not there."""
        raw = b"" if body is None else orjson.dumps(body)
        for attempt, host in enumerate(itertools.islice(self._turn, len(self._hosts)), 1):
            try:
                status, text = await host.ask(method, f"/{path}", raw)
                break
            except ElasticError:
                if attempt == len(self._hosts):
                    raise
        answer = _object(text)
        if status not in (200, 201, 404) or (status == 404 and "error" in answer):
            raise ElasticError(f"Elasticsearch answered {status}.")
        return answer

    def close(self) -> None:
        """Close the connections."""
        for host in self._hosts:
            host.close()


def _object(text: bytes) -> dict[str, Any]:
    try:
        return dict(orjson.loads(text))
    except (ValueError, TypeError) as error:
        raise ElasticError("The answer is not a JSON object.") from error
