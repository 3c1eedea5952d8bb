"""Training: candidates compete on the training period, the winner is measured on a holdout in time and exported."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from sklearn.decomposition import PCA
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from usher.drift.distribution import describe

from . import metrics as measure
from ._baselines import best_feature, popularity
from ._bundle import CARD, MODEL, OUTPUTS, REFERENCE, REPORT, Contract, ModelError, version_of
from ._candidates import CANDIDATES, Candidate, LogCounts, exact_in_float32
from ._export import export, parity, scale_of, told
from ._gate import reasons
from ._trained import Trained
from .config import Config
from .dataset import Dataset, Floats
from .reference import iso_of

DEFAULT = ("linear", "gradient_boosting")
SELF_TEST_ROWS = 8
SEGMENT_MIN = 60
MANY_ROWS = 200_000
"""From here on all cores are used; below, threads would spend their time waiting for each other."""
IMPORTANCE_ROWS = 1500


def split_in_time(data: Dataset, holdout: float, horizon_ms: int) -> tuple[Dataset, Dataset]:
    """Training and holdout: the last share of the examples, and those whose labels were complete before it began."""
    begin = np.quantile(data.times, 1 - holdout)
    train, test = data[data.times <= begin - horizon_ms], data[data.times > begin]
    if not len(train) or not len(test):
        raise ModelError(
            f"The history of {len(data)} examples is too short to split in time: before the holdout begins at "
            f"{iso_of(int(begin))} no label is complete. Train on a history of several horizons."
        )
    return train, test


def train(data: Dataset, config: Config, seed: int, candidates: tuple[str, ...] = DEFAULT) -> Trained:
    """Compete, fit, measure, export, compare with scikit-learn; raises `ModelError` on data that cannot be learned.

    The model that is exported is the one that was measured: it is not refitted on the holdout.
    """
    from ._report import card, report

    training = config.training
    past, holdout = split_in_time(data.check(), training.holdout, training.horizon_ms)
    one_class = {name: _one_class(part, name) for name, part in (("training period", past), ("holdout", holdout))}
    contract = Contract(data.names, data.labels, data.interests, min(Contract.components, len(data.interests)))
    with threadpool_limits(None if len(past) >= MANY_ROWS else 1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Label .* is present in all training examples")  # the manifest says it
        contest = _contest(past, _chosen(candidates), config, seed)
        with _doing(f"fitting on {len(past):,} examples"):
            heads = fitted(past, contest["winners"], contract, seed)
    expected = told(heads, holdout.inputs)
    widths = contract.facts()["outputs"]
    model = export(heads, len(data.names), widths)
    differences = parity(model, expected, holdout.inputs, training.max_difference)
    with _doing(f"measuring on {len(holdout):,} examples"):
        metrics, plots = _measured(past, holdout, heads, expected, config, seed)
    rows = {"all": len(data), "train": len(past), "holdout": len(holdout)}
    _check_defined(metrics, holdout)
    refused = reasons(metrics, rows, config.gate)
    facts = {
        "promotable": not refused,
        "not_promotable_because": refused,
        "kinds": contest["winners"],
        "one_class": one_class,
        "contest": contest["scores"],
        "metrics": metrics,
        "parity": differences,
        "rows": rows,
        "training_window": {"from": iso_of(int(past.times[0])), "to": iso_of(int(past.times[-1]))},
        "holdout_window": {"from": iso_of(int(holdout.times[0])), "to": iso_of(int(holdout.times[-1]))},
        "horizon_days": training.horizon_days,
        "min_uses": training.min_uses,
        "seed": seed,
        "versions": {name: version(name) for name in ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy")},
        "self_test": _self_test(holdout, expected, training.max_difference),
    }
    described = describe(data, told(heads, data.inputs))
    facts = {"model_version": version_of(model)} | facts
    files = {
        MODEL: model,
        REFERENCE: json.dumps(described).encode(),
        REPORT: report(facts, plots).encode(),
        CARD: card(facts).encode(),
    }
    return Trained(files, facts, contract)


@contextmanager
def _doing(what: str) -> Iterator[None]:
    """A bar that shows that something is being done, for as long as it takes."""
    with Progress(transient=True) as progress:
        progress.add_task(what, total=None)
        yield


def _one_class(data: Dataset, where: str) -> dict[str, float]:
    """The labels on which all users agree, and on what; raises `ModelError` when there is nothing else to learn.

    Such a label has a constant head and is in no mean figure: a feature that has left the product, for one.
    """
    both = measure.two_classes(data.preferences)
    what = f"In the {where} ({len(data)} examples of {len(set(data.users))} users)"
    if not both.any():
        raise ModelError(
            f"{what} all users agree on every one of {', '.join(data.labels)} (preferred or not), so nothing can be "
            "learned: train on more users or a longer history."
        )
    if np.ptp(data.engagement) == 0:
        raise ModelError(
            f"{what} the engagement of all users is the same, {data.engagement[0]:.1f}, so it cannot be learned: train "
            "on more users or a longer history."
        )
    rates = data.preferences[0].tolist()
    return {name: rate for name, rate, varies in zip(data.labels, rates, both, strict=True) if not varies}


def _chosen(names: tuple[str, ...]) -> list[Candidate]:
    known = {candidate.name: candidate for candidate in CANDIDATES}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ModelError(f"There is no candidate {', '.join(unknown) or '(none named)'}; there are {', '.join(known)}.")
    return [candidate for name, candidate in known.items() if name in names]


def _contest(past: Dataset, candidates: list[Candidate], config: Config, seed: int) -> dict[str, Any]:
    """Cross-validated mean ROC-AUC and R²; the first candidate within a standard error of the best wins.

    The one-standard-error rule: L. Breiman et al., Classification and Regression Trees, 1984, section 3.4.3.
    """
    sample = past
    if len(past) > config.training.contest_rows:
        chosen = np.random.default_rng(seed).choice(len(past), config.training.contest_rows, replace=False)
        sample = past[np.sort(chosen)]
    users, parts = len(set(sample.users)), config.training.folds
    if users < parts:
        raise ModelError(
            f"The training period has examples of {users} users, fewer than training.folds = {parts} in "
            "conf/model.yaml: train on more users."
        )
    folds = [*GroupKFold(parts).split(sample.inputs, groups=sample.users)]
    scores: dict[str, Any] = {}
    with Progress(transient=True) as progress:
        task = progress.add_task("the contest", total=len(candidates) * len(folds))
        for candidate in candidates:
            found = []
            for fold in folds:
                progress.update(task, description=f"cross-validating {candidate.name}")
                found.append(_cross_validated(candidate, sample[fold[0]], sample[fold[1]], seed))
                progress.advance(task)
            if not np.isfinite(found).all():
                raise ModelError(
                    f"In one of {parts} parts of the {users} users of the training period all agree on everything, so "
                    "the candidates cannot be compared: train on more users."
                )
            scores[candidate.name] = _summary(np.array(found))
    return {"scores": scores, "winners": {task: _winner(scores, task) for task in ("roc_auc", "r2")}}


def _cross_validated(candidate: Candidate, train: Dataset, test: Dataset, seed: int) -> tuple[float, float]:
    classifier = candidate.classifier(seed).fit(train.inputs, train.preferences)
    regressor = candidate.regressor(seed).fit(train.inputs, train.engagement)
    said = np.clip(regressor.predict(test.inputs), 0, 100)
    _, r2 = measure.regression(test.engagement, said, np.ones((1, len(test))))
    return measure.mean_roc_auc(test.preferences, classifier.predict_proba(test.inputs)), float(r2[0])


def _summary(found: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """Mean and standard error over the folds, of both tasks."""
    errors = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    return {
        name: {"mean": round(float(mean), 5), "error": round(float(error), 5)}
        for name, mean, error in zip(("roc_auc", "r2"), found.mean(axis=0), errors, strict=True)
    }


def _winner(scores: dict[str, Any], task: str) -> str:
    best = max(scores.values(), key=lambda score: float(score[task]["mean"]))[task]
    return next(name for name, score in scores.items() if score[task]["mean"] >= best["mean"] - best["error"])


def fitted(past: Dataset, winners: dict[str, str], contract: Contract, seed: int) -> dict[str, Any]:
    """The three heads, named and ordered as the outputs."""
    classifier = _chosen((winners["roc_auc"],))[0].classifier(seed).fit(past.inputs, past.preferences)
    regressor = _chosen((winners["r2"],))[0].regressor(seed).fit(past.inputs, past.engagement)
    positions = tuple(contract.features.index(name) for name in contract.interests)
    components = PCA(contract.components, svd_solver="full")
    interests = make_pipeline(LogCounts(positions), StandardScaler(), components).fit(past.inputs)
    heads = (exact_in_float32(classifier), exact_in_float32(regressor), interests)
    return dict(zip(OUTPUTS, heads, strict=True))


def _measured(
    past: Dataset, holdout: Dataset, heads: dict[str, Any], expected: dict[str, Any], config: Config, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """All figures on the holdout beside the baselines, and what only the plots need."""
    weights = measure.resamples(holdout.users, config.training.interval_resamples, seed)
    likes, said = expected["preferences"], np.clip(expected["engagement"][:, 0], 0, 100)
    figures, auc = measure.classification(holdout.preferences, likes, holdout.labels, weights)
    engaged, r2 = measure.regression(holdout.engagement, said, weights)
    compared: dict[str, Any] = {}
    for name, baseline in (("popularity", popularity), ("best_feature", best_feature)):
        rival = baseline(_sample(past, config.training.contest_rows, seed), holdout)
        its_figures, its_auc = measure.classification(holdout.preferences, rival.preferences, holdout.labels, weights)
        its_engaged, its_r2 = measure.regression(holdout.engagement, rival.engagement, weights)
        compared[name] = {"by": rival.by, "preferences": its_figures, "engagement": its_engaged}
        compared[name] |= {"auc": its_auc, "r2": its_r2}
    for task, figure, ours in (("auc", figures, auc), ("r2", engaged, r2)):
        better = max((rival.pop(task) for rival in compared.values()), key=lambda sampled: float(sampled[0]))
        figure["gain"] = measure.interval(ours - better)
    metrics = {
        "preferences": figures,
        "engagement": engaged,
        "baselines": compared,
        "calibration": measure.calibration(holdout.preferences, likes),
        "segments": _by_segment(holdout, likes),
        "importance": _importance(_sample(holdout, IMPORTANCE_ROWS, seed), heads["preferences"], seed),
        "interests_explain": [round(float(v), 4) for v in heads["interests"][-1].explained_variance_ratio_],
    }
    plots = {"truth": holdout.preferences, "likes": likes, "engagement": holdout.engagement, "said": said}
    return metrics, plots | {"interests": expected["interests"], "labels": holdout.labels}


def _check_defined(metrics: dict[str, Any], holdout: Dataset) -> None:
    likes, engaged = metrics["preferences"], metrics["engagement"]
    figures = {"ROC-AUC": likes["roc_auc"]["mean"], "the gain in ROC-AUC": likes["gain"]}
    figures |= {"R²": engaged["r2"], "the gain in R²": engaged["gain"]}
    undefined = [name for name, figure in figures.items() if None in figure.values()]
    if undefined:
        raise ModelError(
            f"The holdout ({len(holdout)} examples of {len(set(holdout.users))} users) is too small to say how good "
            f"the model is: {', '.join(undefined)} cannot be computed. Train on more users or a longer history."
        )


def _sample(data: Dataset, rows: int, seed: int) -> Dataset:
    if len(data) <= rows:
        return data
    return data[np.sort(np.random.default_rng(seed).choice(len(data), rows, replace=False))]


def _by_segment(data: Dataset, likes: NDArray[np.float64]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for column in data.segments:
        values = data.segments[column].to_numpy()
        found[str(column)] = {}
        for value, count in data.segments[column].value_counts().items():
            if count >= SEGMENT_MIN:
                mine = values == value
                truth, said = data.preferences[mine], likes[mine]
                brier = round(float(((truth - said) ** 2).mean()), 4)
                auc = measure.interval([measure.mean_roc_auc(truth, said)])["value"]
                found[str(column)][str(value) or "unknown"] = {"n": int(count), "roc_auc": auc, "brier": brier}
    return found


def _importance(data: Dataset, classifier: Any, seed: int) -> dict[str, float]:
    """How much mean ROC-AUC a shuffled input costs (permutation importance: L. Breiman, Random Forests, 2001)."""
    rng = np.random.default_rng(seed)

    def auc(inputs: Floats) -> float:
        return measure.mean_roc_auc(data.preferences, classifier.predict_proba(inputs))

    whole = auc(data.inputs)
    lost = {}
    for i, name in enumerate(data.names):
        shuffled = data.inputs.copy()
        rng.shuffle(shuffled[:, i])
        lost[name] = round(whole - auc(shuffled), 5)
    return lost


def _self_test(data: Dataset, expected: dict[str, Any], tolerance: float) -> dict[str, Any]:
    """A few examples and what scikit-learn says of them: whoever loads the model asks it again."""
    rows = np.linspace(0, len(data) - 1, SELF_TEST_ROWS).astype(int)
    answers = {name: told[rows].tolist() for name, told in expected.items()}
    limits = {name: tolerance * scale_of(name, told) for name, told in expected.items()}
    return {"inputs": data.inputs[rows].tolist(), **answers, "tolerance": limits}
