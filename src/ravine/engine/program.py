"""One training step of a cohort, as one flat program.

Shapes: R run of the cohort, G run of a segment, B batch, S seed, P numbers of one run, K class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from ravine.engine.aligned import AlignedProducts
from ravine.engine.cohort import Cohort, Segment
from ravine.engine.loss import Loss
from ravine.engine.network import Network
from ravine.engine.noise import noise_of, without_noise
from ravine.engine.passes import fold, share, write_through
from ravine.engine.searching import held_number, hessian, search_step
from ravine.engine.state import Constants, Data, State, rules_of
from ravine.nn.functional import batched_kernels
from ravine.rng import keyed_draws
from ravine.rules.base import Rule
from ravine.rules.sam import ascended
from ravine.tensors import Layout
from ravine.trace import trace

Step = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(rows_SB, lr_R, t, step) -> (loss_R, accuracy_R); the state is changed in place."""
Compiler = Callable[..., Callable[..., object]]
"""Makes of a traced graph and its example inputs a faster function of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """All that a step is made of.

    Args:
        fused: all runs at once under vmap; False: exactly one run, without it.
        full_batch: every batch is the whole training set.
        num_seeds: S, how many seeds the batches are drawn for.
        drew: whether the model has drawn random numbers itself, in the step that goes on.
    """

    cohort: Cohort
    network: Network
    loss: Loss
    data: Data
    state: State
    constants: Constants
    fused: bool
    full_batch: bool
    num_seeds: int
    drew: Callable[[], bool] = bool


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
        return search_step(setting, gradients, state, constants, data, rows_SB, lr_R, t, number)
    cohort, layout = setting.cohort, setting.network.layout
    hypers = [
        {**own, "lr": lr_R[segment.start : segment.stop, None]}
        for segment, own in zip(cohort.segments, constants.hypers, strict=True)
    ]
    points_RP = _gradient_points(state, cohort, hypers)
    given = (constants, data, rows_SB, number)
    grads, (loss_R, accuracy_R) = gradients(setting, points_RP, state, *given)
    _gather(layout, grads, constants.grads_RP)
    if cohort.ascends:
        above_RP = ascended(points_RP, constants.grads_RP, constants.radius)
        grads, _ = gradients(setting, above_RP, replace(state, buffers=copied(state.buffers)), *given)
        _gather(layout, grads, constants.grads_RP)
    with _alike(setting):
        for segment, slots, own in zip(cohort.segments, state.slots, hypers, strict=True):
            params_GP = state.params_RP[segment.start : segment.stop]
            grads_GP = constants.grads_RP[segment.start : segment.stop]
            if segment.noisy:
                grads_GP.add_(noise_of(own, constants.seeds_R[segment.start : segment.stop], number))
            update_segment(segment, layout, grads_GP, slots, params_GP, without_noise(own), t)
    return loss_R, accuracy_R


def _alike(setting: Setting) -> AbstractContextManager[object]:
    """Products and sums that come out the same whatever neighbours a run has; a run alone has none."""
    return AlignedProducts() if setting.fused else nullcontext()


def _gather(layout: Layout, grads: dict[str, Tensor], grads_RP: Tensor) -> None:
    for name, view in layout.views(grads_RP).items():
        view.copy_(grads[name])


def copied(buffers: dict[str, Tensor]) -> dict[str, Tensor]:
    """Buffers for a pass that leaves those of the runs as they are."""
    return {name: buffer.clone() for name, buffer in buffers.items()}


def update_segment(
    segment: Segment,
    layout: Layout,
    grads_GP: Tensor,
    slots: dict[str, Tensor],
    params_GP: Tensor,
    hypers: dict[str, Tensor],
    t: Tensor,
) -> None:
    """One segment's step by its rule, in place."""
    update_GP, new = _update(segment, layout, grads_GP, slots, params_GP, hypers, t)
    params_GP.add_(update_GP)
    for name, slot in slots.items():
        slot.copy_(new[name])


def _gradient_points(state: State, cohort: Cohort, hypers: Sequence[dict[str, Tensor]]) -> Tensor:
    """Where the gradients are taken, (R, P): some rules look ahead."""
    if not any(segment.rule.gradient_at for segment in cohort.segments):
        return state.params_RP
    points = []
    for segment, slots, own in zip(cohort.segments, state.slots, hypers, strict=True):
        params_GP = state.params_RP[segment.start : segment.stop]
        look = segment.rule.gradient_at
        points.append(look(params_GP, slots, own) if look else params_GP)
    return torch.cat(points)


