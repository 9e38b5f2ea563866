"""Operations that a closed gate makes needless are left out of a traced step of one run.

A gate is a truth value that is the same everywhere, such as whether a block of a network takes part in this step:
``where(gate, x + block(x), x)``. Where it is false, what is computed for the block alone is read by nobody. Backward,
the block is given a gradient of zeros, so what it hands to its weights and to x are zeros: they are written down, and
nothing is computed for them. Buffers that a layer keeps, ``where(gate, new, old)``, stay as they are.

Each gate is looked at alone, as if nothing were known of the others; since more closed gates only leave more out, what
each of them allows is allowed together. `ravine.native.gates` does the same for machine code, whose pieces are loops
over memory. Here they are tensors: a value is a node, whatever memory it lies in.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, final

import torch
from torch import Tensor, fx

from ravine import aten

_ATEN = torch.ops.aten
_WHERE = (_ATEN.where.self, _ATEN.where.self_out)
_MUCH = 4096  # numbers that a gate must leave out, to be asked at all
# Of 0 they are 0.
_KEEP_ZERO = (
    "neg", "abs", "sqrt", "relu", "tanh", "erf", "sin", "expm1", "log1p", "sum", "mean", "clone", "_to_copy",
    "constant_pad_nd",
)  # fmt: skip
_OF_ZEROS = ("zeros", "zeros_like", "new_zeros")
_PRODUCTS = ("mul", "mm", "bmm", "convolution")

Action = Literal["run", "zero", "skip"]


def raise_gates(module: fx.GraphModule) -> None:
    """Let gates be computed before all else, if what they are computed from does not change meanwhile.

    Args:
        module: its graph is changed.
    """
    graph = module.graph
    changed = aten.changed(graph)
    movable: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op in ("placeholder", "get_attr"):
            free = aten.root(node) not in changed
        else:
            free = aten.is_operation(node) and not aten.writes(node) and aten.root(node) not in changed
            free = free and all(arg in movable for arg in node.all_input_nodes)
        if free:
            movable.add(node)
    raised = {gate for gate in _gates(graph) if gate in movable}
    for node in reversed(graph.nodes):
        if node in raised:
            raised.update(node.all_input_nodes)
    last: fx.Node | None = None
    for node in list(graph.nodes):
        if node.op == "placeholder":
            last = node
        elif node in raised and last is not None:
            last.append(node)
            last = node


def leave_out(module: fx.GraphModule) -> None:
    """Let what a closed gate makes needless be left out, and be zeros where its zeros are read.

    Args:
        module: its graph is changed. It is the last change: nothing else knows such nodes.
    """
    graph = module.graph
    if not _gates(graph):
        return
    facts = _facts(module)
    gates = [gate for gate in _gates(graph) if not facts[gate].is_changed]
    always = _zeros(facts)
    spared: dict[fx.Node, dict[Action, list[tuple[fx.Node, bool]]]] = {}
    asked: set[fx.Node] = set()
    for gate in gates:
        for closed in (False, True):
            actions = _actions(facts, gates, gate, closed, always)
            if sum(_size(node) for node in actions) < _MUCH:
                continue
            asked.add(gate)
            for node, action in actions.items():
                spared.setdefault(node, {}).setdefault(action, []).append((gate, closed))
    if asked:
        _rewrite(graph, spared, asked)
        module.recompile()


def _gates(graph: fx.Graph) -> list[fx.Node]:
    """Single truth values that something is chosen by."""
    found: dict[fx.Node, None] = {}
    for node in graph.nodes:
        if _is_choice(node):
            found[node.args[0]] = None
    return list(found)


def _is_choice(node: fx.Node) -> bool:
    """Whether a node chooses by a single truth value between what is of its own type."""
    if node.target not in _WHERE:
        return False
    each = [arg for arg in (node, *node.args) if isinstance(arg, fx.Node) and "strides" in arg.meta]
    if len(each) < 4:
        return False
    own, gate, *arms = (arg.meta["tensor"] for arg in each)
    return gate[1] == torch.bool and prod(gate[0]) == 1 and all(arm[1] == own[1] for arm in arms)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Fact:
    """What a node is, whatever the gates are.

    Args:
        memory: the node whose memory it is, or shows a part of. What `write_through` writes over an argument is a new
            value: nobody reads the old one.
        reads: the memory of its arguments.
        writes: the memory that it changes.
        is_kept: whether what it writes is there after the step.
        is_zero: whether all its numbers are 0.
        zero_if: whether they are where ``all`` or ``any`` of others are.
        zero_of: these others.
        chooses_by: the single truth value that it chooses by.
        is_changed: whether something changes its memory later on.
    """

    memory: fx.Node
    reads: tuple[fx.Node, ...]
    writes: tuple[fx.Node, ...]
    is_kept: bool
    is_zero: bool
    zero_if: Callable[[Iterable[bool]], bool]
    zero_of: tuple[Any, ...]
    chooses_by: fx.Node | None
    is_changed: bool


def _facts(module: fx.GraphModule) -> dict[fx.Node, _Fact]:
    """Of each node, in order."""
    memory: dict[fx.Node, fx.Node] = {}
    writes: dict[fx.Node, tuple[fx.Node, ...]] = {}
    for node in module.graph.nodes:
        memory[node] = node
        if node.op != "call_function":
            continue
        is_operation = aten.is_operation(node)
        changes = is_operation and aten.writes(node)
        targets = tuple(memory[each] for each in aten.written(node)) if changes else ()
        alone = node.meta.get("over_argument", False)
        writes[node] = () if alone else targets
        if aten.is_view(node) or (not is_operation and aten.is_view(node.args[0])):
            memory[node] = memory[node.args[0]]
        elif aten.is_in_place(node) and targets and not alone:
            memory[node] = targets[0]
    changed = {each for targets in writes.values() for each in targets}
    roots = aten.changed(module.graph)
    found = {}
    for node in module.graph.nodes:
        zero_if, zero_of = _zero_if(node)
        found[node] = _Fact(
            memory=memory[node],
            reads=tuple(memory[arg] for arg in node.all_input_nodes),
            writes=writes.get(node, ()),
            is_kept=any(each.op in ("placeholder", "get_attr") for each in writes.get(node, ())),
            is_zero=_has_zeros(module, node, roots),
            zero_if=zero_if,
            zero_of=zero_of,
            chooses_by=node.args[0] if _is_choice(node) else None,
            is_changed=memory[node] in changed,
        )
    return found


def _has_zeros(module: fx.GraphModule, node: fx.Node, changed: set[fx.Node]) -> bool:
    """Whether a node is made of zeros, or a constant that is."""
    if node.op != "get_attr":
        return aten.is_operation(node) and aten.name_of(node) in _OF_ZEROS
    constant = aten.root(node) is node and node not in changed
    return constant and not bool(getattr(module, str(node.target)).any())


def _actions(
    facts: dict[fx.Node, _Fact], gates: Sequence[fx.Node], gate: fx.Node, closed: bool, always: set[fx.Node]
) -> dict[fx.Node, Action]:
    """What is left out while a gate has a value, of the nodes after it; what is 0 always is no gain."""
    zero = _zeros(facts, gate, closed).difference(always, gates)
    actions: dict[fx.Node, Action] = {}
    live = {facts[each].memory for each in gates}  # they are asked, whatever the others are
    for node, fact in reversed(facts.items()):
        if node is gate:
            break
        if node.op == "output":
            live.update(fact.reads)
        if node.op != "call_function":
            continue
        if not fact.is_kept and fact.memory not in live and live.isdisjoint(fact.writes):
            actions[node] = "skip"
        elif node in zero and not fact.writes and "strides" in node.meta:
            actions[node] = "zero"
        elif fact.chooses_by is gate:
            live.add(facts[node.args[1 if closed else 2]].memory)  # type: ignore[index]
        else:
            live.update(fact.reads)
    return actions


def _zeros(facts: dict[fx.Node, _Fact], gate: fx.Node | None = None, closed: bool = False) -> set[fx.Node]:
    """The nodes whose numbers are all 0 while a gate has a value; without a gate, always."""
    zero: set[fx.Node] = set()
    for node, fact in facts.items():
        if fact.is_changed:
            continue
        if gate is not None and fact.chooses_by is gate:
            is_zero = node.args[1 if closed else 2] in zero
        else:
            is_zero = fact.is_zero or (
                bool(fact.zero_of) and fact.zero_if(term in zero for term in fact.zero_of)
            )
        if is_zero:
            zero.add(node)
    return zero


def _zero_if(node: fx.Node) -> tuple[Callable[[Iterable[bool]], bool], tuple[Any, ...]]:
    """Of which arguments all, or any one, must be 0 for a node to be 0; none of them: it isn't for their sake."""
    first = node.args[:1]
    if node.op != "call_function":
        return all, ()
    if not aten.is_operation(node):  # one of several results
        return all, first
    name, schema = aten.name_of(node), node.target._schema  # type: ignore[union-attr]
    if "backward" in name and schema.arguments[0].name.startswith("grad"):
        return all, first  # a gradient is linear in that of the result
    if name in _PRODUCTS:
        return any, node.args[:2] if name != "convolution" or node.args[2] is None else ()
    if name in ("add", "sub"):
        return all, node.args[:2]
    if name == "where":
        return all, node.args[1:3]
    if name in ("cat", "stack"):
        return all, tuple(node.args[0])  # type: ignore[arg-type]
    return all, first if aten.is_view(node) or name == "div" or name in _KEEP_ZERO else ()


