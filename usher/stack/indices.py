"""The indices and their aliases, from the mappings in conf/elasticsearch/."""

import json
from collections.abc import Iterator
from typing import Any

from elasticsearch import Elasticsearch

from usher.stack._errors import StackError
from usher.stack._jars import REPO

MAPPINGS = REPO / "conf" / "elasticsearch"

INDICES = {
    "profiles": "profiles-v1",
    "identities": "identities-v1",
    "ingest": "ingest-v1",
    "drift": "drift-v1",
}
"""Alias → the index behind it. Readers and writers use the alias."""


def create_indices(url: str, **login: Any) -> tuple[str, ...]:
    """Create the indices that are not there yet, each with its alias, and fields that an index does not have yet.

    Returns the names of what it created, a field's as `profiles.city`. `login` is what elasticsearch-py needs beside
    the address (`usher.access.elasticsearch_login`).

    >>> create_indices("http://127.0.0.1:9200")
    ('profiles-v1', 'identities-v1', 'ingest-v1', 'drift-v1')
    """
    bodies = {alias: _body(alias) for alias in INDICES}
    with Elasticsearch(**{"hosts": url} | login) as client:
        return tuple(name for alias, body in bodies.items() for name in _created(client, alias, body))


def missing_fields(client: Elasticsearch, alias: str, index: str) -> tuple[str, ...]:
    """Fields that the alias's mapping in conf/ has and the index has not, such as `city` or `decisions.badge`."""
    wanted = set(_fields(_body(alias).get("mappings", {})))
    lacking = [wanted.difference(_fields(one["mappings"])) for one in client.indices.get_mapping(index=index).values()]
    return tuple(sorted(set[str]().union(*lacking)))


def create_index(alias: str, index: str, **login: Any) -> None:
    """Create an index with the mapping of the alias, which does not point to it yet: to be filled in peace."""
    body = _body(alias)
    with Elasticsearch(**login) as client:
        client.indices.create(index=index, mappings=body.get("mappings"), settings=body.get("settings"))


def switch_alias(alias: str, index: str, **login: Any) -> tuple[str, ...]:
    """Let the alias point to that index alone, in one step; returns where it pointed before. Nothing is deleted."""
    with Elasticsearch(**login) as client:
        before = tuple(client.indices.get_alias(name=alias))
        actions: list[dict[str, Any]] = [{"remove": {"index": old, "alias": alias}} for old in before]
        client.indices.update_aliases(actions=[*actions, {"add": {"index": index, "alias": alias}}])
    return before


def _created(client: Elasticsearch, alias: str, body: dict[str, Any]) -> tuple[str, ...]:
    index = INDICES[alias]
    if client.indices.exists_alias(name=alias):  # wherever it points: `usher index switch` may have moved it
        if fields := missing_fields(client, alias, alias):
            client.indices.put_mapping(index=alias, properties=body["mappings"]["properties"])
        return tuple(f"{alias}.{field}" for field in fields)
    if client.indices.exists(index=index):
        client.indices.put_alias(index=index, name=alias)
        return ()
    aliases = {**body.get("aliases", {}), alias: {}}
    client.indices.create(index=index, mappings=body.get("mappings"), settings=body.get("settings"), aliases=aliases)
    return (index,)


def _fields(mapping: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, field in mapping.get("properties", {}).items():
        yield f"{prefix}{name}"
        yield from _fields(field, f"{prefix}{name}.")


def _body(alias: str) -> dict[str, Any]:
    path = MAPPINGS / f"{alias}.json"
    where = path.relative_to(REPO) if path.is_relative_to(REPO) else path
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        raise StackError(f"{where} is missing: it must hold the settings and mappings of {INDICES[alias]}.") from None
    except ValueError as error:
        raise StackError(f"{where} is not a JSON object: {error}.") from error
