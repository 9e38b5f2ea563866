"""Modules as graphs: traced once for all members that differ in their weights only.

torch's exporter takes some seconds, of which most are spent before it looks at a module. Members of a pool are mostly
the same module with other weights, so one trace serves them all: its constants that are parameters or buffers are
replaced by those of each member, by name.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from onnx import GraphProto, ModelProto, inliner, numpy_helper
from torch import Tensor, nn

from ravine.backbones.assembled import Assembled
from ravine.errors import ModelError, in_a_line, raised_at
from ravine.predictors.graph.nodes import Nodes

OPSET = 20  # has all that is needed, and is read by every onnxruntime since 1.17 (January 2024)
_LOUD = ("torch", "onnxscript", "onnx_ir")
_NUM_TRACED = 2  # examples of the trace: with one, torch takes their number for a constant


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """A traced module.

    Args:
        module: what was traced.
        graph: of it.
        named: of its constants those that are parameters or buffers.
        fixed: its other constants.
    """

    module: nn.Module
    graph: GraphProto
    named: tuple[str, ...]
    fixed: Mapping[str, np.ndarray]

    def place(self, nodes: Nodes, module: nn.Module, x: str, prefix: str) -> str:
        """This graph with the weights of such a module, as a part of another graph; the name of its output."""
        tensors = tensors_of(module)
        own = {name: nodes.constant(_array(tensors[name])) for name in self.named}
        own |= {name: nodes.constant(array) for name, array in self.fixed.items()}
        (output,) = nodes.place(self.graph, {self.graph.input[0].name: x, **own}, prefix)
        return output


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnBody:
    """A traced backbone: members that share a body compute it once.

    Args:
        module: what was traced.
        body: its graph, from examples to features.
        head: its graph, from features to outputs.
    """

    module: nn.Module
    body: Network
    head: Network

    def place(self, nodes: Nodes, module: nn.Module, x: str, prefix: str) -> str:
        """This graph with the weights of such a module, as a part of another graph; the name of its output."""
        assert isinstance(module, Assembled), "alike modules are of one class"
        key = id(module.body)
        if key not in nodes.made:
            nodes.made[key] = self.body.place(nodes, _Features(module), x, f"{prefix}body/")
        return self.head.place(nodes, module.head, nodes.made[key], prefix)


class _Features(nn.Module):
    """What a backbone's body makes of examples, (B, ...) -> (B, D)."""

    def __init__(self, module: Assembled) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module.features(x)


def networks_of(
    modules: Sequence[nn.Module], shape: tuple[int, ...], *, alone: bool = False
) -> list[Network | OnBody]:
    """The graph of each module; those that are alike but for their tensors share one.

    Args:
        modules: on the CPU, in evaluation mode, without gradients.
        shape: of one example.
        alone: trace each by itself.

    Raises:
        ModelError: a module cannot be traced.
    """
    found: list[Network | OnBody] = []
    for module in modules:
        same = next((each for each in found if not alone and alike(each.module, module)), None)
        if same is None and isinstance(module, Assembled):
            body = _Features(module)
            width = body(torch.zeros(1, *shape)).shape[1]
            same = OnBody(module=module, body=traced(body, shape), head=traced(module.head, (width,)))
        found.append(same or traced(module, shape))
    return found


def traced(module: nn.Module, shape: tuple[int, ...]) -> Network:
    """The graph of a module (N, *shape) -> (N, K), for any N.

    Args:
        module: on the CPU, in evaluation mode, without gradients.
        shape: of one example.

    Raises:
        ModelError: it cannot be traced, or its code fixes the number of examples.
    """
    graph = _exported(module, shape).graph
    tensors = {name: _array(each) for name, each in tensors_of(module).items()}
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    named = tuple(
        name for name, array in constants.items() if name in tensors and _same(array, tensors[name])
    )
    return Network(
        module=module,
        graph=graph,
        named=named,
        fixed={name: array for name, array in constants.items() if name not in named},
    )


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by every name that they have."""
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def alike(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules are the same but for the values of their parameters and buffers.

    Example:
        >>> alike(nn.Linear(2, 3), nn.Linear(2, 3)), alike(nn.Linear(2, 3), nn.Linear(3, 3))
        (True, False)
        >>> alike(nn.LeakyReLU(0.1), nn.LeakyReLU(0.2))
        False
    """
    if _ties(one) != _ties(other):
        return False
    pairs = zip_longest(
        one.named_modules(remove_duplicate=False), other.named_modules(remove_duplicate=False)
    )
    return all(a is not None and b is not None and a[0] == b[0] and _level(a[1], b[1]) for a, b in pairs)


def _ties(module: nn.Module) -> list[tuple[str, str, tuple[int, ...], torch.dtype]]:
    """Each name of a tensor with the first name of the same tensor, its shape and type."""
    first: dict[int, str] = {}
    return [
        (name, first.setdefault(id(each), name), tuple(each.shape), each.dtype)
        for name, each in tensors_of(module).items()
    ]


def _level(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules are of one class, and equal in all that is no tensor and no module below."""
    if type(one) is not type(other):
        return False
    hidden = {"_parameters", "_buffers", "_modules"}
    a, b = ({key: value for key, value in vars(each).items() if key not in hidden} for each in (one, other))
    return _equal(a, b)


def _equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return _same(one, other)
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    plain = isinstance(one, int | float | complex | str | bytes | set | frozenset | torch.device)
    return plain and bool(one == other)


def _exported(module: nn.Module, shape: tuple[int, ...]) -> ModelProto:
    example = (torch.zeros(_NUM_TRACED, *shape),)
    failed: list[Exception] = []
    with quiet():
        for strict in (False, True):  # strict reads the code, and so understands len(x)
            try:
                program = torch.export.export(
                    module, example, dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), strict=strict
                )
                exported = torch.onnx.export(
                    program,
                    (),
                    input_names=["x"],
                    output_names=["y"],
                    opset_version=OPSET,
                    dynamo=True,
                    external_data=False,
                    optimize=False,
                    verbose=False,
                )
                assert exported is not None, "an exporter without a file returns its program"
                return inliner.inline_local_functions(exported.model_proto)
            except Exception as error:  # noqa: BLE001 (whatever torch's exporter raises of a module)
                failed.append(error)
    raise ModelError(
        f"model: {type(module).__name__} cannot become an ONNX graph: {_why(failed)}"
    ) from failed[0]


def _why(failed: Sequence[Exception]) -> str:
    for error in failed:
        if "specialized it to be a constant" in str(error):
            return "its code works for a fixed number of examples only; take x.shape[0] for it, and no loop over x"
        if "data-dependent" in str(error).casefold():
            return f"its code decides by the values of a tensor{raised_at(error)}; torch.where does that in a graph"
    lines = [line for line in str(failed[0]).splitlines() if "No ONNX function found" in line]
    cause = failed[0].__cause__ or failed[0]
    return lines[0].strip() if lines else f"{in_a_line(cause)}{raised_at(failed[0])}"


@contextmanager
def quiet() -> Iterator[None]:
    """Within it, torch's exporter says nothing, and attention is made of operators that ONNX has."""
    fast = torch.backends.mha.get_fastpath_enabled()
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _LOUD]
    handlers = [each for name in ("", *names) for each in logging.getLogger(name).handlers]
    levels = [each.level for each in handlers]
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            torch.backends.mha.set_fastpath_enabled(False)
            for each in handlers:
                each.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            for each, level in zip(handlers, levels, strict=True):
                each.setLevel(level)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