def _size(node: fx.Node) -> int:
    """How many numbers it computes."""
    known = node.meta.get("tensor")
    return 0 if known is None or (aten.is_operation(node) and aten.is_view(node)) else prod(known[0])


def _rewrite(
    graph: fx.Graph,
    spared: dict[fx.Node, dict[Action, list[tuple[fx.Node, bool]]]],
    gates: set[fx.Node],
) -> None:
    """Let nodes ask the gates."""
    choices = {node for node in graph.nodes if _is_choice(node) and node.args[0] in gates}
    flags: dict[frozenset[tuple[fx.Node, bool]], fx.Node | bool] = {frozenset(): False}

    def any_of(states: Iterable[tuple[fx.Node, bool]], before: fx.Node) -> fx.Node | bool:
        """Whether one of some gates has that value."""
        wanted = frozenset(states)
        if wanted not in flags:
            with graph.inserting_before(before):
                each = [flags[frozenset([state])] for state in wanted]
                flags[wanted] = graph.call_function(_any, tuple(each))
        return flags[wanted]

    for node in list(graph.nodes):
        by = spared.get(node, {})
        if node in choices:
            operation, args = _choice(_like(node)), (flags[frozenset([(node.args[0], True)])], *node.args[1:])
        elif by:
            operation, args = node.target, node.args
        else:
            operation = None
        if operation is not None:
            needless, zero = (any_of(by.get(action, ()), node) for action in ("skip", "zero"))
            with graph.inserting_before(node):
                run = _guarded(operation, _like(node) if "zero" in by else None)
                new = graph.call_function(run, (needless, zero, *args), node.kwargs)
            node.replace_all_uses_with(new)
            graph.erase_node(node)
        if node in gates:
            with graph.inserting_after(node):
                is_true = graph.call_function(Tensor.item, (node,))
            with graph.inserting_after(is_true):
                is_false = graph.call_function(operator.not_, (is_true,))
            flags[frozenset([(node, True)])], flags[frozenset([(node, False)])] = is_true, is_false


