"""A step, or a part of one, as the list of tensor operations that it comes down to.

Shapes: R run of the cohort, B batch, S seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from ravine.engine.norms import fold_norms
from ravine.engine.setting import Setting
from ravine.engine.state import Constants, Data, State
from ravine.engine.step import Step, step
from ravine.engine.traced.gates import leave_out, raise_gates
from ravine.engine.traced.passes import fold, share, write_through
from ravine.trace import trace

Compiler = Callable[..., Callable[..., object]]
"""Makes of a traced graph and its example inputs a faster function of them."""


def traced_step(setting: Setting, compiler: Compiler | None = None, *, updates: bool = True) -> Step:
    """The step without autograd and vmap at run time.

    Args:
        setting: what the step is made of. Tracing runs a step on copies of the state and leaves it alone.
        compiler: turns the traced graph and its example inputs into something faster; None: run the graph.
        updates: whether the rules' part is done too; see `ravine.engine.step.step`.

    Raises:
        Untraceable: the model's operations depend on the numbers that flow through it.
    """
    one = partial(step, setting, updates=updates)
    rows_SB = torch.zeros(
        (setting.num_orders, setting.cohort.recipe.batch_size),
        dtype=torch.int64,
        device=setting.data.x.device,
    )
    own: Any = {"dtype": setting.network.dtype, "device": rows_SB.device}
    inputs = (
        rows_SB,
        torch.ones((setting.cohort.num_scheduled, len(setting.cohort.runs)), **own),
        torch.ones((), **own),
        torch.zeros_like(rows_SB[0, 0]),
    )
    if setting.augmenting is None:
        return traced(setting, one, inputs, compiler, moves=not updates)
    batch = setting.data  # other examples at each step, in the same memory

    def of_batch(state: State, constants: Constants, _: Data, *given: Tensor) -> tuple[Tensor, Tensor]:
        num = len(batch.tensors)
        return one(state, constants, Data.of_tensors(given[:num]), *given[num:])

    run = traced(setting, of_batch, (*batch.tensors, *inputs), compiler, moves=not updates)
    return lambda *given: run(*batch.tensors, *given)


def traced(
    setting: Setting,
    body: Callable[..., tuple[Tensor, Tensor]],
    inputs: Sequence[Tensor],
    compiler: Compiler | None = None,
    *,
    moves: bool = False,
) -> Callable[..., tuple[Tensor, Tensor]]:
    """A part of a step without autograd and vmap at run time.

    Args:
        setting: what the step is made of. Tracing runs the part on copies of the state and leaves it alone.
        body: ``(state, constants, data, *inputs)``. What changes from call to call must be a part of the state that the
            body itself writes to, or among the inputs: everything else is taken for constant.
        inputs: examples of them.
        compiler: turns the traced graph and its example inputs into something faster; None: run the graph.
        moves: whether others change the state, too.

    Returns:
        The function of the inputs.

    Raises:
        Untraceable: the model's operations depend on the numbers that flow through it.
    """
    fixed, spec = tree_flatten((_parts(setting.state), _parts(setting.constants), setting.data.tensors))
    num_fixed, num_state = len(fixed), len(tree_flatten(_parts(setting.state))[0])

    def flat(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        state, constants, data = tree_unflatten(list(tensors[:num_fixed]), spec)
        return body(State(**state), Constants(**constants), Data.of_tensors(data), *tensors[num_fixed:])

    copies = [tensor.clone() for tensor in fixed[:num_state]] + fixed[num_state:]
    graph = trace(flat, [*copies, *inputs])
    if compiler is None:
        fold(graph, fixed, num_state if moves else 0)
        share(graph)
        alone = not setting.objective.fused and fixed[0].device.type == "cpu"  # where a gate is cheap to read
        if alone and setting.network.flushes:  # other models keep the bits that they have had
            fold_norms(graph.graph)
        if alone:
            raise_gates(graph)
        write_through(graph)
        if alone:
            leave_out(graph)
    run = graph.forward if compiler is None else compiler(graph, [*fixed, *inputs])

    def of_inputs(*given: Tensor) -> tuple[Tensor, Tensor]:
        loss_R, accuracy_R = run(*fixed, *given)  # type: ignore[misc]
        return loss_R, accuracy_R

    return of_inputs


def inductor(graph: Any, inputs: list[Any]) -> Callable[..., object]:
    """Compile a traced graph; the result is in torch's own cache on disk, keyed by its content."""
    import torch._inductor  # takes 0.9 s, and most studies need none of it

    compiled: Callable[..., object] = torch._inductor.standalone_compile(graph, inputs)
    return compiled


def _parts(record: State | Constants) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}
