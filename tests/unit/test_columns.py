"""SQL, the functions it calls, the model and the mapping name the same columns in the same order."""

import json
import re

import numpy as np
import pytest

from udfs.decide import DECIDE_COLUMNS
from usher.columns import PREDICT_COLUMNS, model_columns
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


def test_predict_is_called_with_its_columns() -> None:
    arguments = re.search(r"predict\((.*?)\) AS prediction", sql("07_predicted.sql"), re.S).group(1)
    assert tuple(names(arguments)) == PREDICT_COLUMNS


def test_decide_is_called_with_its_columns() -> None:
    arguments = names(re.search(r"decide\((.*?)\) AS decision", sql("08_decided.sql"), re.S).group(1))
    assert arguments[0] == "user_key"
    assert ("user_id", *arguments[1:]) == DECIDE_COLUMNS


@pytest.mark.parametrize(("file", "table"), [("09_profiles.sql", "profiles"), ("12_ingest.sql", "ingest")])
def test_the_mapping_has_the_columns_that_are_inserted(file: str, table: str) -> None:
    mapping = json.loads((ROOT / "conf" / "elasticsearch" / f"{table}.json").read_text())
    assert list(mapping["mappings"]["properties"]) == inserted(file, table)
    assert mapping["mappings"]["dynamic"] == "strict"


def test_the_log_has_the_columns_of_the_profile() -> None:
    assert inserted("10_decisions.sql", "decisions") == inserted("09_profiles.sql", "profiles")


def test_preferences_and_feature_counts_are_the_products_features() -> None:
    properties = json.loads((ROOT / "conf/elasticsearch/profiles.json").read_text())["mappings"]["properties"]
    assert tuple(properties["preferences"]["properties"]) == PRODUCT_FEATURES
    assert tuple(properties["feature_counts"]["properties"]) == PRODUCT_FEATURES
    types = re.search(r"preferences ROW<(.*?)>", sql("09_profiles.sql"), re.S).group(1)
    assert tuple(item.split()[0] for item in types.split(",")) == PRODUCT_FEATURES


def test_model_columns() -> None:
    given = {name: np.array([n, 0]) for n, name in enumerate(PREDICT_COLUMNS)} | {
        "feature_counts_json": ['{"reports":2,"unknown":9}', "{}"],
        "device_type": ["mobile", None],
        "continent": ["EU", None],
    }
    inputs = model_columns(given)
    assert tuple(inputs) == MODEL_INPUTS
    assert {(column.dtype.str, column.shape) for column in inputs.values()} == {("<f4", (2,))}
    ones = {name for name in MODEL_INPUTS if name.startswith(("used_", "device_", "continent_")) and inputs[name][0]}
    assert ones == {"used_reports", "device_mobile", "continent_EU"}
    assert inputs["used_reports"][0] == 2 and inputs["active_ms"][0] == PREDICT_COLUMNS.index("active_ms")
    assert not any(column[1] for column in inputs.values())
