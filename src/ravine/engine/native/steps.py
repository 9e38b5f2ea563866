"""The training steps of a cohort as machine code: a run's step is compiled once for all runs.

Shapes: R run, P numbers of one run, S seed, T step, B batch, I input, N number that a schedule gives: the learning
rate, shares of averages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ravine.engine.cohort import Segment
from ravine.engine.native.gradients import addresses, gradient
from ravine.engine.native.rounds import MOST, Round, Rounds, grouped
from ravine.engine.native.sharing import Shared
from ravine.engine.setting import Setting
from ravine.engine.state import SegmentHypers
from ravine.engine.updates import average_buffers, points_of, update_segment
from ravine.native.compiler import Compiler, Known, rows_of
from ravine.native.function import Function
from ravine.native.workers import Jobs, Workers
from ravine.rules.sam import ascended


class NativeSteps:
    """The training steps of a cohort, or what their rules do with gradients that others have found.

    Args:
        setting: what a step is made of.
        updates_only: see `update`.

    Raises:
        Unsupported: no machine code is made for some operation of the model or of a rule.
    """

    def __init__(self, setting: Setting, *, updates_only: bool = False) -> None:
        self._setting = setting
        self._compiler = Compiler()
        state, constants = setting.state, setting.constants
        num_runs, layout = len(setting.cohort.runs), setting.network.layout
        self._stopped_R = np.zeros(num_runs, dtype=np.uint8)
        self._shared = shared = None if updates_only else Shared.of(setting, self._compiler)
        ascends = setting.cohort.ascends and not updates_only
        at_points: list[Round] = []
        above: list[Round] = [(None, [self._ascent()])] if ascends else []
        if shared:
            at_points, above = [*shared.gradient], [*above, *shared.above]
        elif not updates_only:
            at_points = [(None, [gradient(setting, self._compiler, "points")])]
            above += [(None, [gradient(setting, self._compiler, "above")])] if ascends else []
        functions: list[list[Function | None]] = []
        of_run: dict[str, list[int]] = {
            **(shared.rows if shared else {}),
            **addresses(setting),
            "params": rows_of(state.params_RP),
            "radius": rows_of(constants.radius),
            **{f"averaged/{name}": rows_of(tensor) for name, tensor in state.averaged.items()},
        }
        rounds = Rounds()
        for number, segment in enumerate(setting.cohort.segments):
            span, num = slice(segment.start, segment.stop), segment.stop - segment.start
            points, update = self._update(number, segment)
            averaging = [self._averaging(segment)] if state.averaged else []
            points = None if updates_only else points
            rounds = Rounds()
            rounds.add(None, [points])
            for first, calls in (*at_points, *above):
                rounds.add(first, calls)
            rounds.add(None, [update, *averaging])
            functions += [rounds.calls] * num
            if points is not None:
                of_run["points"][span] = shared.rows["points"][span] if shared else [0] * num
            own = {f"slots/{i}": t for i, t in enumerate(state.slots[number].values())}
            for name, tensor in {**own, **_named(constants.hypers[number])}.items():
                rows = rows_of(tensor) if tensor.dim() > 1 else [tensor.data_ptr()] * num
                of_run.setdefault(name, [0] * num_runs)[span] = rows
        if updates_only:
            of_run["grads"] = rows_of(constants.grads_RP)
        table_RI = self._compiler.table(of_run, num_runs)
        room = 4 * layout.size
        own_memory = (
            {} if updates_only else {self._compiler.number(name): room for name in ("grads", "points")}
        )
        if ascends:
            own_memory[self._compiler.number("above")] = room
        if shared:
            own_memory |= {self._compiler.number(name): size for name, size in shared.own.items()}
        self._table_RI, self._num_threads = table_RI, torch.get_num_threads()
        jobs = Jobs(
            tables_JI=table_RI,
            functions=functions,
            own=own_memory,
            rounds=rounds.of_jobs,
            watched=None if updates_only else self._compiler.number("loss"),
            flushes=setting.network.flushes,
        )
        self._workers = Workers(jobs, self._num_threads, most=MOST if shared else 1)

    def run(
        self, rows_TSB: Tensor, scheduled_TNR: Tensor, step: int, alive: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Train for T steps, or where batches are augmented for as many as there is room for.

        Args:
            rows_TSB: examples of the batches.
            scheduled_TNR: learning rates, and the shares of each average.
            step: number of the first step, from 0.
            alive: the runs to train.

        Returns:
            Losses and accuracies, (T, R); not a number where a run was not trained, or not any more.
        """
        augmenting = self._setting.augmenting
        if augmenting is not None:
            rows_TSB, scheduled_TNR = rows_TSB[: augmenting.most], scheduled_TNR[: augmenting.most]
            augmenting.for_steps(rows_TSB, step, alive)
        num_steps, num_scheduled, num_runs = scheduled_TNR.shape
        loss_TR = torch.full((num_steps, num_runs), torch.nan)
        accuracy_TR = torch.full((num_steps, num_runs), torch.nan)
        number_T = torch.arange(step, step + num_steps)
        t_T = (number_T + 1).to(torch.float32)
        steps_I = np.zeros(len(self._compiler.numbers), dtype=np.int64)
        batch_index_R = self._setting.constants.batch_index_R.numpy()
        runs = np.arange(num_runs)
        given: list[tuple[str, Tensor, np.ndarray | int]] = [
            ("loss", loss_TR, runs),
            ("accuracy", accuracy_TR, runs),
            ("lr", scheduled_TNR, runs),
            *((f"share/{i}", scheduled_TNR, (1 + i) * num_runs + runs) for i in range(num_scheduled - 1)),
            ("t", t_T, 0),
            ("number", number_T, 0),
        ]
        if augmenting is None:
            given.append(("rows", rows_TSB, batch_index_R * rows_TSB.shape[2]))
        else:
            x, y = augmenting.room.x, augmenting.room.y
            given += [("x", x, batch_index_R * x.stride(1)), ("y", y, batch_index_R * y.stride(1))]
            if (weights := augmenting.room.weights) is not None:
                given.append(("weights", weights, batch_index_R * weights.stride(1)))
        for name, tensor, far in given:
            i = self._compiler.number(name)
            self._table_RI[:, i] = tensor.data_ptr() + far * tensor.element_size()
            steps_I[i] = tensor.stride(0) * tensor.element_size()
        order, sizes = np.asarray(alive), None
        if self._shared:
            order, sizes = grouped(order, batch_index_R, self._num_threads)
        self._workers.run(order, num_steps, steps_I, self._stopped_R, sizes)
        return loss_TR, accuracy_TR

    def update(self, scheduled_NR: Tensor, t: Tensor, number: Tensor) -> None:
        """The rules' part of a step of all runs, whose gradients are in `Constants.grads_RP`.

        Args:
            scheduled_NR: learning rates, and the shares of each average.
            t: number of the step, from 1.
            number: the same, from 0.
        """
        runs = np.arange(scheduled_NR.shape[1])
        given: list[tuple[str, Tensor, np.ndarray | int]] = [("lr", scheduled_NR, runs), ("t", t, 0)]
        given += [(f"share/{i}", each, runs) for i, each in enumerate(scheduled_NR[1:])]
        given.append(("number", number, 0))
        for name, tensor, far in given:
            i = self._compiler.number(name)
            self._table_RI[:, i] = tensor.data_ptr() + far * tensor.element_size()
        still_I = np.zeros(len(self._compiler.numbers), dtype=np.int64)
        self._workers.run(runs, 1, still_I, self._stopped_R)

    def _ascent(self) -> Function:
        """points, grads -> above."""
        some, size = self._setting.state.params_RP[:1], self._setting.network.layout.size
        examples = {"points": some, "grads": some.clone(), "radius": torch.ones(1, 1)}
        return self._compiler.function(
            lambda *given: (ascended(*given),), examples, [("above", (1, size), 0)]
        )

    def _averaging(self, segment: Segment) -> Function:
        """The averages of a run's buffers."""
        state, alone = self._setting.state, replace(segment, start=0, stop=1)
        examples = {
            **{f"share/{i}": torch.ones(1, 1) for i in range(len(segment.averages))},
            **{f"buffers/{name}": tensor[:1].clone() for name, tensor in state.buffers.items()},
            **{f"averaged/{name}": tensor[:1].clone() for name, tensor in state.averaged.items()},
        }

        def program(*given: Tensor) -> tuple[Tensor, ...]:
            by_name = dict(zip(examples, given, strict=True))
            own = replace(
                state,
                buffers={name: by_name[f"buffers/{name}"] for name in state.buffers},
                averaged={name: by_name[f"averaged/{name}"] for name in state.averaged},
            )
            shares = {name: by_name[f"share/{i}"] for i, name in enumerate(segment.averages)}
            average_buffers(alone, own, shares)
            return ()

        return self._compiler.function(program, examples, [])

    def _update(self, number: int, segment: Segment) -> tuple[Function | None, Function]:
        """Where a segment's rule takes its gradient, if not at the parameters, and its step."""
        setting, sections = self._setting, self._setting.network.sections
        slots, hypers = setting.state.slots[number], setting.constants.hypers[number]
        alone = replace(segment, start=0, stop=1)

        def parts(given: Sequence[Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor], SegmentHypers]:
            by_name = dict(zip(examples, given, strict=True))
            own = {name: by_name[f"slots/{i}"] for i, name in enumerate(slots)}
            return by_name, own, _unnamed(hypers, by_name)

        def step(*given: Tensor) -> tuple[Tensor, ...]:
            by_name, own, numbers = parts(given)
            params_P, grads_P, lr, t = (by_name[name] for name in ("params", "grads", "lr", "t"))
            noise = (by_name["seed"], by_name["number"])
            shares = {name: by_name[f"share/{i}"] for i, name in enumerate(segment.averages)}
            update_segment(alone, sections, grads_P, own, params_P, numbers, lr, shares, t, noise)
            return ()

        def look(*given: Tensor) -> tuple[Tensor, ...]:
            by_name, own, numbers = parts(given)
            return (points_of(alone, sections, by_name["params"], own, numbers, by_name["lr"]),)

        examples = {
            "params": setting.state.params_RP[:1].clone(),
            "grads": setting.state.params_RP[:1],
            "lr": torch.ones(1, 1),
            **{f"share/{i}": torch.ones(1, 1) for i in range(len(segment.averages))},
            "t": torch.ones(()),
            **{f"slots/{i}": tensor[:1].clone() for i, tensor in enumerate(slots.values())},
            **{name: t[:1] if t.dim() > 1 else t for name, t in _named(hypers).items()},
            "seed": setting.constants.seeds_R[:1],
            "number": torch.zeros((), dtype=torch.int64),
        }
        network, about = setting.network, _about(setting, segment)
        model = "" if "@" in str(about[0]) else network.name  # a rule of one's own may import what changes
        points = None
        if segment.rule.gradient_at is not None:
            known = Known(recordings=network.recordings, key=("points", *about), model=model)
            outputs = [("points", (1, sections.layout.size), 0)]
            points = self._compiler.function(look, examples, outputs, known=known)
        known = Known(recordings=network.recordings, key=("update", *about), model=model)
        return points, self._compiler.function(step, examples, [], known=known)


