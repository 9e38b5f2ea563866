"""A predictor as one ONNX graph, proved before it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto, helper
from torch import nn

from ravine.data.answers import ClassTarget
from ravine.data.inputs import ArrayInputs, Inputs, NumberInput, TableInputs
from ravine.data.several import LabelsTarget
from ravine.errors import InputError, ModelError
from ravine.predictors.graph.answers import Names, answer_classes, answer_labels, answer_numbers
from ravine.predictors.graph.check import FACTS, VECTORS, Checked, session_of, worst_of
from ravine.predictors.graph.networks import OPSET, Network, OnBody, networks_of
from ravine.predictors.graph.nodes import ML, Nodes, tensor
from ravine.predictors.graph.raw import prepare
from ravine.predictors.graph.reference import OTHER, Vectors, Widening, modules_of, vectors_of
from ravine.predictors.predictor import Predictor
from ravine.predictors.shapes import ARRAY, empty_text, input_names, raw_type
from ravine.predictors.vectors import as_json
from ravine.version import version
from ravine.whole_file import write_whole

ALLOWED = 1e-5  # of a probability, or of the largest value of a regression
_ROUNDED = 2e-7  # of a probability, for each unit of the largest logit: above 50 float32 knows no more
_IR, _ML_OPSET = 9, 3  # onnxruntime 1.17 reads these, and each later one
_SIZES = (1, 3)  # examples at a time
_LARGEST = 2_000_000_000  # bytes of a file in this format


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graph:
    """A graph before it has its metadata.

    Args:
        model: all of it.
        x: the name of the prepared examples inside.
        outputs: those of the outputs (N, K) of each member's network.
    """

    model: ModelProto
    x: str
    outputs: tuple[str, ...]


def write_graph(
    predictor: Predictor,
    path: Path | str,
    *,
    facts: Mapping[str, Any] | None = None,
    members: bool = False,
) -> Checked:
    """Write a predictor as one graph, from raw values to probabilities, or to values in the target's own units.

    Before it is written, onnxruntime runs it beside the predictor, one example at a time and several: it is not written
    where the two differ.

    Args:
        predictor: its members are modules.
        path: of the file.
        facts: what the file is to say of itself, as JSON has it: recipes, runs, fingerprint of the data.
        members: also give what each member says.

    Returns:
        How far the graph is from the predictor.

    Raises:
        ModelError: a module cannot become a graph, or the graph says something else.
        InputError: the file cannot be written.
    """
    content, checked = graph_of(predictor, facts=facts, members=members)
    write_whole(Path(path), content)
    return replace(checked, path=str(path))


def graph_of(
    predictor: Predictor, *, facts: Mapping[str, Any] | None = None, members: bool = False
) -> tuple[bytes, Checked]:
    """The same as bytes. See `write_graph`."""
    modules = modules_of(predictor)
    predictor = replace(
        predictor,
        members=tuple(
            replace(each, model=module) for each, module in zip(predictor.members, modules, strict=True)
        ),
    )
    inputs, target = predictor.preparation.inputs, predictor.preparation.target
    names = Names.of(target, input_names(inputs), members=members)
    vectors = vectors_of(predictor, modules, names)
    largest = max(float(np.abs(each[np.isfinite(each)]).max(initial=1.0)) for each in vectors.members)
    graph = _proved(predictor, modules, names, vectors, OTHER * largest)
    allowed = max(ALLOWED, _ROUNDED * largest) if predictor.task != "regression" else ALLOWED
    about = _about(predictor, graph, facts or {})
    content = _finished(graph.model, about, vectors, allowed)
    session = session_of(content)
    worst = max(worst_of(session, vectors.inputs, vectors.answers, size, vectors.scale) for size in _SIZES)
    if worst > allowed:
        raise ModelError(
            f"model: {type(modules[0]).__name__}: its ONNX graph differs from the predictor by {worst:.2g}; at most "
            f"{allowed:.2g} is allowed"
        )
    number = len(vectors.members[0])
    return content, Checked(path="", num_examples=number, worst=worst, allowed=allowed, facts=about)


def _proved(
    predictor: Predictor, modules: Sequence[nn.Module], names: Names, vectors: Vectors, allowed: float
) -> Graph:
    """The graph, after its networks were found equal to the modules."""
    for alone in (False, True):  # together, and if some member is another network after all, each by itself
        networks = networks_of(modules, predictor.preparation.inputs.shape, alone=alone)
        graph = _assembled(predictor, modules, networks, names)
        answers = graph.model.graph.output
        num_outputs = predictor.preparation.num_outputs
        answers.extend(tensor(each, np.float32, num_outputs) for each in graph.outputs)
        session = _session(graph.model.SerializeToString(), modules[0])
        del answers[-len(graph.outputs) :]
        wanted = dict(zip(graph.outputs, vectors.members, strict=True))
        if all(worst_of(session, vectors.inputs, wanted, size) <= allowed for size in _SIZES):
            return graph
        if len({id(each) for each in networks}) == len(modules):
            break
    raise ModelError(
        f"model: {type(modules[0]).__name__}: its ONNX graph computes something else than the module"
    )


def _session(content: bytes, module: nn.Module) -> onnxruntime.InferenceSession:
    """What runs the graph of a module.

    Raises:
        ModelError: onnxruntime has some operation in float32 alone.
    """
    try:
        return session_of(content)
    except InputError as error:
        lacks = re.search(r"implementation for (\w+)", str(error))
        if lacks is None or not isinstance(module, Widening):
            raise
        raise ModelError(
            f"model: {type(module).__name__} is in float64, in which onnxruntime has no {lacks[1]}: export it without "
            "a graph, or train it in float32"
        ) from error


def _assembled(
    predictor: Predictor, modules: Sequence[nn.Module], networks: Sequence[Network | OnBody], names: Names
) -> Graph:
    preparation = predictor.preparation
    nodes = Nodes(input_names(preparation.inputs))
    raw = prepare(nodes, preparation.inputs)
    outputs = []
    for at, (network, module) in enumerate(zip(networks, modules, strict=True)):
        prefix = f"{nodes.prefix}member{at}/"
        found = network.place(nodes, module, raw.x, prefix)
        outputs.append(nodes.cast(found, np.float32, into=f"{prefix}outputs"))
    shares = [each.share for each in predictor.members]
    target = preparation.target
    combine, temperature = predictor.combine, predictor.temperature
    if isinstance(target, ClassTarget):
        answers = answer_classes(
            nodes,
            outputs,
            shares,
            target,
            names,
            usable=raw.usable,
            combine=combine,
            temperature=temperature,
        )
    elif isinstance(target, LabelsTarget):
        answers = answer_labels(
            nodes,
            outputs,
            shares,
            target,
            names,
            usable=raw.usable,
            combine=combine,
            temperature=temperature,
        )
    else:
        answers = answer_numbers(nodes, outputs, shares, target, names, usable=raw.usable)
    if raw.unseen:
        nodes.add("Identity", raw.unseen, into=names.unseen)
        answers.append(tensor(names.unseen, np.int64))
    size = sum(len(each.raw_data) for each in nodes.constants)
    if size > _LARGEST:
        raise ModelError(
            f"model: the graph would have {size / 1e9:.1f} GB; an ONNX file has 2 GB at most: take fewer members"
        )
    model = helper.make_model(
        nodes.graph(raw.inputs, answers),
        producer_name="ravine",
        producer_version=version("ravine"),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(ML, _ML_OPSET)],
        ir_version=_IR,
    )
    return Graph(model=model, x=raw.x, outputs=tuple(outputs))


def _about(predictor: Predictor, graph: Graph, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **facts,
        "task": predictor.task,
        "classes": list(predictor.classes),
        "inputs": _described(predictor.preparation.inputs),
        "outputs": [each.name for each in graph.model.graph.output],
        "members": [
            {"name": each.name, "share": each.share, "output": output}
            for each, output in zip(predictor.members, graph.outputs, strict=True)
        ],
        "prepared": graph.x,
        "pool": predictor.pool.id,
        "combine": predictor.combine,
        "temperature": predictor.temperature,
        "preparation": predictor.preparation.content(),
        "versions": {each: version(each) for each in ("ravine", "torch", "onnx", "onnxscript")},
    }


def _described(inputs: Inputs) -> list[dict[str, Any]]:
    """Each input, and how to write what goes into it; `missing` is None where a cell must not be empty."""
    if not isinstance(inputs, TableInputs):
        dtype, shape = raw_type(inputs)
        found = {"name": ARRAY, "type": np.dtype(dtype).name, "shape": list(shape)}
        named = inputs.features if isinstance(inputs, ArrayInputs) else ()
        return [found | ({"features": list(named)} if named else {})]
    return [
        {"name": column.name, "shape": [1]}
        | (
            {"type": "float64", "missing": None if column.fill is None else "NaN"}
            if isinstance(column, NumberInput)
            else {
                "type": "string",
                "missing": None if column.fill is None else empty_text(column),
                "like": list(column.levels[:3]),
            }
        )
        for column in inputs.columns
    ]


def _finished(model: ModelProto, about: Mapping[str, Any], vectors: Vectors, allowed: float) -> bytes:
    tests = {
        "inputs": as_json(vectors.inputs),
        "outputs": as_json(vectors.answers),
        "allowed": allowed,
        "scale": vectors.scale,
    }
    helper.set_model_props(
        model,
        {
            FACTS: json.dumps(about, allow_nan=False, ensure_ascii=False),
            VECTORS: json.dumps(tests, allow_nan=False, ensure_ascii=False),
        },
    )
    content: bytes = model.SerializeToString(deterministic=True)
    return content
