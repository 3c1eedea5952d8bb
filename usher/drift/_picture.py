"""A drift report for people: a table, and a page of plots."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from rich.table import Table

from usher.model.reference import iso_of

from ._watch import Report

SHOWN = 25
RED, BLUE = "#ef4444", "#2563eb"


def table(report: Report) -> Table:
    """The findings that weigh most, worst first; those that drifted in red."""
    made = Table("what", "name", "segment", "n", "value", "limit", "JS (bits)", title=_title(report))
    worst = sorted(report.findings, key=lambda f: (not f.drifted, -f.value / f.limit if f.limit else 0))
    for finding in worst[:SHOWN]:
        figures = (f"{finding.n:,}", f"{finding.value:.3f}", f"{finding.limit:g}")
        js = "" if finding.js is None else f"{finding.js:.3f}"
        row = (finding.kind, finding.name, finding.segment, *figures, js)
        made.add_row(*row, style="red" if finding.drifted else "")
    return made


def plot(report: Report, file: Path) -> None:
    """PSI of each feature and score over all users, and the model's error by day; SVG or PNG by the file's name."""
    with matplotlib.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        figure = Figure(figsize=(11, 5), layout="constrained")
        shifted, error = figure.subplots(1, 2)
        found = [f for f in report.findings if f.segment == "all" and f.js is not None]
        found.sort(key=lambda f: f.value)
        colors = [RED if f.drifted else BLUE for f in found]
        shifted.barh([f.name for f in found], [f.value for f in found], color=colors, height=0.7)
        shifted.axvline(found[0].limit if found else 0, color="#6b7280", ls=":")
        shifted.set(title=_title(report), xlabel="PSI")
        shifted.tick_params(axis="y", labelsize=7)
        daily = report.errors.assign(day=pd.to_datetime(report.errors["time"] // 86_400_000, unit="D"))
        mean = daily.groupby("day")["error"].mean()
        error.plot(np.asarray(mean.index), mean.to_numpy(), marker="o", ms=3, color=BLUE)
        error.set(title="Error of what was said, once the labels have come", ylabel="Brier score", ylim=(0, None))
        error.tick_params(axis="x", rotation=30)
        figure.savefig(file)


def _title(report: Report) -> str:
    return f"Drift of {report.model_version}, {iso_of(report.begin)[:10]} to {iso_of(report.end)[:10]}"
