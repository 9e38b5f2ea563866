"""A step of runs whose rules search: one evaluation of each run, on a batch of its own.

A run takes the batch of the step at which a search begins, and keeps it, with its masks, until the search has ended.
So a step costs as much as under any other rule, and both gradients of a pair come from the same batch.

Shapes: R run of the cohort, G run of a segment, S seed, B batch, P numbers of one run, N of them without the gaps,
H rows of a Hessian, N number that a schedule gives too.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ravine.engine.aligned import AlignedProducts
from ravine.engine.cohort import Segment
from ravine.engine.noise import noise_of
from ravine.engine.setting import Setting
from ravine.engine.state import Constants, Data, SegmentHypers, State
from ravine.engine.updates import average_buffers, shares_of
from ravine.rules.base import Evaluation
from ravine.second.dense import newton_direction
from ravine.tensors import Layout


def batch_numbers(slots: dict[str, Tensor], number: Tensor) -> Tensor:
    """The step that each run's batch and masks belong to, (G, 1): in the midst of a search they stay.

    Args:
        slots: before the step.
        number: of the step.
    """
    return torch.where(slots["searching"] > 0.0, slots["batch_number"], number)


def hold(setting: Setting, state: State, constants: Constants, rows_SB: Tensor, number: Tensor) -> None:
    """Take the batch of this step, and its number, in every run that is not in the midst of a search.

    Args:
        setting: what the step is made of.
        state: before the step; its batches and their numbers are changed in place.
        constants: is only read.
        rows_SB: the batches of this step.
        number: of the step, from 0.
    """
    for segment, slots in zip(setting.cohort.segments, state.slots, strict=True):
        slots["batch_number"].copy_(batch_numbers(slots, number))
        if not setting.full_batch:  # else it is the same at every step
            offered_GB = rows_SB.index_select(0, constants.batch_index_R[segment.start : segment.stop])
            slots["batch_rows"].copy_(torch.where(slots["searching"] > 0.0, slots["batch_rows"], offered_GB))


def augment_held(setting: Setting) -> None:
    """Make the batch that each run has, where batches are augmented."""
    if setting.augmenting is not None:
        setting.augmenting.for_runs(examples_of(setting.state), numbers_of(setting.state))


def examples_of(state: State) -> Tensor:
    """The examples of each run's batch, (R, B)."""
    return torch.cat([slots["batch_rows"] for slots in state.slots])


def numbers_of(state: State) -> Tensor:
    """The step that each run's batch belongs to, (R,)."""
    return torch.cat([slots["batch_number"][:, 0] for slots in state.slots])


def search_step(
    setting: Setting,
    state: State,
    constants: Constants,
    data: Data,
    rows_SB: Tensor,
    scheduled_NR: Tensor,
    number: Tensor,
) -> tuple[Tensor, Tensor]:
    """One evaluation of all runs, and where each goes from there.

    Args:
        setting: what the step is made of.
        state: is changed in place.
        constants: is only read.
        data: the training set.
        rows_SB: the batches of this step.
        scheduled_NR: learning rates, and the shares of each average.
        number: of the step, from 0.

    Returns:
        Loss and accuracy of each run at the point where it has arrived, and not at the trials on the way.
    """
    cohort, layout = setting.cohort, setting.network.layout
    hold(setting, state, constants, rows_SB, number)
    number_R = numbers_of(state)
    each_its_own = torch.ones_like(number_R).cumsum(0) - 1
    hessians: list[Tensor] | None = [] if any(_has_hessian(segment) for segment in cohort.segments) else None
    grads, (loss_R, accuracy_R) = setting.objective.gradients(
        state.params_RP,
        state.buffers,
        replace(constants, batch_index_R=each_its_own),
        data,
        None if setting.takes_all else _batches(setting, state, constants, rows_SB),
        number_R,
        hessians,
    )
    layout.write(grads, constants.grads_RP)
    found = hessians[0] if hessians else None
    return go_on(setting, state, constants, number_R, loss_R, accuracy_R, scheduled_NR, found)


def _batches(setting: Setting, state: State, constants: Constants, rows_SB: Tensor) -> Tensor:
    """The examples of each run's batch, (R, B): those that it has taken, or all that its fold learns from."""
    return rows_SB.index_select(0, constants.batch_index_R) if setting.full_batch else examples_of(state)


