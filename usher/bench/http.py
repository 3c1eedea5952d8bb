"""A load generator that costs little, so that it measures the server: HTTP/1.1 over kept connections, in a process
of its own.

Closed loop: each of `clients` asks again as soon as it has its answer (what the server can do). Open loop: requests
leave on schedule whatever has come back, and latency counts from the schedule (what a user waits, queueing included).
"""

import asyncio
import json
import subprocess
import sys
import time
from typing import Any, NamedTuple

import numpy as np

Raw = bytes


class Target(NamedTuple):
    """Where to ask, and what: complete requests, taken in turn."""

    host: str
    port: int
    requests: list[Raw]


def request(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Raw:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Connection:
    """One kept connection; `await ask(request)` is status and body."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, target: Target) -> "Connection":
        return cls(*await asyncio.open_connection(target.host, target.port))

    async def ask(self, raw: Raw) -> tuple[int, bytes]:
        self._writer.write(raw)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        _, _, after = head.partition(b"content-length:")
        body = await self._reader.readexactly(int(after.split(b"\r\n", 1)[0]))
        return int(head[9:12]), body

    def close(self) -> None:
        self._writer.close()


class Tally:
    """What came back: how long each answer took, and how many were not as they should be."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.failed = self.degraded = 0

    def add(self, seconds: float, status: int, body: bytes) -> None:
        """An answer; a decision that was made without the profile says `"degraded":true`."""
        self.taken.append(seconds)
        self.failed += status != 200
        self.degraded += b'"degraded":true' in body

    def said(self) -> dict[str, Any]:
        """Latency in milliseconds, and the counts."""
        p50, p95, p99 = (round(float(ms), 2) for ms in np.percentile(np.array(self.taken) * 1000, [50, 95, 99]))
        counts = {"requests": len(self.taken), "failed": self.failed, "degraded": self.degraded}
        return counts | {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99}


async def closed(target: Target, clients: int, seconds: float) -> dict[str, Any]:
    """Requests a second, and latency in milliseconds."""
    turn = iter(range(sys.maxsize))
    end = time.perf_counter() + seconds
    tally = Tally()

    async def client() -> None:
        connection = await Connection.open(target)
        while (began := time.perf_counter()) < end:
            answer = await connection.ask(target.requests[next(turn) % len(target.requests)])
            tally.add(time.perf_counter() - began, *answer)
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return {"per_second": round(len(tally.taken) / (time.perf_counter() - began), 1), **tally.said()}


async def open_loop(target: Target, per_second: float, seconds: float) -> dict[str, Any]:
    """Latency in milliseconds at a steady rate, from the moment at which each request was due."""
    free = [await Connection.open(target) for _ in range(32)]
    tally = Tally()

    async def one(number: int, due: float) -> None:
        connection = free.pop() if free else await Connection.open(target)
        answer = await connection.ask(target.requests[number % len(target.requests)])
        tally.add(time.perf_counter() - due, *answer)
        free.append(connection)

    began = time.perf_counter() + 0.1
    async with asyncio.TaskGroup() as group:
        for number in range(int(per_second * seconds)):
            due = began + number / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(number, due))
    for connection in free:
        connection.close()
    return {"per_second": per_second, **tally.said()}


def run(target: Target, loop: str, amount: float, seconds: float) -> dict[str, Any]:
    """`closed` with so many clients or `open` at so many a second, in a second process.

    Figures of a server that refuses are none: an answer that is not 200 is a RuntimeError.
    """
    order = {"host": target.host, "port": target.port, "loop": loop, "amount": amount, "seconds": seconds}
    order["requests"] = [raw.decode("latin-1") for raw in target.requests]
    command = [sys.executable, "-m", "usher.bench.http"]
    done = subprocess.run(command, input=json.dumps(order), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"The load generator failed:\n{done.stderr[-2000:]}")
    found = dict(json.loads(done.stdout))
    if found["failed"]:
        what = target.requests[0].split(b"\r\n", 1)[0].decode("latin-1")
        raise RuntimeError(f"{found['failed']} of {found['requests']} requests like {what!r} were not answered by 200.")
    return found


def _main(order: dict[str, Any]) -> dict[str, Any]:
    import uvloop

    target = Target(order["host"], order["port"], [raw.encode("latin-1") for raw in order["requests"]])
    if order["loop"] == "closed":
        return uvloop.run(closed(target, int(order["amount"]), order["seconds"]))
    return uvloop.run(open_loop(target, order["amount"], order["seconds"]))


if __name__ == "__main__":
    print(json.dumps(_main(json.load(sys.stdin))))
