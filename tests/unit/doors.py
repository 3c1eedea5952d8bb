"""Servers with a guard at the door, and what is no server at all."""

import base64
import datetime
import ipaddress
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from waiting import until

from usher.stack._servers import HOST, Kafka, free_port


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for loopback that signs itself, and the same with its key before it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    public, both = folder / "authority.pem", folder / "server.pem"
    public.write_bytes(pem)
    both.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form) + pem)
    return public, both


@contextmanager
def secured_broker(home: Path, keystore: Path) -> Iterator[dict[str, str]]:
    """A real broker by what it wants: PLAINTEXT nothing, SASL_PLAINTEXT the password `right` of `usher`, SSL TLS.

    The addresses that it advertises for the listener `LOST` are those of nobody.
    """
    plan = Kafka().prepare(home)
    ports = {name: free_port(0) for name in ("SASL_PLAINTEXT", "SSL", "LOST")}
    config, log = home / "kafka" / "server.properties", home / "kafka.log"
    listeners = ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())
    text = config.read_text().replace("listeners=PLAINTEXT", f"listeners={listeners},PLAINTEXT")
    text = text.replace(
        "PLAINTEXT:PLAINTEXT,", "SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,LOST:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
    )
    text += "\n".join((
        f"advertised.listeners={listeners.replace(str(ports['LOST']), '1')},PLAINTEXT://{plan['state']['address']}",
        "sasl.enabled.mechanisms=PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config="
        'org.apache.kafka.common.security.plain.PlainLoginModule required user_usher="right";',
        "ssl.keystore.type=PEM",
        f"ssl.keystore.location={keystore}",
    ))  # fmt: skip
    config.write_text(text + "\n")
    with log.open("wb") as out, subprocess.Popen(plan["command"], cwd=plan["cwd"], stdout=out, stderr=out) as broker:
        try:
            until(lambda: broker.poll() is not None or Kafka.ready(plan["state"], log), 90, "the broker")
            assert broker.poll() is None, log.read_text()[-3000:]
            yield {name: f"{HOST}:{port}" for name, port in ports.items()} | {"PLAINTEXT": plan["state"]["address"]}
        finally:
            broker.kill()


@contextmanager
def guarded(forbidden: str = "", keystore: Path | None = None, product: str = "Elasticsearch") -> Iterator[str]:
    """What Elasticsearch with security answers: 401 to a wrong password, 403 at the path that is forbidden.

    A bulk request is answered with 200, and with 403 for each of its items if `items` is forbidden. The node of the
    embedded stack has no security module: none is published as a jar.
    """
    right = "Basic " + base64.b64encode(b"usher:right").decode()

    class Door(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            known = self.headers.get("Authorization") == right
            self.send_response(401 if not known else 403 if forbidden and self.path.startswith(forbidden) else 200)
            body = json.dumps(refused_items if self.path.startswith("/_bulk") and known else {}).encode()
            for name, value in (("X-Elastic-Product", product), ("Content-Type", "application/json")):
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

        do_GET = do_HEAD = do_PUT = do_POST = answer

        def log_message(self, format: str, *arguments: Any) -> None:
            """A test's output is no access log."""

    error = {"type": "security_exception", "reason": "action [indices:data/write/bulk[s]] is unauthorized"}
    item = {"status": 403, "error": error} if forbidden == "items" else {"status": 404, "result": "not_found"}
    refused_items = {"errors": forbidden == "items", "items": [{"delete": item}]}
    with ThreadingHTTPServer((HOST, 0), Door) as server:
        if keystore:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(keystore)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"{'https' if keystore else 'http'}://{HOST}:{server.server_address[1]}"
        server.shutdown()


@contextmanager
def mute() -> Iterator[str]:
    """A port that takes connections and never says a word."""
    with socket.create_server((HOST, 0)) as listening:
        yield f"{HOST}:{listening.getsockname()[1]}"


@contextmanager
def nobody() -> Iterator[str]:
    """A port that is held, so that no other takes it, and where nobody listens."""
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        yield f"{HOST}:{unused.getsockname()[1]}"
