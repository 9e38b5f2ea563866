"""One training step of a cohort, as one flat program.

Shapes: R run of the cohort, G run of a segment, B batch, S seed, P numbers of one run, K class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from ravine.engine.noise import noise_of, without_noise
from ravine.engine.search import held_number, search_step
from ravine.engine.setting import Setting
from ravine.engine.state import Constants, Data, State, copied
from ravine.engine.traced.passes import fold, share, write_through
from ravine.engine.updates import gradient_points, update_segment
from ravine.rng import keyed_draws
from ravine.rules.sam import ascended
from ravine.trace import trace

Step = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(rows_SB, lr_R, t, step) -> (loss_R, accuracy_R); the state is changed in place."""
Compiler = Callable[..., Callable[..., object]]
"""Makes of a traced graph and its example inputs a faster function of them."""


def direct_step(setting: Setting) -> Step:
    """The step of one run as plain Python over tensors, for what cannot be traced.

    A module that draws random numbers itself draws the same ones at the same step of the same seed.
    """
    (seed,) = {run.seed for run in setting.cohort.runs}

    def step(rows_SB: Tensor, lr_R: Tensor, t: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        held = held_number(setting.state.slots[0], number) if setting.cohort.searches else number
        with keyed_draws(seed, "forward", int(held)) as drawing:
            own = replace(setting, drew=lambda: drawing.num_draws > 0)
            return _step(own, setting.state, setting.constants, setting.data, rows_SB, lr_R, t, number)

    return step


def traced_step(setting: Setting, compiler: Compiler | None = None) -> Step:
    """The step as the list of tensor operations that it comes down to: no autograd, no vmap at run time.

    Args:
        setting: what the step is made of. Tracing runs a step on copies of the state and leaves it alone.
        compiler: turns the traced graph and its example inputs into something faster; None: run the graph.

    Raises:
        Untraceable: the model's operations depend on the numbers that flow through it.
    """
    rows_SB = torch.zeros(
        (setting.num_seeds, setting.cohort.recipe.batch_size), dtype=torch.int64, device=setting.data.x.device
    )
    inputs = (
        rows_SB,
        torch.ones(len(setting.cohort.runs), device=rows_SB.device),
        torch.ones((), device=rows_SB.device),
        torch.zeros_like(rows_SB[0, 0]),
    )
    return traced(setting, partial(_step, setting), inputs, compiler)


def traced(
    setting: Setting,
    body: Callable[..., tuple[Tensor, Tensor]],
    inputs: Sequence[Tensor],
    compiler: Compiler | None = None,
) -> Callable[..., tuple[Tensor, Tensor]]:
    """A part of a step as the list of tensor operations that it comes down to.

    Args:
        setting: what the step is made of. Tracing runs the part on copies of the state and leaves it alone.
        body: ``(state, constants, data, *inputs)``. What changes from call to call must be a part of the state that the
            body itself writes to, or among the inputs: everything else is taken for constant.
        inputs: examples of them.
        compiler: turns the traced graph and its example inputs into something faster; None: run the graph.

    Returns:
        The function of the inputs.

    Raises:
        Untraceable: the model's operations depend on the numbers that flow through it.
    """
    fixed, spec = tree_flatten(
        (_parts(setting.state), _parts(setting.constants), (setting.data.x, setting.data.y))
    )
    num_fixed, num_state = len(fixed), len(tree_flatten(_parts(setting.state))[0])

    def flat(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        state, constants, (x, y) = tree_unflatten(list(tensors[:num_fixed]), spec)
        return body(State(**state), Constants(**constants), Data(x=x, y=y), *tensors[num_fixed:])

    copies = [tensor.clone() for tensor in fixed[:num_state]] + fixed[num_state:]
    graph = trace(flat, [*copies, *inputs])
    if compiler is None:
        fold(graph, fixed)
        share(graph)
        write_through(graph)
    run = graph.forward if compiler is None else compiler(graph, [*fixed, *inputs])

    def of_inputs(*given: Tensor) -> tuple[Tensor, Tensor]:
        loss_R, accuracy_R = run(*fixed, *given)  # type: ignore[misc]
        return loss_R, accuracy_R

    return of_inputs


def _parts(record: State | Constants) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def _step(
    setting: Setting,
    state: State,
    constants: Constants,
    data: Data,
    rows_SB: Tensor,
    lr_R: Tensor,
    t: Tensor,
    number: Tensor,
) -> tuple[Tensor, Tensor]:
    """Gradients of all runs, then every segment's update."""
    if setting.cohort.searches:
        return search_step(setting, state, constants, data, rows_SB, lr_R, number)
    cohort, layout = setting.cohort, setting.network.layout
    hypers = [
        {**own, "lr": lr_R[segment.start : segment.stop, None]}
        for segment, own in zip(cohort.segments, constants.hypers, strict=True)
    ]
    points_RP = gradient_points(state, cohort, hypers)
    objective = setting.objective
    given = (constants, data, None if setting.full_batch else rows_SB, number)
    grads, (loss_R, accuracy_R) = objective.gradients(points_RP, state.buffers, *given)
    layout.write(grads, constants.grads_RP)
    if cohort.ascends:
        above_RP = ascended(points_RP, constants.grads_RP, constants.radius)
        grads, _ = objective.gradients(above_RP, copied(state.buffers), *given)
        layout.write(grads, constants.grads_RP)
    with objective.alike():
        for segment, slots, own in zip(cohort.segments, state.slots, hypers, strict=True):
            params_GP = state.params_RP[segment.start : segment.stop]
            grads_GP = constants.grads_RP[segment.start : segment.stop]
            if segment.noisy:
                grads_GP.add_(noise_of(own, constants.seeds_R[segment.start : segment.stop], number))
            update_segment(segment, layout, grads_GP, slots, params_GP, without_noise(own), t)
    return loss_R, accuracy_R
