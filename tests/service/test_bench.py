"""The load generator of `usher bench decide` counts what comes back, and takes no refusal for an answer."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from usher.bench.http import Target, request, run

ASKED = [request("GET", "/good"), request("GET", "/degraded"), request("GET", "/bad")]


@contextmanager
def answering() -> Iterator[int]:
    class Answers(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline():
                while self.rfile.readline().strip():
                    continue
                status = b"503 Oops" if b"/bad" in line else b"200 OK"
                body = b'{"degraded":true}' if b"/degraded" in line else b'{"degraded":false}'
                self.wfile.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize(("loop", "amount"), [("open", 40), ("closed", 1)])
def test_degraded_answers_are_counted_and_refusals_end_it(loop: str, amount: float) -> None:
    with answering() as port:
        found = run(Target("127.0.0.1", port, ASKED[:2]), loop, amount, 1)
        assert found["failed"] == 0 and found["requests"] >= 40
        assert abs(found["degraded"] - found["requests"] / 2) <= 1
        with pytest.raises(RuntimeError, match=r"requests like 'GET /good HTTP/1.1' were not answered by 200"):
            run(Target("127.0.0.1", port, ASKED), loop, amount, 1)
