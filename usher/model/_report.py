"""What a training run leaves for people: a page with plots, and a model card (M. Mitchell et al., 2019)."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import jinja2
import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import metrics as measure

TOP = 15
COLORS = ("#2563eb", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#0ea5e9")
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "font.size": 9,
    "svg.fonttype": "path",
    "svg.hashsalt": "usher",
}


def report(facts: Mapping[str, Any], plots: Mapping[str, Any]) -> str:
    """A page of its own, nothing to load."""
    with matplotlib.rc_context(STYLE):
        drawn = {
            "How well it ranks": _picture(_roc, _precision_recall, plots=plots),
            "Whether its probabilities are true": _picture(_reliability, _said, plots=plots, facts=facts),
            "The score of engagement, and what the score of preferences lives on": _picture(
                _engagement, _importance, plots=plots, facts=facts
            ),
            "Who competed, and for whom it is better or worse": _picture(_contest, _segments, facts=facts),
            "Interests": _picture(_interests, _explained, plots=plots, facts=facts),
        }
    return _PAGE.render(facts=facts, drawn=drawn, figures=_table(facts), span=_span, agreed=agreed(facts))


def card(facts: Mapping[str, Any]) -> str:
    """Markdown: what it is for, what it was trained on, how good it is, and where not to trust it."""
    return _CARD.render(facts=facts, figures=_table(facts), span=_span, agreed=agreed(facts))


def agreed(facts: Mapping[str, Any]) -> list[str]:
    """A sentence for each label that all users agreed on, in the training period or in the holdout."""
    then = {"training period": "the model knows nothing else of it.", "holdout": "it is in no mean figure."}
    return [
        f"In the {where} {'everyone' if rate else 'nobody'} preferred {name}: {then[where]}"
        for where, labels in facts["one_class"].items()
        for name, rate in labels.items()
    ]


def _picture(*draw: Any, **given: Any) -> str:
    """Two plots side by side as an SVG data address."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    for axes, function in zip(figure.subplots(1, len(draw)), draw, strict=True):
        function(axes, **given)
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(out.getvalue()).decode()


def _roc(axes: Axes, plots: Mapping[str, Any]) -> None:
    for color, label, truth, score in _by_label(plots):
        curve = measure.Ranking(truth, score).curves()
        axes.plot(curve["fpr"], curve["tpr"], color=color, label=label, lw=1.4)
    axes.plot([0, 1], [0, 1], color="#9ca3af", ls=":", lw=1)
    axes.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(frameon=False, loc="lower right", **_small(plots))