def _any(*flags: bool) -> bool:
    return any(flags)


def _like(node: fx.Node) -> _Like:
    return _Like(shape=node.meta["tensor"][0], strides=node.meta["strides"], dtype=node.meta["tensor"][1])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Like:
    """How a tensor lies in memory: kernels choose by it how they sum."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    def zeros(self) -> Tensor:
        far = 1 + sum(stride * (size - 1) for size, stride in zip(self.shape, self.strides, strict=True))
        return torch.zeros(far, dtype=self.dtype).as_strided(self.shape, self.strides)

    def empty(self) -> Tensor:
        return torch.empty_strided(self.shape, self.strides, dtype=self.dtype)


def _guarded(operation: Callable[..., Any], like: _Like | None) -> Callable[..., Any]:
    """An operation that is left out where nobody reads its result, and where that is zeros."""

    def run_unless(needless: bool, is_zero: bool, *args: Any, **kwargs: Any) -> Any:
        if is_zero and like is not None:
            return like.zeros()
        return None if needless else operation(*args, **kwargs)

    return run_unless


def _choice(like: _Like) -> Callable[..., Tensor]:
    """``where`` for a truth value that is known; what it does not take need not be there."""

    def choose(
        is_true: bool, one: Tensor | None, other: Tensor | None, *, out: Tensor | None = None
    ) -> Tensor:
        chosen, target = one if is_true else other, like.empty() if out is None else out
        assert chosen is not None, "what a gate lets through is computed"
        return target if target is chosen else target.copy_(chosen)

    return choose
