"""The clock that carries time when nothing arrives."""

import time
from datetime import datetime
from itertools import pairwise
from statistics import median

from pyflink.table import EnvironmentSettings, TableEnvironment

from jobs.personalize import configuration
from usher.settings import load


def beats(number: int, grace: str) -> list[float]:
    """So many beats of one subtask, five a second, in milliseconds since 1970."""
    config = configuration(load({"USHER_PARALLELISM": "1"}))
    builder = EnvironmentSettings.new_instance().in_streaming_mode()
    env = TableEnvironment.create(builder.with_configuration(config).build())
    env.execute_sql(f"""
        CREATE TABLE clock (beat_time TIMESTAMP_LTZ(3)) WITH (
            'connector' = 'clock', 'beats-per-second' = '5', 'grace' = '{grace}', 'number-of-beats' = '{number}'
        )""")
    with env.execute_sql("SELECT CAST(beat_time AS STRING) FROM clock").collect() as rows:
        return [datetime.fromisoformat(f"{row[0]}+00:00").timestamp() * 1000 for row in rows]


def test_it_beats_through_the_second_and_not_once_a_second() -> None:
    before = time.time() * 1000
    told = beats(11, "0 s")
    assert len(told) == 11
    assert all(before - 1 < beat <= time.time() * 1000 for beat in told)
    assert told == sorted(told)
    assert median(later - earlier for earlier, later in pairwise(told)) > 100, "all of a second at once have 0"


def test_it_holds_still_in_its_grace() -> None:
    assert beats(3, "1 h") == [0, 0, 0]
