"""The numbers of a cohort: what training changes, and what it only reads.

Shapes: R run of the cohort, G run of a segment, P numbers of one run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from ravine.data import Examples
from ravine.data.room import require
from ravine.engine.cohort import Cohort, Segment
from ravine.engine.loss import Loss
from ravine.engine.network import Network
from ravine.engine.noise import inside
from ravine.engine.sections import Sections
from ravine.messages import count
from ravine.rules.base import Hook
from ravine.rules.registry import layered
from ravine.rules.regularize import decays
from ravine.tensors import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """A split of the data set on the device."""

    x: Tensor
    y: Tensor
    weights: Tensor | None = None
    """Of the examples in the loss of training; None: all count alike."""

    @staticmethod
    def of(examples: Examples, device: torch.device) -> Data:
        """Move the examples of a split to the device."""
        # Copied: the last bits of a product may depend on where in a cache line its numbers begin, which for
        # numpy's memory is left to chance. And what a module does to its input is not done to the caller's.
        shape = (len(examples), *examples.shape)
        if examples.scaling is not None:  # nobody has asked for the room of the numbers that bytes become
            what = f"{count(len(examples), 'example')} of shape {examples.shape}, as a network takes them"
            require(4.0 * math.prod(shape), what)
        x = torch.empty(shape, dtype=torch.float64 if examples.dtype == np.float64 else torch.float32)
        examples.fill(x.numpy())
        weights = examples.weights
        return Data(
            x=x.to(device),
            y=torch.tensor(examples.y, device=device),
            weights=None if weights is None else torch.tensor(weights, device=device),
        )

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Examples, answers, and weights where there are any."""
        return (self.x, self.y) if self.weights is None else (self.x, self.y, self.weights)

    @staticmethod
    def of_tensors(tensors: Sequence[Tensor]) -> Data:
        """The data of which these are the `tensors`."""
        x, y, *weights = tensors
        return Data(x=x, y=y, weights=weights[0] if weights else None)


# What slots of rules that search were called in checkpoints of version 0.1.0.
_OLDER_NAMES = {
    "batch_rows": "held_rows",
    "batch_number": "held_number",
    "arrived_loss": "told_loss",
    "arrived_accuracy": "told_accuracy",
}


