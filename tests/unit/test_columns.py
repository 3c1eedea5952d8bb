"""SQL, the functions it calls, the model and the mapping name the same columns in the same order."""

import json
import re

import numpy as np
import pytest

from udfs import decide, enrich, predict
from udfs.personalize import INPUTS
from usher.columns import PREDICT_COLUMNS, model_matrix
from usher.features import MODEL_INPUTS, PRODUCT_FEATURES
from usher.settings import ROOT

SQL = ROOT / "sql"


def sql(file: str) -> str:
    return re.sub(r"--.*", "", (SQL / file).read_text())


def names(text: str) -> list[str]:
    """`user_id, e.place.country` -> the last name of each."""
    return [item.strip().split(".")[-1] for item in text.split(",")]


def inserted(file: str, table: str) -> list[str]:
    return names(re.search(rf"INSERT INTO {table} \((.*?)\)\s*SELECT", sql(file), re.S).group(1))


def test_personalize_is_called_with_its_columns() -> None:
    called = re.search(r"personalize\((.*?)\) AS answer", sql("06_personalized.sql"), re.S).group(1)
    arguments = names(re.sub(r"COALESCE\(feature_counts\['(\w+)'\], 0\)", r"used_\1", called))
    assert arguments[:2] == ["`at`", "user_key"]
    assert ("at", "user_id", *arguments[2:]) == INPUTS


def test_each_step_finds_its_arguments_among_what_is_known() -> None:
    known = set(INPUTS) | {field.name for field in enrich.FIELDS}
    assert set(PREDICT_COLUMNS) <= known
    assert set(decide.DECIDE_COLUMNS) <= known | {field.name for field in predict.FIELDS}


@pytest.mark.parametrize(("file", "table"), [("07_profiles.sql", "profiles"), ("10_ingest.sql", "ingest")])
def test_the_mapping_has_the_columns_that_are_inserted(file: str, table: str) -> None:
    mapping = json.loads((ROOT / "conf" / "elasticsearch" / f"{table}.json").read_text())
    assert list(mapping["mappings"]["properties"]) == inserted(file, table)
    assert mapping["mappings"]["dynamic"] == "strict"


def test_the_log_has_the_columns_of_the_profile() -> None:
    assert inserted("08_decisions.sql", "decisions") == [*inserted("07_profiles.sql", "profiles"), "challenger"]


def test_preferences_and_feature_counts_are_the_products_features() -> None:
    properties = json.loads((ROOT / "conf/elasticsearch/profiles.json").read_text())["mappings"]["properties"]
    assert tuple(properties["preferences"]["properties"]) == PRODUCT_FEATURES
    assert tuple(properties["feature_counts"]["properties"]) == PRODUCT_FEATURES
    types = re.search(r"preferences ROW<(.*?)>", sql("07_profiles.sql"), re.S).group(1)
    assert tuple(item.split()[0] for item in types.split(",")) == PRODUCT_FEATURES


def test_model_matrix() -> None:
    given = {name: np.array([n, 0]) for n, name in enumerate(PREDICT_COLUMNS)} | {
        "device_type": ["mobile", "a watch"],
        "continent": ["EU", None],
    }
    matrix = model_matrix(given)
    assert (matrix.dtype.str, matrix.shape) == ("<f4", (2, len(MODEL_INPUTS)))
    numbers = {name: float(n) for n, name in enumerate(PREDICT_COLUMNS[:-2])}
    ones = {"device_mobile": 1.0, "continent_EU": 1.0}
    assert dict(zip(MODEL_INPUTS, matrix[0].tolist(), strict=True)) == dict.fromkeys(MODEL_INPUTS, 0.0) | numbers | ones
    assert not matrix[1].any()