def go_on(
    setting: Setting,
    state: State,
    constants: Constants,
    number_R: Tensor,
    loss_R: Tensor,
    accuracy_R: Tensor,
    scheduled_NR: Tensor,
    hessian_RNN: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Where each run goes from an evaluation.

    Args:
        setting: what the step is made of.
        state: is changed in place, but for the batches.
        constants: with the gradients of the evaluation.
        number_R: of `numbers_of`.
        loss_R: of the evaluation.
        accuracy_R: of the evaluation.
        scheduled_NR: learning rates, and the shares of each average.
        hessian_RNN: of the evaluation; None: no rule needs it.

    Returns:
        Loss and accuracy of each run at the point where it has arrived.
    """
    lr_R = scheduled_NR[0]
    fresh_R1 = _fresh(setting, constants, lr_R)
    arrivals = []
    with AlignedProducts():
        for segment, slots, given in zip(setting.cohort.segments, state.slots, constants.hypers, strict=True):
            span = slice(segment.start, segment.stop)
            grads_GP, params_GP = constants.grads_RP[span], state.params_RP[span]
            shares = shares_of(segment, scheduled_NR)
            hypers = segment.rule.masked(given.at(lr_R[span, None], shares), given.mask)
            found = Evaluation(grad=grads_GP, loss=loss_R[span, None].double(), fresh=fresh_R1[span])
            if segment.noisy:
                found = _noisy(found, given, constants.seeds_R[span], number_R[span], params_GP, slots)
            if hessian_RNN is not None:
                layout = setting.network.layout
                newton_GP = _newton(hessian_RNN[span], grads_GP, params_GP, layout, hypers)
                found = replace(found, newton=newton_GP)
            search = segment.rule.search
            assert search is not None, "all rules of such a cohort search"
            update_GP, new = search.advance(found, slots, params_GP, hypers)
            arrived = new["arrived"] > 0.0
            new["arrived_loss"] = torch.where(arrived, loss_R[span, None], slots["arrived_loss"])
            new["arrived_accuracy"] = torch.where(arrived, accuracy_R[span, None], slots["arrived_accuracy"])
            params_GP.add_(update_GP)
            for name, slot in new.items():
                slots[name].copy_(slot)
            average_buffers(segment, state, shares)
            arrivals.append((new["arrived_loss"][:, 0], new["arrived_accuracy"][:, 0]))
    losses, accuracies = zip(*arrivals, strict=True)
    return torch.cat(losses), torch.cat(accuracies)


def _fresh(setting: Setting, constants: Constants, lr_R: Tensor) -> Tensor:
    """Where another function comes when a search has ended, (R, 1): another batch, other masks."""
    fresh_R = torch.zeros_like(lr_R)
    if not setting.full_batch or setting.drew():
        fresh_R = fresh_R + 1.0
    augmented = setting.augmenting.groups.strengths.values() if setting.augmenting is not None else ()
    for rate_R in (*constants.rates.values(), *augmented):  # of these each run has a group of its own
        fresh_R = fresh_R + (rate_R > 0.0).to(lr_R.dtype)
    return fresh_R[:, None]


def _has_hessian(segment: Segment) -> bool:
    return segment.rule.search is not None and segment.rule.search.hessian


def _noisy(
    found: Evaluation,
    hypers: SegmentHypers,
    seeds_G: Tensor,
    number_G: Tensor,
    params_GP: Tensor,
    slots: dict[str, Tensor],
) -> Evaluation:
    """Noise z for as long as a batch stays: in the gradient z, in the loss z times the way from where it began."""
    noise_GP = noise_of(hypers.noise_G1, hypers.inside_P, seeds_G, number_G)
    way_GP = torch.where(slots["searching"] > 0.0, params_GP - slots["point"], torch.zeros_like(params_GP))
    found.grad.add_(noise_GP)
    return replace(
        found,
        loss=found.loss + (noise_GP * way_GP).sum(1, keepdim=True).double(),
        fresh=found.fresh + (hypers.noise_G1 > 0.0).to(params_GP.dtype),
    )


def _newton(
    hessian_GNN: Tensor, grads_GP: Tensor, params_GP: Tensor, layout: Layout, hypers: dict[str, Tensor]
) -> Tensor:
    """Directions of Newton on the loss with its penalty, (G, P)."""
    places_N = _places(layout).to(grads_GP.device)
    decay_GP = hypers["weight_decay"].expand_as(params_GP)
    direction_GN = newton_direction(
        hessian_GNN.double() + torch.diag_embed(decay_GP.index_select(1, places_N).double()),
        (grads_GP + decay_GP * params_GP).index_select(1, places_N).double(),
        hypers["damping"].double(),
        hypers["saddle_free"] > 0.0,
        torch.finfo(hessian_GNN.dtype).eps,
    )
    return torch.zeros_like(params_GP).index_copy(1, places_N, direction_GN.to(params_GP.dtype))


def _places(layout: Layout) -> Tensor:
    """Where in a row the numbers are, without the gaps, (N,)."""
    return torch.cat(
        [
            torch.arange(start, start + math.prod(shape))
            for start, shape in zip(layout.offsets, layout.shapes, strict=True)
        ]
    )