class SegmentHypers(NamedTuple):
    """What a segment's step reads beside parameters, gradients, slots and the learning rate.

    Args:
        rule: the rule's hypers but lr, (G, 1) each.
        mask_P: 1 where weight decay applies, else 0; empty where the rule has none.
        noise_G1: strength of the noise that is added to each run's gradient; empty where no run has any.
        inside_P: 1 where a row has a number, 0 in its gaps; empty where there is no noise.
        clips: limits of each run's gradient, (G, 1) each.
        factors_GS: of the learning rate of each section; empty where all have the run's own.
        anchor_G1: how strongly each run is pulled towards the weights that it was made with; empty where none is.
        away_P: 0 in the head, which is not pulled, else 1; empty likewise.
        origin: those weights, (P,) or (G, P); empty likewise.
    """

    rule: dict[str, Tensor]
    mask_P: Tensor
    noise_G1: Tensor
    inside_P: Tensor
    clips: dict[str, Tensor]
    factors_GS: Tensor
    anchor_G1: Tensor
    away_P: Tensor
    origin: Tensor

    @staticmethod
    def of(
        cohort: Cohort,
        segment: Segment,
        sections: Sections,
        origin: Tensor | None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> SegmentHypers:
        """The hypers of a segment of a cohort with this origin."""

        def numbers(values: Sequence[Sequence[Any]]) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device)

        layout = sections.layout
        runs = cohort.runs[segment.start : segment.stop]
        recipes = [run.recipe for run in runs]
        none = torch.empty(0, dtype=dtype, device=device)
        strengths = [[run.recipe.hypers.get("noise", 0.0)] for run in runs]
        decayed = {
            name: torch.full(shape, float(decays(name, shape, segment.exclude)))
            for name, shape in zip(layout.names, layout.shapes, strict=True)
            if segment.rule.decays
        }
        return SegmentHypers(
            rule={
                name: numbers([[run.recipe.hypers.get(name, hyper.default)] for run in runs])
                for name, hyper in segment.rule.all_hypers.items()
                if name != "lr"
            },
            mask_P=layout.pack(decayed).to(device, dtype) if decayed else none,
            noise_G1=numbers(strengths) if segment.noisy else none,
            inside_P=inside(layout, device).to(dtype) if segment.noisy else none,
            clips={
                name: numbers([[run.recipe.hypers.get(name, 0.0)] for run in runs]) for name in segment.clips
            },
            factors_GS=numbers(
                [[r.hypers.get("layer_decay", 1.0) ** each.depth for each in sections.each] for r in recipes]
            )
            if layered(cohort.recipe.hypers)
            else none,
            anchor_G1=numbers([[r.hypers.get("anchor", 0.0)] for r in recipes]) if segment.anchored else none,
            away_P=_away(sections).to(device, dtype) if segment.anchored else none,
            origin=none
            if origin is None or not segment.anchored
            else origin[segment.start : segment.stop]
            if origin.dim() > 1
            else origin,
        )

    def lr(self, number: int, lr_G1: Tensor) -> Tensor:
        """The learning rates of a section, (G, 1)."""
        return lr_G1 * self.factors_GS[:, number : number + 1] if len(self.factors_GS) else lr_G1

    def at(self, lr_G1: Tensor, shares: Mapping[str, Tensor] = MappingProxyType({})) -> dict[str, Tensor]:
        """The rule's hypers at a step: with the learning rate that the schedule gives it, and the averages' shares."""
        return {**self.rule, "lr": lr_G1, **shares}

    @property
    def mask(self) -> Tensor | None:
        """Where weight decay applies, (P,); None where the rule has none."""
        return self.mask_P if len(self.mask_P) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a step changes, in place.

    Args:
        params_RP: the parameters of all runs, laid out by the network's layout.
        slots: for each segment its rule's slots: (G, P), or (G, 1) where it is one number for each run; of a rule that
            searches (G, ...), with its batch, and the scores where it arrived.
        buffers: by name, (R, ...).
        averaged: buffers averaged as the weights are, by `averaged_name`; {} unless a study asks for it.
    """

    params_RP: Tensor
    slots: tuple[dict[str, Tensor], ...]
    buffers: dict[str, Tensor]
    averaged: dict[str, Tensor] = field(default_factory=dict)

    def arrays(self) -> dict[str, np.ndarray]:
        """A copy as plain arrays, for a checkpoint."""
        return {name: t.detach().cpu().numpy().copy() for name, t in self._named().items()}

    def num_bytes(self) -> int:
        """Of such a copy."""
        return sum(t.nbytes for t in self._named().values())

    def _named(self) -> dict[str, Tensor]:
        found = {"params": self.params_RP, **{f"buffers.{name}": t for name, t in self.buffers.items()}}
        found |= {f"averaged.{name}": t for name, t in self.averaged.items()}
        for i, slots in enumerate(self.slots):
            found.update({f"slots.{i}.{name}": t for name, t in slots.items()})
        return found

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over the numbers of a checkpoint."""
        self.params_RP.copy_(torch.from_numpy(arrays["params"]))
        for name, tensor in self.buffers.items():
            tensor.copy_(torch.from_numpy(arrays[f"buffers.{name}"]))
        for name, tensor in self.averaged.items():
            tensor.copy_(torch.from_numpy(arrays[f"averaged.{name}"]))
        for i, slots in enumerate(self.slots):
            for name, tensor in slots.items():
                key = f"slots.{i}.{name}"
                older = f"slots.{i}.{_OLDER_NAMES.get(name, name)}"
                tensor.copy_(torch.from_numpy(arrays[key if key in arrays else older]))

    def take(self, rows: Sequence[int], cohort: Cohort) -> State:
        """The state of some runs of a cohort, in their order; segments without any of them vanish."""
        index = torch.tensor(list(rows), device=self.params_RP.device)
        slots = []
        for segment, old in zip(cohort.segments, self.slots, strict=True):
            own = index[(index >= segment.start) & (index < segment.stop)] - segment.start
            if len(own):
                slots.append({name: tensor[own] for name, tensor in old.items()})
        return State(
            params_RP=self.params_RP[index],
            slots=tuple(slots),
            buffers={name: tensor[index] for name, tensor in self.buffers.items()},
            averaged={name: tensor[index] for name, tensor in self.averaged.items()},
        )

    def point(self, cohort: Cohort, sections: Sections, hypers: Sequence[SegmentHypers], name: str) -> Tensor:
        """A point of the runs' rules, (R, P): the parameters themselves where a rule has none of that name."""
        if not any(name in segment.rule.points for segment in cohort.segments):
            return self.params_RP
        points = []
        for segment, slots, own in zip(cohort.segments, self.slots, hypers, strict=True):
            params_GP = self.params_RP[segment.start : segment.stop]
            point = segment.rule.points.get(name)
            points.append(
                params_GP if point is None else point_of(sections, point, params_GP, slots, own.rule)
            )
        return torch.cat(points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """What a step reads and never changes. All are tensors: a new lr is no new program.

    Args:
        hypers: of each segment.
        seeds_R: seeds of the runs.
        batch_index_R: places of the runs' batches among those of a step: one of each seed, or those that were made.
        radius: how far away each run takes its second gradient (SAM), (R, 1); 0 where it takes none.
        rates: rate of each stochastic layer, (R,).
        of_loss: numbers that the loss takes beside outputs and answers, (R, ...) by name: see `Loss.numbers`.
        fixed: parameters that are not trained, and rates that evaluation depends on, (R, ...).
        of_set: of runs of folds, what a batch of shared inputs is scaled by, (R, ...) by name: "shift", "factor",
            perhaps "fill"; and as "answers" (R,) where the run's answers begin, if folds have their own.
        grads_RP: room for a step's gradients, laid out as the parameters; its gaps stay zero.
    """

    hypers: tuple[SegmentHypers, ...]
    seeds_R: Tensor
    batch_index_R: Tensor
    radius: Tensor
    rates: dict[str, Tensor]
    of_loss: dict[str, Tensor]
    fixed: dict[str, Tensor]
    grads_RP: Tensor
    of_set: dict[str, Tensor] = field(default_factory=dict)

    @staticmethod
    def of(
        cohort: Cohort,
        network: Network,
        given: tuple[dict[str, Tensor], Tensor | None],
        seeds: Sequence[int],
        device: torch.device,
        loss: Loss,
    ) -> Constants:
        """The constants of a cohort, whose batches come in the order of ``seeds``.

        Args:
            cohort: the runs.
            network: their model.
            given: its tensors that are not trained; the weights that it was made with, where a run is pulled there.
            seeds: in the order of their batches.
            device: where they are trained.
            loss: of the runs.
        """
        (fixed, origin), dtype = given, network.dtype
        index = {seed: i for i, seed in enumerate(seeds)}
        recipes = [run.recipe for run in cohort.runs]
        return Constants(
            hypers=tuple(
                SegmentHypers.of(cohort, segment, network.sections, origin, device, dtype)
                for segment in cohort.segments
            ),
            seeds_R=torch.tensor([run.seed for run in cohort.runs], device=device),
            batch_index_R=torch.tensor([index[run.seed] for run in cohort.runs], device=device),
            radius=torch.tensor(
                [[r.hypers.get("sam_radius", 0.0)] for r in recipes], dtype=dtype, device=device
            ),
            rates=network.rates([r.hypers for r in recipes], device),
            of_loss=loss.numbers([r.hypers for r in recipes], device, dtype),
            fixed=fixed,
            grads_RP=torch.zeros(len(recipes), network.layout.size, dtype=dtype, device=device),
        )


def averaged_name(average: str, buffer: str) -> str:
    """What the average of a buffer is called.

    Example:
        >>> averaged_name("ema 0.99", "norm0.running_mean")
        'ema 0.99/norm0.running_mean'
    """
    return f"{average}/{buffer}"


def averaged_slots(cohort: Cohort, buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The averages of buffers before the first step; {} where there are none."""
    averages = cohort.averages
    if averages is None or averages.batchnorm != "average":
        return {}
    return {
        averaged_name(average, name): torch.zeros_like(buffer)
        for average in averages.names
        for name, buffer in buffers.items()
        if buffer.is_floating_point()
    }


def init_slots(sections: Sections, params_RP: Tensor, segment: Segment, cohort: Cohort) -> dict[str, Tensor]:
    """The slots of a segment before its first step; what is one number is one for each section."""
    own, layout, num = params_RP[segment.start : segment.stop], sections.layout, len(sections)
    if segment.rule.search is not None:
        size = 1 if cohort.recipe.full_batch else cohort.recipe.batch_size
        return {**segment.rule.init(own), **_search_slots(own, size)}
    if segment.rule.scope == "element":
        found = segment.rule.init(own)
        return {slot: t if t.dim() else t.expand(len(own), num).clone() for slot, t in found.items()}
    single = [slot for slot, like in segment.rule.init(own.new_zeros(2)).items() if not like.dim()]
    if segment.rule.scope == "run":
        of_runs = vmap(segment.rule.init)(flattened(layout, own))
        return {
            s: t[:, None].repeat(1, num) if s in single else spread(layout, t) for s, t in of_runs.items()
        }
    views, rules = layout.views(own), sections.rules(segment.rule)
    of_name = {name: vmap(rules[name].init)(view) for name, view in views.items()}
    found = {}
    for slot, like in {slot: like for each in of_name.values() for slot, like in each.items()}.items():
        slots = {name: each.get(slot, torch.zeros_like(views[name])) for name, each in of_name.items()}
        found[slot] = like[:, None].repeat(1, num) if slot in single else layout.pack(slots)
    return found


def point_of(
    sections: Sections, point: Hook, params_GP: Tensor, slots: dict[str, Tensor], hypers: Mapping[str, Tensor]
) -> Tensor:
    """A point of a rule, (G, P)."""
    return sections.joined(params_GP, slots, lambda _, part_GP, own: point(part_GP, own, hypers))


def _away(sections: Sections) -> Tensor:
    """1 for parameters that are not of the head, (P,)."""
    layout = sections.layout
    shapes = zip(layout.names, layout.shapes, strict=True)
    return layout.pack({name: torch.full(shape, float(sections.blocks[name] > 0)) for name, shape in shapes})


def flattened(layout: Layout, rows_GP: Tensor) -> Tensor:
    """Rows without their gaps, (G, N)."""
    return torch.cat([view.flatten(1) for view in layout.views(rows_GP).values()], 1)


def spread(layout: Layout, rows_GN: Tensor) -> Tensor:
    """The opposite of `flattened`: (G, P), with zeros in the gaps."""
    sizes = [math.prod(shape) for shape in layout.shapes]
    pieces = rows_GN.split(sizes, 1)
    return layout.pack(
        {
            name: piece.unflatten(1, shape) if len(shape) != 1 else piece
            for name, piece, shape in zip(layout.names, pieces, layout.shapes, strict=True)
        }
    )


def _search_slots(params_GP: Tensor, batch_size: int) -> dict[str, Tensor]:
    """The slots beside a rule's own: a run's batch, and the scores where it arrived.

    Args:
        params_GP: of the runs.
        batch_size: B; 1 where every batch is all there is.
    """
    num_runs, device = len(params_GP), params_GP.device
    return {
        "batch_rows": torch.zeros((num_runs, batch_size), dtype=torch.int64, device=device),
        "batch_number": torch.zeros((num_runs, 1), dtype=torch.int64, device=device),
        "arrived_loss": params_GP.new_zeros((num_runs, 1)),
        "arrived_accuracy": params_GP.new_zeros((num_runs, 1)),
    }


def copied(buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Buffers for a pass that leaves those of the runs as they are."""
    return {name: buffer.clone() for name, buffer in buffers.items()}
