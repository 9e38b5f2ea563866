"""The parts of a graph while it is put together: nodes, constants that are stored once, inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from ravine.predictors.shapes import BATCH

ML = "ai.onnx.ml"


class Nodes:
    """A graph that grows.

    Args:
        taken: names of inputs; nothing inside the graph is named like one.
    """

    def __init__(self, taken: Sequence[str] = ()) -> None:
        self.prefix = "ravine/"
        while any(name.startswith(self.prefix) for name in taken):
            self.prefix = f"_{self.prefix}"
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.made: dict[
            int, str
        ] = {}  # tensors that several parts of the graph read, by the id of what made them
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def add(self, op: str, *inputs: str, into: str | None = None, domain: str = "", **attributes: Any) -> str:
        """A node with one output, whose name is returned.

        Args:
            op: the operator.
            inputs: names of tensors.
            into: the name of its output; None: any.
            domain: of the operator.
            attributes: of the operator.
        """
        name = into or f"{self.prefix}{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def cast(self, x: str, dtype: Any, into: str | None = None) -> str:
        """A tensor in another type, of NumPy."""
        return self.add("Cast", x, into=into, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def constant(self, value: Any, dtype: Any = None) -> str:
        """The name of a constant; equal ones are stored once."""
        array = np.asarray(value, dtype=dtype)
        key = array.dtype.str, array.shape, _digest(array)
        if key not in self._known:
            self._known[key] = name = f"{self.prefix}constant_{len(self.constants)}"
            if array.dtype.kind in "UO":
                texts: list[Any] = [str(each).encode() for each in array.flat]
                self.constants.append(helper.make_tensor(name, TensorProto.STRING, array.shape, texts))
            else:
                plain = np.ascontiguousarray(array).reshape(array.shape)
                self.constants.append(numpy_helper.from_array(plain, name))
        return self._known[key]

    def place(self, graph: GraphProto, given: Mapping[str, str], prefix: str) -> list[str]:
        """Another graph as a part of this one.

        Args:
            graph: its nodes are copied, and nothing else.
            given: its inputs and constants, and what they are here.
            prefix: of the names of all else.

        Returns:
            The names of its outputs.
        """
        names = dict(given)
        self.nodes += [_renamed(node, names, prefix) for node in graph.node]
        return [names.get(output.name, prefix + output.name) for output in graph.output]

    def graph(self, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]) -> GraphProto:
        """What has grown."""
        return helper.make_graph(self.nodes, "ravine", inputs, outputs, initializer=self.constants)


def tensor(name: str, dtype: Any, *shape: int, ahead: Sequence[int] = ()) -> ValueInfoProto:
    """An input or output.

    Args:
        name: its name.
        dtype: of NumPy; str for texts.
        shape: behind the batch.
        ahead: the shape before it.
    """
    kind = TensorProto.STRING if dtype is str else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, [*ahead, BATCH, *shape])


def _renamed(node: NodeProto, names: Mapping[str, str], prefix: str) -> NodeProto:
    """A node with other names, in its subgraphs too, and without what an exporter notes of its files."""
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.name = prefix + node.name
    copy.doc_string = ""
    copy.ClearField("metadata_props")
    copy.ClearField("input")
    copy.ClearField("output")
    copy.input.extend(_name(each, names, prefix) for each in node.input)
    copy.output.extend(_name(each, names, prefix) for each in node.output)
    for attribute in copy.attribute:
        if attribute.type == AttributeProto.GRAPH:
            _rename_inside(attribute.g, names, prefix)
    return copy


def _rename_inside(graph: GraphProto, names: Mapping[str, str], prefix: str) -> None:
    nodes = [_renamed(node, names, prefix) for node in graph.node]
    graph.ClearField("node")
    graph.ClearField("value_info")
    graph.node.extend(nodes)
    for each in (*graph.input, *graph.output, *graph.initializer):
        each.name = _name(each.name, names, prefix)


def _name(name: str, names: Mapping[str, str], prefix: str) -> str:
    return names.get(name, prefix + name) if name else name


def _digest(array: np.ndarray) -> bytes:
    if array.dtype.kind in "UO":
        return repr(array.tolist()).encode()
    return sha256(np.ascontiguousarray(array).data).digest()