def _precision_recall(axes: Axes, plots: Mapping[str, Any]) -> None:
    for color, label, truth, score in _by_label(plots):
        curve = measure.Ranking(truth, score).curves()
        axes.plot(curve["tpr"], curve["precision"], color=color, label=f"{label} ({truth.mean():.0%} do)", lw=1.4)
    axes.set(title="Precision and recall", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(frameon=False, loc="lower left", **_small(plots))


def _reliability(axes: Axes, plots: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    bins = facts["metrics"]["calibration"]
    axes.plot([0, 1], [0, 1], color="#9ca3af", ls=":", lw=1)
    axes.plot([b["said"] for b in bins], [b["came"] for b in bins], color=COLORS[0], marker="o", ms=4)
    brier = facts["metrics"]["preferences"]["brier"]["mean"]["value"]
    axes.set(title=f"Reliability (Brier {brier:.3f})", xlabel="probability said", ylabel="share that came true")
    axes.set(xlim=(0, 1), ylim=(0, 1))


def _said(axes: Axes, plots: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    truth, likes = plots["truth"].ravel(), plots["likes"].ravel()
    parts = [likes[truth == 0], likes[truth == 1]]
    axes.hist(parts, bins=20, range=(0, 1), stacked=True, color=["#cbd5e1", COLORS[0]], label=["did not", "did"])
    axes.set(title="What was said, and who did", xlabel="probability said", ylabel="user × feature")
    axes.legend(frameon=False)


def _engagement(axes: Axes, plots: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    axes.scatter(plots["said"], plots["engagement"], s=5, alpha=0.25, color=COLORS[0], linewidths=0)
    axes.plot([0, 100], [0, 100], color="#9ca3af", ls=":", lw=1)
    r2 = facts["metrics"]["engagement"]["r2"]["value"]
    axes.set(title=f"Engagement (R² {r2:.2f})", xlabel="said", ylabel="came", xlim=(0, 100), ylim=(-2, 102))


def _importance(axes: Axes, plots: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    lost = sorted(facts["metrics"]["importance"].items(), key=lambda item: item[1])[-TOP:]
    axes.barh([name for name, _ in lost], [value for _, value in lost], color=COLORS[0], height=0.7)
    axes.set(title="Importance", xlabel="ROC-AUC lost when shuffled")
    axes.grid(axis="y", visible=False)


def _contest(axes: Axes, facts: Mapping[str, Any]) -> None:
    names = [*facts["contest"]]
    for offset, (task, color, what) in enumerate((("roc_auc", COLORS[0], "ROC-AUC"), ("r2", COLORS[1], "R²"))):
        scores = [facts["contest"][name][task] for name in names]
        at = [i + 0.36 * offset - 0.18 for i in range(len(names))]
        means, errors = [s["mean"] for s in scores], [s["error"] for s in scores]
        axes.bar(at, means, 0.34, yerr=errors, color=color, label=what, capsize=2)
    axes.set_xticks(range(len(names)), [name.replace("_", "\n") for name in names])
    axes.set(title="Cross-validation on the training period")
    axes.grid(axis="x", visible=False)
    axes.legend(frameon=False)


def _segments(axes: Axes, facts: Mapping[str, Any]) -> None:
    found = [
        (f"{value} ({figures['n']})", figures["roc_auc"])
        for column in facts["metrics"]["segments"].values()
        for value, figures in column.items()
        if figures["roc_auc"] is not None
    ][::-1]
    axes.barh([name for name, _ in found], [auc for _, auc in found], color=COLORS[2], height=0.7)
    axes.axvline(facts["metrics"]["preferences"]["roc_auc"]["mean"]["value"], color="#111827", lw=1, ls=":")
    axes.set(title="ROC-AUC by device and country (examples)", xlim=(0.5, 1))
    axes.tick_params(axis="y", labelsize=7)
    axes.grid(axis="y", visible=False)


def _interests(axes: Axes, plots: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    likes = plots["likes"].argmax(axis=1)
    at = plots["interests"]
    for i, label in enumerate(plots["labels"]):
        mine = likes == i
        axes.scatter(at[mine, 0], at[mine, 1], s=6, alpha=0.5, color=COLORS[i % len(COLORS)], label=label, linewidths=0)
    axes.set(title="Users by interest, coloured by first preference", xlabel="component 1", ylabel="component 2")
    axes.legend(frameon=False, markerscale=2, fontsize=7)


def _explained(axes: Axes, plots: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    shares = facts["metrics"]["interests_explain"]
    axes.bar([str(i + 1) for i in range(len(shares))], shares, color=COLORS[4], width=0.6)
    axes.set(title="Variance of what users use, by component", xlabel="component", ylabel="share", ylim=(0, 1))


def _small(plots: Mapping[str, Any]) -> dict[str, Any]:
    """How a legend of many labels stays out of the way."""
    return {"fontsize": 6, "ncols": 2} if len(plots["labels"]) > len(COLORS) else {}


def _by_label(plots: Mapping[str, Any]) -> list[tuple[str, str, Any, Any]]:
    """Colour, name, truth and score of each label that can be ranked rightly or wrongly."""
    both = measure.two_classes(plots["truth"])
    return [
        (COLORS[i % len(COLORS)], label, plots["truth"][:, i], plots["likes"][:, i])
        for i, label in enumerate(plots["labels"])
        if both[i]
    ]


def _table(facts: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Rows of figures: the model, then the baselines."""
    metrics = facts["metrics"]
    told = [metrics, *metrics["baselines"].values()]
    rows = [
        (f"{what}, mean over the features", [_span(t["preferences"][name]["mean"]) for t in told])
        for name, what in (
            ("roc_auc", "ROC-AUC"), ("pr_auc", "PR-AUC"), ("precision", "Precision at 0.5"),
            ("recall", "Recall at 0.5"), ("brier", "Brier score (less is better)"),
        )
    ]  # fmt: skip
    rows.append(("First preference comes true", [_span(t["preferences"]["top1_hit_rate"]) for t in told]))
    rows += [
        (what, [_span(t["engagement"][name]) for t in told])
        for name, what in (("r2", "R² of engagement"), ("mae", "Mean absolute error of engagement"))
    ]
    return rows


def _span(figure: Mapping[str, float | None]) -> str:
    if figure["value"] is None:
        return "–"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("usher.model", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_PAGE = _ENVIRONMENT.get_template("report.html")
_CARD = _ENVIRONMENT.get_template("card.md")
