"""What the rules of a cohort do with their gradients.

Shapes: R run of the cohort, G run of a segment, P numbers of one run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import vmap

from ravine.engine.cohort import Segment
from ravine.engine.noise import noise_of
from ravine.engine.sections import Section, Sections
from ravine.engine.setting import Setting
from ravine.engine.state import Constants, SegmentHypers, State, averaged_name, flattened, spread
from ravine.rules.base import Rule
from ravine.rules.clip import clipped
from ravine.tensors import Layout


def update_segment(
    segment: Segment,
    sections: Sections,
    grads_GP: Tensor,
    slots: dict[str, Tensor],
    params_GP: Tensor,
    hypers: SegmentHypers,
    lr_G1: Tensor,
    shares: Mapping[str, Tensor],
    t: Tensor,
    noise: tuple[Tensor, Tensor],
) -> None:
    """One segment's step by its rule, in place.

    Args:
        segment: the runs.
        sections: of their parameters.
        grads_GP: of a batch.
        slots: are changed in place.
        params_GP: are changed in place.
        hypers: of the segment.
        lr_G1: learning rates.
        shares: of the averages, (G, 1) each.
        t: number of the step, from 1, all phases counted.
        noise: what the noise on gradients is drawn by: seeds (G,), and the number of the step, from 0.
    """
    if segment.noisy:
        grads_GP = grads_GP + noise_of(hypers.noise_G1, hypers.inside_P, *noise)
    usable_G1 = None
    if segment.clips:
        grads_GP, usable_G1 = clipped(grads_GP, hypers.clips)
    if segment.anchored:
        at_GP = points_of(segment, sections, params_GP, slots, hypers, lr_G1)
        grads_GP = grads_GP + (at_GP - hypers.origin) * (hypers.anchor_G1 * hypers.away_P)
    for i, section in enumerate(sections.each):
        own, part_GP, mask_P = slots, params_GP, hypers.mask
        if len(sections) > 1:
            span = slice(section.start, section.stop)
            own, part_GP = sections.slots(i, slots), params_GP[:, span]
            mask_P = None if mask_P is None else mask_P[span]
        numbers = hypers.at(hypers.lr(i, lr_G1), shares)
        grad_GP = grads_GP if len(sections) == 1 else grads_GP[:, section.start : section.stop]
        since = t - section.lag if section.lag else t
        update_GP, new = _update(segment, sections, section, grad_GP, own, part_GP, numbers, mask_P, since)
        if usable_G1 is not None:
            # So that the loss is no number either: some rules take the sign of a gradient, or divide by its length.
            update_GP = torch.where(usable_G1, update_GP, math.nan)
        part_GP.add_(update_GP)
        for name, slot in own.items():
            slot.copy_(new[name])


def shares_of(segment: Segment, scheduled_NR: Tensor) -> dict[str, Tensor]:
    """The share of each average in a step of a segment's runs, (G, 1), by name.

    Args:
        segment: the runs.
        scheduled_NR: learning rates of all runs, and then the shares of each average.
    """
    span = slice(segment.start, segment.stop)
    return {name: scheduled_NR[1 + i][span, None] for i, name in enumerate(segment.averages)}


def average_buffers(segment: Segment, state: State, shares: Mapping[str, Tensor]) -> None:
    """Bring the averages of a segment's buffers up to date, in place, where there are any."""
    span = slice(segment.start, segment.stop)
    for average, share_G1 in shares.items():
        for name, buffer in state.buffers.items():
            averaged = state.averaged.get(averaged_name(average, name))
            if averaged is not None:
                now = buffer[span]
                averaged[span].lerp_(now, share_G1.view(-1, *[1] * (now.dim() - 1)))


def gradient_points(setting: Setting, state: State, constants: Constants, lr_R1: Tensor) -> Tensor:
    """Where the gradients are taken, (R, P): some rules look ahead."""
    cohort, sections = setting.cohort, setting.network.sections
    if not any(segment.rule.gradient_at for segment in cohort.segments):
        return state.params_RP
    points = []
    for segment, slots, hypers in zip(cohort.segments, state.slots, constants.hypers, strict=True):
        span = slice(segment.start, segment.stop)
        points.append(points_of(segment, sections, state.params_RP[span], slots, hypers, lr_R1[span]))
    return torch.cat(points)