def gradients(
    setting: Setting,
    points_RP: Tensor,
    state: State,
    constants: Constants,
    data: Data,
    rows_SB: Tensor,
    number: Tensor,
    hessians: list[Tensor] | None = None,
) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
    """Gradients (R, ...) by name, losses and accuracies (R,); the buffers are brought up to date.

    A list of Hessians gets one more, of all runs.
    """
    network = setting.network
    given = {**constants.fixed, **constants.rates, **network.keys(constants.seeds_R, number)}

    def objective(
        params: dict[str, Tensor], given: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        # A module may change its input in place, and a full batch is the data set itself.
        output, buffers = network.pure({**params, **given}, buffers, x.clone() if setting.full_batch else x)
        return *setting.loss(output, y), {name: tensor.detach() for name, tensor in buffers.items()}

    views = {name: view.detach().requires_grad_() for name, view in network.layout.views(points_RP).items()}
    with torch.enable_grad(), batched_kernels(), _alike(setting):
        if not setting.fused:
            x, y = data.x, data.y
            if not setting.full_batch:
                x, y = x.index_select(0, rows_SB[0]), y.index_select(0, rows_SB[0])
            if x.dim() == 4:
                x = x.clone(memory_format=torch.channels_last)
            one = objective(channels_last(_first(views)), _first(given), _first(state.buffers), x, y)
            loss_R, accuracy_R, buffers = tree_map(lambda tensor: tensor.unsqueeze(0), one)
        elif setting.full_batch:
            both = vmap(objective, in_dims=(0, 0, 0, None, None))
            loss_R, accuracy_R, buffers = both(views, given, state.buffers, data.x, data.y)
        else:
            rows_RB = rows_SB.index_select(0, constants.seed_index_R)
            rows = rows_RB.flatten()
            x_RB = data.x.index_select(0, rows).unflatten(0, rows_RB.shape)
            y_RB = data.y.index_select(0, rows).unflatten(0, rows_RB.shape)
            loss_R, accuracy_R, buffers = vmap(objective)(views, given, state.buffers, x_RB, y_RB)
        # No run's loss depends on another's parameters: the gradient of the sum holds the gradient of each.
        points = list(views.values())
        with_graph = hessians is not None
        grads = torch.autograd.grad(
            loss_R.sum(), points, create_graph=with_graph, allow_unused=True, materialize_grads=True
        )
        if hessians is not None:
            hessians.append(hessian(grads, points).detach())
            grads = tuple(grad.detach() for grad in grads)
    for name, buffer in state.buffers.items():
        buffer.copy_(buffers[name])
    return dict(zip(views, grads, strict=True)), (loss_R.detach(), accuracy_R.detach())


def channels_last(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """One run's tensors with those of convolutions laid out channels last: the results then are, and are faster."""
    # Not by `contiguous`, which leaves a single channel in strides that convolutions take for channels first.
    last = torch.channels_last
    return {name: t.clone(memory_format=last) if t.dim() == 4 else t for name, t in tensors.items()}


def _first(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor[0] for name, tensor in tensors.items()}


def _update(
    segment: Segment,
    layout: Layout,
    grads_GP: Tensor,
    slots: dict[str, Tensor],
    params_GP: Tensor,
    hypers: dict[str, Tensor],
    t: Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    """One segment's update by its rule: all numbers at once, or parameter by parameter where it needs shapes."""
    if segment.rule.scope == "element":
        return segment.rule.update(grads_GP, slots, params_GP, hypers, t)
    numbers_G = {name: value[:, 0] for name, value in hypers.items() if name != "mask"}
    masks = layout.view_one(hypers["mask"]) if "mask" in hypers else {}
    grads, params = layout.views(grads_GP), layout.views(params_GP)
    counts = {slot: tensor[:, 0] for slot, tensor in slots.items() if tensor.shape[1] == 1}
    slot_views = {slot: layout.views(tensor) for slot, tensor in slots.items() if slot not in counts}
    updates: dict[str, Tensor] = {}
    news: dict[str, dict[str, Tensor]] = {slot: dict(views) for slot, views in slot_views.items()}
    news.update({slot: {} for slot in counts})
    for name, rule in rules_of(segment.rule, layout).items():
        mask = {"mask": masks[name]} if masks else {}

        def one(
            grad: Tensor,
            state: dict[str, Tensor],
            param: Tensor,
            numbers: dict[str, Tensor],
            rule: Rule = rule,
            mask: dict[str, Tensor] = mask,
        ) -> tuple[Tensor, dict[str, Tensor]]:
            return rule.update(grad, state, param, {**numbers, **mask}, t)

        own = {**counts, **{slot: views[name] for slot, views in slot_views.items()}}
        updates[name], new = vmap(one)(grads[name], own, params[name], numbers_G)
        for slot, tensor in new.items():
            news[slot][name] = tensor
    after = {slot: layout.pack(news[slot]) for slot in slot_views}
    # of all parameters the same
    after.update({slot: next(iter(news[slot].values()))[:, None] for slot in counts})
    return layout.pack(updates), after
