"""Facts about PyTorch's operations, against what the operations do."""

import pytest
import torch

from ravine import aten
from ravine.native import pointwise
from ravine.native.expressions import ExprPool
from ravine.trace import trace

_MORE = {  # arguments that have no default
    "clamp": (0.2, 0.6), "clamp_max": (0.5,), "clamp_min": (0.5,), "elu_backward": (1.0, 1.0, 1.0, False),
    "leaky_relu_backward": (0.1, False), "softplus_backward": (1.0, 20.0), "threshold_backward": (0.5,),
    "hardshrink_backward": (0.5,), "softshrink_backward": (0.5,), "hardtanh_backward": (-1.0, 0.5),
}  # fmt: skip
_OF_INTEGERS = ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "__lshift__", "__rshift__")


def _operands(name: str) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    given = [torch.rand(67, generator=draw) * 0.98 + 0.01 for _ in range(aten.ELEMENTWISE[name])]
    if name in _OF_INTEGERS:
        given = [(x * 9).long() for x in given]
    if name in ("where", "masked_fill"):
        given[["where", "masked_fill"].index(name)] = given[0] > 0.5
    return given


def _apply(name: str, given: list[torch.Tensor]) -> torch.Tensor:
    more = _MORE.get(name, ())
    if name == "elu_backward":
        return torch.ops.aten.elu_backward(given[0], *more, given[1])
    if name == "masked_fill":
        return torch.where(given[1], given[2], given[0])
    return getattr(torch.ops.aten, name)(*given, *more)


@pytest.mark.parametrize("name", aten.ELEMENTWISE)
def test_a_number_depends_on_one_place_alone(name):
    given = _operands(name)
    before = _apply(name, given)
    for operand in given:
        changed = [x.clone() if x is operand else x for x in given]
        for x, old in zip(changed, given, strict=True):
            if x is not old:
                x[13] = ~x[13] if x.dtype == torch.bool else x[14] + x[15]
        after = _apply(name, changed)
        assert after.shape == before.shape
        assert (before != after).nonzero().flatten().tolist() in ([], [13])


def test_machine_code_translates_elementwise_operations_only():
    assert pointwise.table(ExprPool()).keys() <= aten.ELEMENTWISE.keys()


@pytest.mark.parametrize("name", aten.COMPARISONS)
def test_a_comparison_is_a_truth_value(name):
    assert _apply(name, _operands(name)).dtype == torch.bool


def _nodes(function, *given):
    graph = trace(lambda *tensors: tuple(function(*tensors)), given).graph
    return {aten.name_of(node): node for node in graph.nodes if aten.is_operation(node)}, graph


_VIEWS = {
    "view": lambda x: x.view(6, 2), "_unsafe_view": lambda x: torch.ops.aten._unsafe_view(x, (12,)),
    "transpose": lambda x: x.transpose(0, 1), "expand": lambda x: x[None].expand(2, 3, 4),
    "select": lambda x: x[1], "slice": lambda x: x[:, 1:], "unsqueeze": lambda x: x.unsqueeze(0),
    "permute": lambda x: x.permute(1, 0), "as_strided": lambda x: x.as_strided((2, 2), (1, 4)),
}  # fmt: skip
_FRESH = {
    "clone": lambda x: x.clone(), "add": lambda x: x + 1, "cat": lambda x: torch.cat([x, x]),
    "constant_pad_nd": lambda x: torch.nn.functional.pad(x, (1, 1)), "mm": lambda x: x.mm(x.mT),
}  # fmt: skip


@pytest.mark.parametrize("name", [*_VIEWS, *_FRESH])
def test_the_root_is_the_node_whose_memory_is_shown(name):
    function = {**_VIEWS, **_FRESH}[name]
    x = torch.zeros(3, 4)
    shows = function(x).untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    nodes, graph = _nodes(lambda x: [function(x)], x)
    given = next(node for node in graph.nodes if node.op == "placeholder")
    assert aten.is_view(nodes[name]) == shows
    assert (aten.root(nodes[name]) is given) == shows
    assert not aten.writes(nodes[name])


def test_what_an_operation_writes_to():
    def function(x, mean, spread):
        y = torch.nn.functional.batch_norm(x, mean, spread, training=True)
        x[0].mul_(2.0)
        return (y,)

    nodes, graph = _nodes(function, torch.ones(3, 2), torch.zeros(2), torch.ones(2))
    x, mean, spread = (node for node in graph.nodes if node.op == "placeholder")
    assert aten.written(nodes["native_batch_norm"]) == [mean, spread]
    assert aten.written(nodes["mul"]) == [nodes["select"]]
    assert aten.root(nodes["mul"]) is x
    assert aten.changed(graph) == {x, mean, spread}
    assert aten.is_in_place(nodes["mul"])
    assert not aten.is_in_place(nodes["native_batch_norm"])