def points_of(
    segment: Segment,
    sections: Sections,
    params_GP: Tensor,
    slots: dict[str, Tensor],
    hypers: SegmentHypers,
    lr_G1: Tensor,
) -> Tensor:
    """Where a segment's rule takes its gradients, (G, P)."""
    look = segment.rule.gradient_at
    if look is None:
        return params_GP
    return sections.joined(
        params_GP, slots, lambda i, part_GP, own: look(part_GP, own, hypers.at(hypers.lr(i, lr_G1)))
    )


def _update(
    segment: Segment,
    sections: Sections,
    section: Section,
    grads_GP: Tensor,
    slots: dict[str, Tensor],
    params_GP: Tensor,
    numbers: dict[str, Tensor],
    mask_P: Tensor | None,
    t: Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    """A section's update by its rule: all numbers at once, or parameter by parameter where it needs shapes."""
    layout = section.layout
    if segment.rule.scope == "element":
        return segment.rule.update(grads_GP, slots, params_GP, segment.rule.masked(numbers, mask_P), t)
    numbers_G = {name: value[:, 0] for name, value in numbers.items()}
    if segment.rule.scope == "run":
        return _update_whole(segment.rule, layout, grads_GP, slots, params_GP, numbers_G, mask_P, t)
    masks = {} if mask_P is None else layout.view_one(mask_P)
    grads, params = layout.views(grads_GP), layout.views(params_GP)
    counts = {slot: tensor[:, 0] for slot, tensor in slots.items() if tensor.shape[1] == 1}
    slot_views = {slot: layout.views(tensor) for slot, tensor in slots.items() if slot not in counts}
    updates: dict[str, Tensor] = {}
    news: dict[str, dict[str, Tensor]] = {slot: dict(views) for slot, views in slot_views.items()}
    news.update({slot: {} for slot in counts})
    of_name = sections.rules(segment.rule)
    for name in layout.names:
        rule = of_name[name]

        def one(
            grad: Tensor,
            state: dict[str, Tensor],
            param: Tensor,
            numbers: dict[str, Tensor],
            rule: Rule = rule,
            mask: Tensor | None = masks.get(name),  # noqa: B008 (of this parameter)
        ) -> tuple[Tensor, dict[str, Tensor]]:
            return rule.update(grad, state, param, rule.masked(numbers, mask), t)

        own = {**counts, **{slot: views[name] for slot, views in slot_views.items()}}
        updates[name], new = vmap(one)(grads[name], own, params[name], numbers_G)
        for slot, tensor in new.items():
            news[slot][name] = tensor
    after = {slot: layout.pack(news[slot]) for slot in slot_views}
    # of all parameters the same
    after.update({slot: next(iter(news[slot].values()))[:, None] for slot in counts})
    return layout.pack(updates), after


def _update_whole(
    rule: Rule,
    layout: Layout,
    grads_GP: Tensor,
    slots: dict[str, Tensor],
    params_GP: Tensor,
    numbers_G: dict[str, Tensor],
    mask_P: Tensor | None,
    t: Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The update of a rule that sees all numbers of a run in one vector, without the gaps of its row."""
    mask_N = None if mask_P is None else flattened(layout, mask_P[None])[0]
    own = {name: t[:, 0] if t.shape[1] == 1 else flattened(layout, t) for name, t in slots.items()}

    def one(
        grad: Tensor, state: dict[str, Tensor], param: Tensor, numbers: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return rule.update(grad, state, param, rule.masked(numbers, mask_N), t)

    update_GN, new = vmap(one)(flattened(layout, grads_GP), own, flattened(layout, params_GP), numbers_G)
    after = {
        name: new[name][:, None] if slot.shape[1] == 1 else spread(layout, new[name])
        for name, slot in slots.items()
    }
    return spread(layout, update_GN), after
