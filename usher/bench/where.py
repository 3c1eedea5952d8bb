"""Where a job's time goes: Java Flight Recorder's samples of the JVM, each given to one operator."""

import re
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

OPERATORS = {
    "compiling and collecting": r"^(jdk\.internal\.vm|java\.lang\.invoke)",
    "01 Kafka source": r"org\.apache\.kafka\.clients\.(consumer|FetchSession)|flink\.connector\.kafka\.source",
    "02 parse_events": r"usher\.events\.(EventReader|ParseEvents|Progress|Event)\b",
    "03 admit_events": r"usher\.events\.AdmitEvents|runtime\.operators\.process",
    "04 tiles": r"operators\.(aggregate\.window|window)|LocalWindowAggs|GlobalWindowAggs|\.slicing\.",
    "05 roll_features": r"usher\.events\.(RollFeatures|UserState)",
    "06 personalize (JVM side)": r"operators\.python|flink\.python|runtime\.arrow|beam|arrow\.vector",
    "07 Elasticsearch": r"usher\.elasticsearch|org\.apache\.http|elasticsearch\.client",
    "08-09 Kafka sinks": r"kafka\.clients\.producer|flink\.connector\.kafka\.sink",
    "10 ingest counts": r"GroupAggs|operators\.aggregate\.GroupAgg",
    "exchange": r"runtime\.io\.network|RecordWriter|io\.netty|StreamTaskNetworkInput",
}
"""Operator -> what the name of its classes looks like; a sample belongs to the innermost frame that matches one."""

_FRAME = re.compile(r"^\s+([\w.$/<>]+)\(.*?(?:line:|$)")


def recorded(run: Callable[[], Any], file: Path) -> Any:
    """What `run` returns, while the JVM that PyFlink drives is sampled into `file`."""
    from pyflink.java_gateway import get_gateway

    jfr = get_gateway().jvm.jdk.jfr
    recording = jfr.Recording(jfr.Configuration.getConfiguration("profile"))
    recording.start()
    try:
        return run()
    finally:
        recording.stop()
        recording.dump(get_gateway().jvm.java.io.File(str(file)).toPath())
        recording.close()


def shares(file: Path) -> dict[str, float]:
    """Share of all samples per operator, the greatest first; they add up to 1."""
    events = "jdk.ExecutionSample,jdk.NativeMethodSample"
    command = ["jfr", "print", "--events", events, "--stack-depth", "64", str(file)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = Counter(_operator(sample) for sample in text.split("\n}\n") if "stackTrace" in sample)
    found.pop("waiting", None)
    total = sum(found.values())
    return {name: round(count / total, 3) for name, count in found.most_common()}


def _operator(sample: str) -> str:
    frames = [match[1] for line in sample.splitlines() if (match := _FRAME.match(line))]
    if not frames or re.search(r"epollWait|EPoll\.wait|socketAccept|Object\.wait|accept0|poll0", frames[0]):
        return "waiting"
    for frame in frames:
        for name, pattern in OPERATORS.items():
            if re.search(pattern, frame):
                return name
    return "other"
