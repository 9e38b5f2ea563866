"""A member's network out of a graph, to evaluate it without its module's code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from ravine.data.scale import Floats
from ravine.errors import InputError, ModelError, in_a_line
from ravine.predictors.graph.check import FACTS, session_of


class GraphMember:
    """What evaluates a member in place of its module.

    Args:
        content: the graph of its network, (N, ...) -> (N, K).
        name: of the member, for errors.
        where: the graph comes from, for errors.

    Raises:
        InputError: it is no graph.
    """

    def __init__(self, content: bytes, name: str, where: str = "graph") -> None:
        self.name = name
        self._session = session_of(content, where)
        self._x = self._session.get_inputs()[0].name

    def run(self, x: Floats) -> np.ndarray:
        """Outputs (B, K) for prepared examples (B, ...).

        Raises:
            ModelError: they have another shape.
        """
        try:
            (found,) = self._session.run(None, {self._x: np.ascontiguousarray(x, dtype=np.float32)})
        except Exception as error:
            raise ModelError(f"member {self.name}: its ONNX graph fails: {in_a_line(error)}") from error
        return np.asarray(found)


def members_of(path: Path | str) -> dict[str, GraphMember]:
    """The members of a graph that `write_graph` wrote, by name, in the order of the pool.

    Raises:
        InputError: it cannot be read, or is none that ravine wrote.
    """
    try:
        model = onnx.load_model(str(path), load_external_data=False)
        about = json.loads({each.key: each.value for each in model.metadata_props}[FACTS])
        known = {each["name"]: (about["prepared"], each["output"]) for each in about["members"]}
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except Exception as error:
        raise InputError(f"{path}: is no ONNX graph that ravine wrote: {in_a_line(error)}") from error
    return {
        name: GraphMember(_part(model, x, output).SerializeToString(), name, str(path))
        for name, (x, output) in known.items()
    }


def _part(model: ModelProto, x: str, output: str) -> ModelProto:
    """What lies between two tensors of a graph."""
    makers = {name: node for node in model.graph.node for name in node.output}
    needed: set[str] = set()
    waiting = [output]
    while waiting:
        name = waiting.pop()
        if name in needed or name == x:
            continue
        needed.add(name)
        if name in makers:
            waiting += _read(makers[name])
    graph = helper.make_graph(
        [node for node in model.graph.node if needed & set(node.output)],
        "ravine",
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        initializer=[each for each in model.graph.initializer if each.name in needed],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _read(node: NodeProto) -> Iterator[str]:
    """What a node reads, in its subgraphs too."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield from _outside(attribute.g)


def _outside(graph: GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from _read(node)
    yield from (each.name for each in graph.output)
