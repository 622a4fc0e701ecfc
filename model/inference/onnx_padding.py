"""Zero borders of an ONNX graph joined with the convolutions that follow.

TensorFlow's "same" padding of a stride of 2 has zeros on two sides only, which torch writes as a
step of its own: it copies the largest maps of a network. ONNX's convolutions pad any side.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

_SIDES = 8
"""Numbers that say the padding of a batch of pictures: begins, then ends, of its four axes."""


def join_padding(model: Any) -> int:
    """Joins what can be joined, in place; how many steps that were.

    Args:
        model: `onnx.ModelProto`.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    users = Counter(name for node in graph.node for name in node.input)
    users.update(output.name for output in graph.output)
    joined = []
    for node in graph.node:
        border = makers.get(node.input[0]) if node.op_type == "Conv" else None
        if border is None or border.op_type != "Pad" or users[border.output[0]] != 1:
            continue
        sides = _zero_borders(border, makers, graph)
        if sides is None:
            continue
        (pads,) = (attribute for attribute in node.attribute if attribute.name == "pads")
        pads.ints[:] = [mine + more for mine, more in zip(pads.ints, sides, strict=True)]
        node.input[0] = border.input[0]
        joined.append(border)
    for border in joined:
        graph.node.remove(border)
    return len(joined)


def _zero_borders(border: Any, makers: dict[str, Any], graph: Any) -> list[int] | None:
    """Zeros above, left, below and right that a step adds; None where it does anything else."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in graph.initializer}
    values = []
    for name in border.input[1:]:
        maker = makers.get(name)
        if name and maker is not None and maker.op_type == "Constant":
            values.append(numpy_helper.to_array(maker.attribute[0].t))
        elif name in constants:
            values.append(numpy_helper.to_array(constants[name]))
        elif name:
            return None
    modes = [attribute.s for attribute in border.attribute if attribute.name == "mode"]
    if not values or values[0].size != _SIDES or any(value.any() for value in values[1:]):
        return None
    sides = values[0].tolist()
    if modes not in ([], [b"constant"]) or min(sides) < 0 or any(sides[:2] + sides[4:6]):
        return None
    return [*sides[2:4], *sides[6:8]]
