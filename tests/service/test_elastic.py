"""The small Elasticsearch client against servers that answer in every legal way, and in some that are not."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from usher.service.elastic import Elastic, ElasticError

OK = b'{"found":true}'


@asynccontextmanager
async def server(answer: Callable[[bytes], bytes | None]) -> AsyncIterator[tuple[str, list[bytes], list[int]]]:
    """`answer(request)` says what to send, None: hang up. Yields address, requests and a mark per connection."""
    requests: list[bytes] = []
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        while data := await reader.read(65536):
            requests.append(data)
            said = answer(data)
            if said is None:
                break
            writer.write(said)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}", requests, connections


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 20))  # type: ignore[arg-type]


def plain(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\n%scontent-length: %d\r\n\r\n%s" % (status, more, len(body), body)


def test_one_connection_for_one_after_the_other() -> None:
    async def test() -> None:
        async with server(lambda _: plain(OK)) as (address, requests, connections):
            elastic = Elastic([f"http://{address}"])
            for _ in range(5):
                assert await elastic.ask("GET", "profiles/_doc/ada") == {"found": True}
            assert (len(requests), len(connections)) == (5, 1)
            assert requests[0].startswith(b"GET /profiles/_doc/ada HTTP/1.1\r\n")
            elastic.close()

    run(test)


def test_several_at_once_do_not_mix() -> None:
    async def test() -> None:
        async with server(lambda data: plain(b'{"path":"%s"}' % data.split()[1])) as (address, _, connections):
            elastic = Elastic([f"http://{address}"])
            answers = await asyncio.gather(*(elastic.ask("GET", str(n)) for n in range(20)))
            assert [answer["path"] for answer in answers] == [f"/{n}" for n in range(20)]
            assert len(connections) <= 20
            elastic.close()

    run(test)


@pytest.mark.parametrize(
    "said",
    [
        b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n{"found\r\n7\r\n":true}\r\n0\r\n\r\n',
        plain(OK, more=b"connection: close\r\n"),
        plain(OK, status=b"201 Created"),
    ],
)
def test_framings(said: bytes) -> None:
    async def test() -> None:
        async with server(lambda _: said) as (address, _, _):
            elastic = Elastic([f"http://{address}"])
            for _ in range(2):
                assert await elastic.ask("GET", "x") == {"found": True}
            elastic.close()

    run(test)


def test_no_such_document_is_an_answer_and_no_such_index_is_not() -> None:
    async def test() -> None:
        bodies = iter([plain(b'{"found":false}', b"404 Not Found"), plain(b'{"error":{}}', b"404 Not Found")])
        async with server(lambda _: next(bodies)) as (address, _, _):
            elastic = Elastic([f"http://{address}"])
            assert await elastic.ask("GET", "x") == {"found": False}
            with pytest.raises(ElasticError, match="404"):
                await elastic.ask("GET", "x")

    run(test)


@pytest.mark.parametrize("said", [None, b"SSH-2.0-x\r\n", plain(b"{}", b"500 Oops"), plain(b"[1]"), plain(b"<html>")])
def test_answers_that_are_none(said: bytes | None) -> None:
    async def test() -> None:
        async with server(lambda _: said) as (address, _, _):
            elastic = Elastic([f"http://{address}"])
            with pytest.raises(ElasticError):
                await elastic.ask("GET", "x")

    run(test)


def test_an_answer_that_came_too_late_is_nobody_elses() -> None:
    async def test() -> None:
        held = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            first = await reader.read(65536)
            if b"/slow" in first:
                await held.wait()
            writer.write(plain(b'{"path":"%s"}' % first.split()[1]))

        async with await asyncio.start_server(slow, "127.0.0.1", 0) as listening:
            elastic = Elastic([f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await elastic.ask("GET", "slow")
            held.set()
            assert await elastic.ask("GET", "next") == {"path": "/next"}
            elastic.close()

    run(test)


def test_a_login_in_the_address_and_a_body() -> None:
    async def test() -> None:
        async with server(lambda _: plain(OK)) as (address, requests, _):
            elastic = Elastic([f"http://{address}/es/"], basic_auth=("us@er", "p:ss"))
            await elastic.ask("POST", "_mget", {"docs": []})
            head, _, body = requests[0].partition(b"\r\n\r\n")
            assert head.startswith(b"POST /es/_mget HTTP/1.1")
            assert b"Authorization: Basic " + base64.b64encode(b"us@er:p:ss") in head
            assert (body, b"Content-Length: 11" in head) == (b'{"docs":[]}', True)
            elastic.close()

    run(test)
