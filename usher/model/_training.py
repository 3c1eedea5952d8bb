"""Training: logistic regression for preferences, ridge for engagement, both on log counts; one ONNX graph."""

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import brier_score_loss, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from usher.features import MODEL_INPUTS, PRODUCT_FEATURES

from ._bundle import INPUT, OUTPUTS, ModelError, write_bundle
from ._predictor import Floats, _session

if TYPE_CHECKING:
    from usher.simulator import History

OPSET = 18
LARGEST_DIFFERENCE = 1e-4
HOLDOUT = 0.2


def train(history: "History", out_dir: str | Path, seed: int) -> dict[str, Any]:
    """Fit, measure on a holdout, export, compare with scikit-learn, write the bundle; returns its manifest.

    The model that is written is the one that was measured: it is not refitted on the holdout.
    """
    inputs = np.array([[row[name] for name in MODEL_INPUTS] for row in history.rows], np.float32)
    parts = train_test_split(inputs, history.preferences, history.engagement, test_size=HOLDOUT, random_state=seed)
    x, x_test, used, used_test, engaged, engaged_test = parts
    _check_labels(used, used_test)
    classifier = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(C=0.1, max_iter=500)))
    regressor = make_pipeline(StandardScaler(), Ridge(10.0))
    classifier.fit(_logged(x), used)
    regressor.fit(_logged(x), engaged)
    model = _export(classifier, regressor)
    parity = _parity(model, classifier, regressor, x_test)
    facts = {
        "metrics": _metrics(
            classifier, regressor, (x_test, used_test, engaged_test), used.mean(axis=0), engaged.mean()
        ),
        "parity": parity,
        "rows": {"train": len(x), "holdout": len(x_test)},
        "seed": seed,
        "versions": {name: version(name) for name in ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy")},
    }
    return write_bundle(Path(out_dir), model, facts)


def _logged(matrix: Floats) -> Floats:
    """What the first nodes of the graph do: counts and durations on a log scale."""
    logged: Floats = np.log(np.maximum(matrix, 0) + np.float32(1))
    return logged


def _check_labels(used: Floats, used_test: Floats) -> None:
    for index, feature in enumerate(PRODUCT_FEATURES):
        if min(len(set(used[:, index])), len(set(used_test[:, index]))) < 2:
            raise ModelError(
                f"In the history all users agree on {feature} (used or not), so it cannot be learned: "
                "train on more users, such as `usher train --users 3000`."
            )


def _export(classifier: Pipeline, regressor: Pipeline) -> bytes:
    kind = [("logged", FloatTensorType([None, len(MODEL_INPUTS)]))]
    preferences = convert_sklearn(classifier, "p", kind, target_opset=OPSET, options={"zipmap": False})
    engagement = convert_sklearn(regressor, "e", kind, target_opset=OPSET)
    first = compose.add_prefix(preferences, "p_")
    second = compose.add_prefix(engagement, "e_")
    graph = compose.merge_models(
        _log_model(first.ir_version, first.opset_import),
        first,
        [("logged", "p_logged")],
        outputs=["logged", "p_probabilities"],
    )
    graph = compose.merge_models(
        graph, second, [("logged", "e_logged")], outputs=["p_probabilities", "e_variable"], name="usher"
    )
    for made, wanted in zip(("p_probabilities", "e_variable"), OUTPUTS, strict=True):
        _rename(graph, made, wanted)
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString(deterministic=True))


def _log_model(ir_version: int, opsets: Any) -> onnx.ModelProto:
    shape = [None, len(MODEL_INPUTS)]
    nodes = [
        helper.make_node("Relu", [INPUT], ["positive"]),
        helper.make_node("Add", ["positive", "one"], ["above_one"]),
        helper.make_node("Log", ["above_one"], ["logged"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in (INPUT, "logged")]
    one = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])
    graph = helper.make_graph(nodes, "log", ends[:1], ends[1:], [one])
    return helper.make_model(graph, ir_version=ir_version, opset_imports=opsets)


def _rename(model: onnx.ModelProto, made: str, wanted: str) -> None:
    for node in model.graph.node:
        node.output[:] = [wanted if name == made else name for name in node.output]
        node.input[:] = [wanted if name == made else name for name in node.input]
    for output in model.graph.output:
        output.name = wanted if output.name == made else output.name


def _parity(model: bytes, classifier: Pipeline, regressor: Pipeline, x: Floats) -> dict[str, float]:
    """The largest differences from scikit-learn; engagement on a 0..1 scale."""
    preferences, engagement = _session(model).run([*OUTPUTS], {INPUT: x})
    worst = {
        "preferences_max_abs": float(np.abs(preferences - classifier.predict_proba(_logged(x))).max()),
        "engagement_max_abs": float(np.abs(engagement[:, 0] - regressor.predict(_logged(x))).max()) / 100,
    }
    for what, difference in worst.items():
        if not difference <= LARGEST_DIFFERENCE:
            raise ModelError(
                f"The ONNX model differs from scikit-learn by {difference:.2g} ({what}), more than "
                f"{LARGEST_DIFFERENCE}: it is not written; check the versions of skl2onnx and onnxruntime."
            )
    return worst


def _metrics(
    classifier: Pipeline, regressor: Pipeline, test: tuple[Floats, Floats, Floats], popularity: Floats, usual: float
) -> dict[str, Any]:
    """On the holdout, beside what needs no model: popularity, and counting what was used so far."""
    x, used, engaged = test
    probability = classifier.predict_proba(_logged(x))
    so_far = x[:, [MODEL_INPUTS.index(f"used_{feature}") for feature in PRODUCT_FEATURES]]
    popular = np.broadcast_to(popularity, used.shape)
    return {
        "roc_auc": _roc_auc(used, probability),
        "brier": _brier(used, probability),
        "top1_hit_rate": _top1(used, probability),
        "engagement_r2": float(r2_score(engaged, np.clip(regressor.predict(_logged(x)), 0, 100))),
        "baselines": {
            "popularity": {
                "roc_auc": _roc_auc(used, popular),
                "brier": _brier(used, popular),
                "top1_hit_rate": _top1(used, popular),
                "engagement_r2": float(r2_score(engaged, np.full_like(engaged, usual))),
            },
            "used_so_far": {"roc_auc": _roc_auc(used, so_far), "top1_hit_rate": _top1(used, so_far)},
        },
    }


def _roc_auc(truth: Floats, score: Floats) -> dict[str, float]:
    return {name: float(roc_auc_score(truth[:, i], score[:, i])) for i, name in enumerate(PRODUCT_FEATURES)}


def _brier(truth: Floats, score: Floats) -> float:
    return float(np.mean([brier_score_loss(truth[:, i], score[:, i]) for i in range(truth.shape[1])]))


def _top1(truth: Floats, score: Floats) -> float:
    """How often the feature put first is one that the user goes on to use."""
    return float(truth[np.arange(len(truth)), score.argmax(axis=1)].mean())
