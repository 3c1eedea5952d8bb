"""The indices and their aliases, from the mappings in conf/elasticsearch/."""

import json
from typing import Any

from elasticsearch import Elasticsearch

from usher.stack._errors import StackError
from usher.stack._jars import REPO

MAPPINGS = REPO / "conf" / "elasticsearch"

INDICES = {"profiles": "profiles-v1", "ingest": "ingest-v1"}
"""Alias → the index behind it. Readers and writers use the alias."""


def create_indices(url: str) -> tuple[str, ...]:
    """Create the indices that are not there yet, each with its alias; returns the names of those it created.

    >>> create_indices("http://127.0.0.1:9200")
    ('profiles-v1', 'ingest-v1')
    """
    bodies = {alias: _body(alias) for alias in INDICES}
    with Elasticsearch(url) as client:
        return tuple(INDICES[alias] for alias in INDICES if _created(client, alias, bodies[alias]))


def _created(client: Elasticsearch, alias: str, body: dict[str, Any]) -> bool:
    index = INDICES[alias]
    if client.indices.exists(index=index):
        client.indices.put_alias(index=index, name=alias)
        return False
    aliases = {**body.get("aliases", {}), alias: {}}
    client.indices.create(index=index, mappings=body.get("mappings"), settings=body.get("settings"), aliases=aliases)
    return True


def _body(alias: str) -> dict[str, Any]:
    path = MAPPINGS / f"{alias}.json"
    where = path.relative_to(REPO) if path.is_relative_to(REPO) else path
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        raise StackError(f"{where} is missing: it must hold the settings and mappings of {INDICES[alias]}.") from None
    except ValueError as error:
        raise StackError(f"{where} is not a JSON object: {error}.") from error
