"""What the Python side of the job tells Flink's metrics: decisions by rule, and how long a prediction takes."""

from collections import Counter
from collections.abc import Iterable
from typing import Any


class Metrics:
    """`Metrics(function_context.get_metric_group())`, one a worker."""

    def __init__(self, group: Any) -> None:
        self._usher = group.add_group("usher")
        self._by_rule: dict[str, Any] = {}
        self._predict_micros = 0
        # a gauge: of a `distribution` PyFlink makes an object that Prometheus takes for 0
        self._usher.gauge("predictMicrosPerRow", lambda: self._predict_micros)

    def predicted(self, seconds: float, rows: int) -> None:
        """A batch went through the model."""
        self._predict_micros = max(1, round(seconds * 1e6 / rows))

    def decided(self, rules: Iterable[str | None]) -> None:
        """What rules took the users of a batch; `none` where no rule did."""
        for rule, times in Counter(rules).items():
            name = rule or "none"
            if name not in self._by_rule:
                self._by_rule[name] = self._usher.add_group("rule", name).counter("decisions")
            self._by_rule[name].inc(times)
