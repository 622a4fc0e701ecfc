from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hierprob3d.model.inference.onnx_padding import join_padding


def network(pads: list[int], value: float | None = None, mode: str = "constant") -> object:
    """A border about pictures, then a convolution with one of its own."""
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(2, 3, 3, 3)).astype(np.float32)
    constants = [numpy_helper.from_array(weights, "weights"),
                 numpy_helper.from_array(np.array(pads, np.int64), "pads")]  # fmt: skip
    inputs = ["images", "pads"]
    if value is not None:
        constants.append(numpy_helper.from_array(np.float32(value), "value"))
        inputs.append("value")
    nodes = [
        helper.make_node("Pad", inputs, ["padded"], mode=mode),
        helper.make_node("Conv", ["padded", "weights"], ["output"], strides=[2, 2],
                         pads=[1, 0, 0, 0], kernel_shape=[3, 3]),
    ]  # fmt: skip
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 8, 10])
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "network", [images], [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def answer(model: object) -> np.ndarray:
    text = model.SerializeToString()  # type: ignore[attr-defined]
    session = onnxruntime.InferenceSession(text, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(1).normal(size=(1, 3, 8, 10)).astype(np.float32)
    (found,) = session.run(None, {"images": images})
    return found


@pytest.mark.parametrize("value", [None, 0.0])
def test_zeros_on_any_side_are_the_convolutions(value: float | None) -> None:
    pads = [0, 0, 0, 1, 0, 0, 1, 2]
    model = network(pads, value)
    assert join_padding(model) == 1
    assert [node.op_type for node in model.graph.node] == ["Conv"]  # type: ignore[attr-defined]
    np.testing.assert_allclose(answer(model), answer(network(pads, value)), atol=1e-5)


@pytest.mark.parametrize(
    "other",
    [
        network([0, 0, 1, 1, 0, 0, 1, 1], value=0.5),
        network([0, 0, 1, 1, 0, 0, 1, 1], mode="edge"),
        network([0, 0, -1, 0, 0, 0, 0, 0]),
        network([0, 1, 0, 0, 0, 0, 0, 0]),
    ],
    ids=["another value", "the edge's value", "cut off", "channels"],
)
def test_what_is_no_border_of_zeros_stays(other: object) -> None:
    assert join_padding(other) == 0
