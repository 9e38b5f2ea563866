"""A graph by itself: its test vectors through onnxruntime, at several batch sizes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from ravine.errors import InputError, in_a_line
from ravine.predictors.shapes import BATCH
from ravine.predictors.vectors import Arrays, of_json

BATCHES = (1, 3, 128)
FACTS, VECTORS = "ravine", "test_vectors"  # keys of a graph's metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came out of a check.

    Args:
        path: of the graph.
        num_examples: test vectors.
        worst: the largest difference from what the predictor said: of probabilities, or of values relative to the
            spread of the target.
        allowed: how large it may be.
        facts: what the graph says of itself.
    """

    path: str
    num_examples: int
    worst: float
    allowed: float
    facts: Mapping[str, Any]

    @property
    def agrees(self) -> bool:
        """Whether the graph says the same as the predictor that it was made of."""
        return self.worst <= self.allowed


def check_graph(path: Path | str) -> Checked:
    """Run the test vectors of a graph, one by one, in threes and 128 at a time.

    Args:
        path: of the graph.

    Raises:
        InputError: it cannot be read, or is none that ravine wrote.
    """
    session = session_of(path)
    metadata = session.get_modelmeta().custom_metadata_map
    try:
        facts, vectors = (json.loads(metadata[key]) for key in (FACTS, VECTORS))
        inputs, outputs = of_json(vectors["inputs"]), of_json(vectors["outputs"])
        allowed, scale = float(vectors["allowed"]), np.asarray(vectors["scale"], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: has no test vectors of ravine's in its metadata") from None
    try:
        worst = max(worst_of(session, inputs, outputs, size, scale) for size in BATCHES)
    except Exception as error:
        raise InputError(f"{path}: its test vectors do not go through it: {in_a_line(error)}") from error
    number = len(next(iter(inputs.values())))
    return Checked(path=str(path), num_examples=number, worst=worst, allowed=allowed, facts=facts)


def session_of(graph: Path | str | bytes, where: str = "graph") -> onnxruntime.InferenceSession:
    """What runs a graph.

    Args:
        graph: a file, or its bytes.
        where: bytes come from, for errors.

    Raises:
        InputError: it cannot be read.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it says is raised too
    try:
        return onnxruntime.InferenceSession(
            graph if isinstance(graph, bytes) else str(graph), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        where = where if isinstance(graph, bytes) else str(graph)
        raise InputError(f"{where}: cannot be read as an ONNX graph: {in_a_line(error)}") from error


def worst_of(
    session: onnxruntime.InferenceSession, inputs: Arrays, outputs: Arrays, size: int, scale: Any = 1.0
) -> float:
    """The largest difference between what a graph says and what it should say.

    Args:
        session: of the graph.
        inputs: examples.
        outputs: what it should say of them.
        size: examples at a time: the same ones come again where there are fewer.
        scale: that numbers are divided by, one for all or one for each of several targets.
    """
    number = len(next(iter(inputs.values())))
    batch_axis = {each.name: each.shape.index(BATCH) for each in session.get_outputs()}
    worst = 0.0
    for start in range(0, number, size):
        rows = np.arange(start, start + size) % number
        found = session.run(list(outputs), {name: each[rows] for name, each in inputs.items()})
        for got, (name, wanted) in zip(found, outputs.items(), strict=True):
            worst = max(worst, _apart(got, wanted.take(rows, axis=batch_axis[name]), scale))
    return worst


def _apart(got: np.ndarray, wanted: np.ndarray, scale: Any) -> float:
    if wanted.dtype.kind in "UO":
        return 0.0 if got.tolist() == wanted.tolist() else np.inf
    if got.shape != wanted.shape or (np.isnan(got) != np.isnan(wanted)).any():
        return np.inf
    with np.errstate(invalid="ignore"):  # of two infinite numbers that are equal
        apart = np.abs(got.astype(np.float64) - wanted) / scale
    return float(np.nanmax(apart, initial=0.0))
