"""Has the world moved on since the model was trained?

>>> report = watch(rows, reference, version, config.load().drift)      # doctest: +SKIP
>>> report.reasons                                                     # doctest: +SKIP
['used_collaboration has shifted: PSI 1.42, more than 0.2; JS 0.210 bits.']
"""

from ._documents import documents, store, write_metrics
from ._picture import plot, table
from ._watch import Finding, Report, watch

__all__ = ["Finding", "Report", "documents", "plot", "store", "table", "watch", "write_metrics"]
