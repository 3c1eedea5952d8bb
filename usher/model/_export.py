"""Fitted estimators to one ONNX graph, and how far it is from them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs

from ._bundle import INPUT, ModelError
from ._predictor import Floats, opened

OPSETS = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 10


def export(heads: Mapping[str, Any], features: int, widths: Mapping[str, int]) -> bytes:
    """One graph: `features` [n, features] in; for each head its output, of that name and width, out."""
    models = {name: _converted(head, features) for name, head in heads.items()}
    parts = [
        compose.add_prefix(model, f"{name}_", rename_inputs=False, rename_value_infos=False)
        for name, model in models.items()
    ]
    nodes = [node for part in parts for node in part.graph.node]
    nodes += [
        helper.make_node("Identity", [part.graph.output[0].name], [name])
        for name, part in zip(models, parts, strict=True)
    ]
    graph = helper.make_graph(
        nodes,
        "usher",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, widths[name]]) for name in models],
        [tensor for part in parts for tensor in part.graph.initializer],
    )
    opsets = [helper.make_opsetid(domain, number) for domain, number in OPSETS.items()]
    model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _converted(head: Any, features: int) -> onnx.ModelProto:
    options = {"zipmap": False} if hasattr(head, "predict_proba") else None
    kind = [(INPUT, FloatTensorType([None, features]))]
    model = convert_sklearn(head, "head", kind, target_opset=OPSETS, options=options)
    return select_model_inputs_outputs(model, outputs=[model.graph.output[-1].name])  # without the labels


def told(heads: Mapping[str, Any], inputs: Floats) -> dict[str, NDArray[np.float64]]:
    """What scikit-learn itself says, shaped as the graph's outputs."""
    said = {}
    for name, head in heads.items():
        ask = next(getattr(head, how) for how in ("predict_proba", "transform", "predict") if hasattr(head, how))
        said[name] = np.asarray(ask(inputs), np.float64).reshape(len(inputs), -1)
    return said


def parity(
    model: bytes, expected: Mapping[str, NDArray[np.float64]], inputs: Floats, tolerance: float
) -> dict[str, Any]:
    """Largest differences from scikit-learn on `inputs`; raises `ModelError` above the tolerance.

    Engagement is on a 0..1 scale; interests are in units of the largest coordinate.
    """
    said = dict(zip(expected, opened(model).run([*expected], {INPUT: inputs}), strict=True))
    worst = {name: float(np.abs(said[name] - truth).max()) / scale_of(name, truth) for name, truth in expected.items()}
    flipped = int(((said["preferences"] >= 0.5) != (expected["preferences"] >= 0.5)).sum())
    for name, difference in worst.items():
        if not difference <= tolerance:
            raise ModelError(
                f"The ONNX model differs from scikit-learn by {difference:.2g} ({name}), more than {tolerance}: "
                "it is not written; check the versions of skl2onnx and onnxruntime."
            )
    return {"max_abs_difference": worst, "labels_flipped": flipped, "labels": said["preferences"].size}


def scale_of(name: str, truth: NDArray[np.float64]) -> float:
    """What a difference of this output is measured in."""
    return {"preferences": 1.0, "engagement": 100.0}.get(name) or max(1.0, float(np.abs(truth).max()))