def _about(setting: Setting, segment: Segment) -> tuple[object, ...]:
    """What a segment's update depends on beside the tensors that it is given; the learning rate is one of them."""
    recipes = [run.recipe for run in setting.cohort.runs[segment.start : segment.stop]]
    hypers = {
        tuple(sorted((name, value) for name, value in recipe.hypers.items() if name != "lr"))
        for recipe in recipes
    }
    sections = setting.network.sections
    return (
        recipes[0].rule,
        tuple(sorted(hypers)),
        segment.averages,
        sections.layout.names,
        sections.layout.shapes,
        tuple((each.start, each.stop, each.lag) for each in sections.each),
    )


def _named(hypers: SegmentHypers) -> dict[str, Tensor]:
    """The tensors of a segment's hypers by the name of the input; those that are empty are left out."""
    shared = {
        "mask": hypers.mask_P,
        "noise": hypers.noise_G1,
        "inside": hypers.inside_P,
        "factors": hypers.factors_GS,
        "anchor": hypers.anchor_G1,
        "away": hypers.away_P,
        "origin": hypers.origin,
    }
    return {
        **{f"hypers/{i}": tensor for i, tensor in enumerate(hypers.rule.values())},
        **{f"clips/{name}": tensor for name, tensor in hypers.clips.items()},
        **{name: tensor for name, tensor in shared.items() if len(tensor)},
    }


def _unnamed(hypers: SegmentHypers, by_name: Mapping[str, Tensor]) -> SegmentHypers:
    """Hypers of the same kind, with these tensors."""
    return SegmentHypers(
        rule={name: by_name[f"hypers/{i}"] for i, name in enumerate(hypers.rule)},
        mask_P=by_name.get("mask", hypers.mask_P),
        noise_G1=by_name.get("noise", hypers.noise_G1),
        inside_P=by_name.get("inside", hypers.inside_P),
        clips={name: by_name[f"clips/{name}"] for name in hypers.clips},
        factors_GS=by_name.get("factors", hypers.factors_GS),
        anchor_G1=by_name.get("anchor", hypers.anchor_G1),
        away_P=by_name.get("away", hypers.away_P),
        origin=by_name.get("origin", hypers.origin),
    )
