"""One training step of a cohort: gradients of all runs, then what their rules make of them.

Shapes: R run of the cohort, S seed, B batch, N number that a schedule gives: the learning rate, shares of averages.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ravine.engine.search import search_step
from ravine.engine.setting import Setting
from ravine.engine.state import Constants, Data, State, copied
from ravine.engine.updates import average_buffers, gradient_points, shares_of, update_segment
from ravine.rules.sam import ascended

Step = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(rows_SB, scheduled_NR, t, number) -> (loss_R, accuracy_R); the state is changed in place."""


def step(
    setting: Setting,
    state: State,
    constants: Constants,
    data: Data,
    rows_SB: Tensor,
    scheduled_NR: Tensor,
    t: Tensor,
    number: Tensor,
    *,
    updates: bool = True,
) -> tuple[Tensor, Tensor]:
    """One step of all runs, in PyTorch.

    Args:
        setting: what the step is made of.
        state: is changed in place.
        constants: is only read.
        data: the training set.
        rows_SB: the batch of each seed.
        scheduled_NR: learning rates, and the shares of each average.
        t: number of the step, from 1.
        number: the same, from 0.
        updates: whether the rules' part is done too; else what they need is in ``constants.grads_RP``.

    Returns:
        Loss and accuracy of each run before the step, (R,).
    """
    if setting.cohort.searches:
        return search_step(setting, state, constants, data, rows_SB, scheduled_NR, number)
    cohort, sections = setting.cohort, setting.network.sections
    layout = sections.layout
    lr_R1, objective = scheduled_NR[0][:, None], setting.objective
    points_RP = gradient_points(setting, state, constants, lr_R1)
    given = (constants, data, None if setting.takes_all else rows_SB, number)
    grads, (loss_R, accuracy_R) = objective.gradients(points_RP, state.buffers, *given)
    layout.write(grads, constants.grads_RP)
    if cohort.ascends:
        above_RP = ascended(points_RP, constants.grads_RP, constants.radius)
        grads, _ = objective.gradients(above_RP, copied(state.buffers), *given)
        layout.write(grads, constants.grads_RP)
    if not updates:
        return loss_R, accuracy_R
    with objective.alike():
        for segment, slots, hypers in zip(cohort.segments, state.slots, constants.hypers, strict=True):
            span = slice(segment.start, segment.stop)
            params_GP, grads_GP = state.params_RP[span], constants.grads_RP[span]
            noise = (constants.seeds_R[span], number)
            shares = shares_of(segment, scheduled_NR)
            update_segment(
                segment, sections, grads_GP, slots, params_GP, hypers, lr_R1[span], shares, t, noise
            )
            average_buffers(segment, state, shares)
    return loss_R, accuracy_R
