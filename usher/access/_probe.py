"""What listens at a Kafka address, told by its answer to one request.

Kafka's clients try again whatever happens, and in the end say only that their time is up; kafka-python waits for ever
for the TLS handshake of a port that never answers.
"""

import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Any

PATIENCE_S = 3
_CORRELATION = 4711
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, _CORRELATION, -1)
"""The one request that a broker answers before it knows who asks, in its oldest form."""


def kafka_faults(settings: Mapping[str, Any]) -> list[str]:
    """A sentence for each address where no broker answers as the settings say; none if one of them does."""
    faults = []
    for address in settings["kafka"].split(","):
        fault = _fault(address.strip(), settings)
        if fault is None:
            return []
        faults.append(f"Kafka at {address.strip()} {fault}")
    return faults


def _fault(address: str, settings: Mapping[str, Any]) -> str | None:
    host, _, port = address.rpartition(":")
    try:
        plain = socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE_S)
    except OSError as error:
        return f"does not answer ({error.strerror or error}): check USHER_KAFKA, and that the broker is up."
    with plain:
        if settings["kafka_security"] in ("SSL", "SASL_SSL"):
            return _tls_fault(plain, host.strip("[]"), settings)
        if (found := _spoken(plain)) is None:
            return None
        return (
            f"is there, but {found}, which is not Kafka by {settings['kafka_security']}: check that USHER_KAFKA has "
            "the broker's port, and USHER_KAFKA_SECURITY (SSL or SASL_SSL if the broker wants TLS)."
        )


def _tls_fault(plain: socket.socket, host: str, settings: Mapping[str, Any]) -> str | None:
    try:
        context = ssl.create_default_context(cafile=settings["kafka_ca"] or None)
    except OSError as error:  # ssl.SSLError is one, too
        reason = error.strerror or error
        return f"was not asked: USHER_KAFKA_CA={settings['kafka_ca']} is no PEM file of an authority ({reason})."
    try:
        with context.wrap_socket(plain, server_hostname=host) as secret:
            found = _spoken(secret)
    except ssl.SSLCertVerificationError as error:
        return (
            f"has a certificate that is not trusted ({error.verify_message}): USHER_KAFKA_CA names the PEM file of the "
            "authority to trust, and USHER_KAFKA must have the host's name as the certificate has it."
        )
    except OSError as error:
        return (
            f"is there, but does not speak TLS ({error.strerror or error}): check that USHER_KAFKA has the port for "
            "TLS, and USHER_KAFKA_SECURITY (PLAINTEXT or SASL_PLAINTEXT if the broker does without)."
        )
    return found and f"is there, but {found}, which is not Kafka: check that USHER_KAFKA has the broker's port."


def _spoken(connection: socket.socket) -> str | None:
    """What comes back instead of Kafka's answer; None if it is Kafka's."""
    try:
        connection.sendall(_API_VERSIONS)
        with connection.makefile("rb") as answers:
            answer = answers.read(8)
    except TimeoutError:
        return f"says nothing for {PATIENCE_S} s"
    except OSError:
        answer = b""
    if len(answer) == 8 and struct.unpack(">ii", answer)[1] == _CORRELATION:
        return None
    return "answers something else" if answer else "closes the connection"
