"""Addresses and logins from the settings, as options of a Flink table and as arguments of a Python client."""

from collections.abc import Mapping
from typing import Any

_SHADED = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security"
"""Flink's Kafka connector carries its own Kafka client under this name."""
_LOGIN_MODULES = {
    "PLAIN": "plain.PlainLoginModule",
    "SCRAM-SHA-256": "scram.ScramLoginModule",
    "SCRAM-SHA-512": "scram.ScramLoginModule",
}


def kafka_options(settings: Mapping[str, Any]) -> str:
    """What follows the bootstrap servers in a table's WITH clause; empty for a broker without security."""
    options = {}
    if settings["kafka_security"] != "PLAINTEXT":
        options["properties.security.protocol"] = settings["kafka_security"]
    if settings["kafka_security"].startswith("SASL"):
        options["properties.sasl.mechanism"] = settings["kafka_sasl_mechanism"]
        options["properties.sasl.jaas.config"] = _jaas(settings)
    if settings["kafka_ca"]:
        options |= {"properties.ssl.truststore.type": "PEM", "properties.ssl.truststore.location": settings["kafka_ca"]}
    return _lines(options)


def elasticsearch_options(settings: Mapping[str, Any]) -> str:
    """What follows the hosts in a table's WITH clause; empty without security."""
    options = {
        "username": settings["elasticsearch_user"],
        "password": settings["elasticsearch_password"],
        "api-key": settings["elasticsearch_api_key"],
        "ssl.certificate-authority": settings["elasticsearch_ca"],
    }
    return _lines({name: value for name, value in options.items() if value})


def kafka_login(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of kafka-python's clients."""
    login = {"bootstrap_servers": settings["kafka"].split(","), "security_protocol": settings["kafka_security"]}
    if settings["kafka_security"].startswith("SASL"):
        login["sasl_mechanism"] = settings["kafka_sasl_mechanism"]
        login["sasl_plain_username"] = settings["kafka_user"]
        login["sasl_plain_password"] = settings["kafka_password"]
    if settings["kafka_ca"]:
        login["ssl_cafile"] = settings["kafka_ca"]
    return login


def elasticsearch_login(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of elasticsearch-py's client."""
    login: dict[str, Any] = {"hosts": settings["elasticsearch"].split(";")}
    if settings["elasticsearch_user"]:
        login["basic_auth"] = (settings["elasticsearch_user"], settings["elasticsearch_password"])
    if settings["elasticsearch_api_key"]:
        login["api_key"] = settings["elasticsearch_api_key"]
    if settings["elasticsearch_ca"]:
        login["ca_certs"] = settings["elasticsearch_ca"]
    return login


def _jaas(settings: Mapping[str, Any]) -> str:
    module = f"{_SHADED}.{_LOGIN_MODULES[settings['kafka_sasl_mechanism']]}"
    user, password = (
        settings[name].replace("\\", "\\\\").replace('"', '\\"') for name in ("kafka_user", "kafka_password")
    )
    return f'{module} required username="{user}" password="{password}";'


def _lines(options: dict[str, str]) -> str:
    return "\n    ".join(f"'{name}' = '{value.replace(chr(39), chr(39) * 2)}'," for name, value in options.items())
