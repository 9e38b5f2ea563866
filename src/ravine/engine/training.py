"""The loop that trains a cohort.

Shapes: R run of the program, T step since the last evaluation, N example, K output.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ravine.data import Dataset
from ravine.engine.averaging import Averaging
from ravine.engine.beginning import Beginning, End, end_of
from ravine.engine.cohort import Cohort
from ravine.engine.ending import Ending, Running, arrays_of, index, rows_of
from ravine.engine.final import Final
from ravine.engine.history import History
from ravine.engine.keeping import Keeping
from ravine.engine.loss import OWN_LOSS, Loss
from ravine.engine.network import Network
from ravine.engine.objective import Objective
from ravine.engine.programs import TOGETHER, Drive, program_of
from ravine.engine.records import Arrays, Banked, Evaluation, Finished, Kept, Record, Tick
from ravine.engine.scheduled import Scheduled
from ravine.engine.scoring import fewest_runs
from ravine.engine.sets import joined, sets_of
from ravine.engine.setting import Setting
from ravine.engine.state import State
from ravine.engine.stopping import Stopping
from ravine.study.bank import BANK
from ravine.study.keep import Keep

TICK_SECONDS = 0.1
_LOOK = 256  # examples that a rehearsal evaluates: as many as go through machine code at once


class Training:
    """A cohort in training: its program, its numbers and what became of its runs.

    Args:
        cohort: the runs.
        network: their model.
        data: their data set; where they are of several folds, that which has all of them.
        backend: a word of `ravine.engine.programs.BACKENDS`.
        device: where.
        start: step and snapshot to go on from; None: from the beginning.
        ends: by id of a run, the end that it goes on from; None: all begin with the weights that their seeds make.
        repay_steps: a smaller program, without diverged runs, is made where it saves the time of so many steps; None:
            as the program says.
    """

    def __init__(
        self,
        cohort: Cohort,
        network: Network,
        data: Dataset,
        backend: str,
        device: torch.device,
        start: tuple[int, Arrays] | None = None,
        *,
        ends: Mapping[str, End] | None = None,
        repay_steps: int | None = None,
    ) -> None:
        self._sets = sets = sets_of(cohort, data, device)
        self.cohort, self.network, self.data = cohort, network, sets.first
        self.backend, self.device = backend, device
        self._repay_steps = repay_steps
        self._averaging = Averaging.of(cohort, network, sets.whole, backend)
        self._loss = Loss.of(cohort.recipe.loss, sets.first)
        self._order = sets.order
        self._fewest = fewest_runs()  # of a program that is made smaller
        self._threads = torch.get_num_threads()  # outside of a program
        self.step = 0
        self.evaluated = 0  # step of the last evaluation
        self.seconds = 0.0
        self.whole = True  # False amid a step or an evaluation, where no snapshot can be taken
        self._diverged: dict[int, int] = {}  # row of the cohort: step
        self._beginning = Beginning.of(cohort, network, device, ends)
        state = self._beginning.state
        self._stopping = Stopping(cohort, state)
        objective = Objective(network=network, loss=self._loss, fused=backend in TOGETHER)
        self._ending = Ending(
            cohort=cohort,
            layout=network.layout,
            final=Final(sets=sets, objective=objective, backend=backend),
            averaging=self._averaging,
            stopping=self._stopping,
            fixed=self._beginning.fixed,
        )
        rows = list(range(len(cohort.runs)))
        if start is not None:
            self.step, arrays = start
            rows = arrays["rows"].tolist()
            state = state.take(rows, cohort)
            state.load(arrays)
            self.seconds = float(arrays["seconds"])
            self._diverged = dict(
                zip(arrays["diverged_rows"].tolist(), arrays["diverged_steps"].tolist(), strict=True)
            )
            self._stopping.load(arrays)
        self._make(rows, state)
        if start is not None:
            self._history.load(start[1])

    def _make(self, rows: list[int], state: State) -> None:
        """Make the program for some rows of the cohort."""
        self._rows = rows
        self._part = Cohort.of([self.cohort.runs[row] for row in rows], self.cohort.averages)
        self._history = History(len(rows))
        at, origin = index(rows, state.params_RP), self._beginning.origin
        fixed = rows_of(self._beginning.fixed, at)
        origin = origin[at] if origin is not None and origin.dim() > 1 else origin
        self._scheduled = Scheduled(
            self._part, self._order.batches_per_epoch, self.device, self.network.dtype
        )
        self.setting = Setting.of(
            self._part,
            (self.network, fixed, origin),
            (self.data, self._sets.train),
            state,
            self.cohort.seeds,
            self._order.num_orders,
            fused=self.backend in TOGETHER,
            several_steps=self.backend == "native",
            num_threads=self._threads,
            own=self._sets.of_runs(rows, self.network.dtype),
        )
        self._program = program_of(self.backend, self.setting)
        self._note_alive()

    def _note_alive(self) -> None:
        """The places of the program's runs that go on: they change at an evaluation, and not at a step."""
        alive = set(self.alive)
        self._going = [place for place, row in enumerate(self._rows) if row in alive]

    @property
    def _now(self) -> Running:
        return Running(
            rows=self._rows,
            going=self._going,
            setting=self.setting,
            program=self._program,
            scheduled=self._scheduled,
            step=self.step,
        )

    @property
    def alive(self) -> list[int]:
        """Rows of the cohort that go on: they have neither diverged nor stopped."""
        over = self._diverged.keys() | self._stopping.stopped.keys()
        return [row for row in self._rows if row not in over]

    def run_steps(self) -> int:
        """Steps done, summed over the runs; one that does not go on counts with all of its steps."""
        going, steps = len(self.alive), self.cohort.recipe.steps
        return going * self.step + (len(self.cohort.runs) - going) * steps

    def advance(self, most: int = 1) -> int:
        """Some steps of all runs: ``most`` or fewer, at least one.

        Returns:
            How many.
        """
        self.whole = False
        loss_TR, accuracy_TR = self._take_steps(most)
        self._history.add(loss_TR, accuracy_TR)
        self.step += len(loss_TR)
        self.whole = True
        return len(loss_TR)

    def losses(self) -> Generator[np.ndarray, None, None]:
        """Train to the end and look at nothing but the losses of the training batches.

        Yields:
            Losses of stretches of steps, (T, R), in the order of the cohort's runs; not finite once a run has diverged.
        """
        unit, _ = self._sets.units(self._rows)
        with self._program.running():
            while self.step < self.cohort.recipe.steps:
                loss_TR, _ = self._take_steps(self.cohort.recipe.steps - self.step)
                self.step += len(loss_TR)
                yield loss_TR.cpu().numpy().astype(np.float64) * unit

    def _take_steps(self, most: int) -> tuple[Tensor, Tensor]:
        """Losses and accuracies of some steps of all runs, (T, R)."""
        number = self.cohort.first_step + self.step
        if self.cohort.recipe.full_batch:
            # The data set in its own order: no permutation is drawn for it at every step.
            rows_TSB = self._order.all_rows().expand(most, -1, -1)
        else:
            rows_TSB = self._order.rows(number)
        scheduled_TNR = self._scheduled.at(self.step)
        num = min(most, len(rows_TSB), len(scheduled_TNR))
        return self._program.advance(rows_TSB[:num], scheduled_TNR[:num], number, self._going)

    def rehearse(self) -> None:
        """One step and a look at a few validation examples: what a model cannot do shows."""
        self.advance()
        for places, split in self._sets.each("validation", self._rows, _LOOK):
            self._program.scores(split, rows=places)

    def records(
        self, keep: Keep | None = None, *, ends: bool = False, tick_seconds: float = TICK_SECONDS
    ) -> Generator[Record, None, None]:
        """Train to the end.

        Args:
            keep: also yield the weights along the way, after the steps that it says.
            ends: whether the end has all that runs need which go on from there.
            tick_seconds: time between two ticks.

        Yields:
            Ticks, an evaluation every ``evaluate_every`` steps and at the end, and last of all what was learned.
        """
        with self._program.running() as drive:
            bank = self.cohort.averages.bank if self.cohort.averages else 0
            keeping = Keeping(keep, self.cohort.runs, self._order.batches_per_epoch, bank)
            yield from self._records(drive, keeping, tick_seconds, ends=ends)

    def _records(
        self, drive: Drive, keeping: Keeping, tick_seconds: float, *, ends: bool
    ) -> Iterator[Record]:
        recipe = self.cohort.recipe
        clock = ticked = time.perf_counter()
        while self.step < recipe.steps and self.alive:
            for along in self._along(keeping):  # also where it goes on from a checkpoint
                self.seconds += time.perf_counter() - clock
                yield along
                clock = time.perf_counter()
            to_look = recipe.evaluate_every - self.step % recipe.evaluate_every
            drive(self.advance, min(to_look, keeping.next(self.step) - self.step))
            if self.step % recipe.evaluate_every == 0 or self.step == recipe.steps:
                self.whole = False
                before = len(self._going)
                evaluation = self._evaluate()
                self._ending.stop(self._now, evaluation)
                self._note_alive()
                if len(self._going) < before:
                    self._shrink()
                self.whole = True
                self.seconds += time.perf_counter() - clock
                yield evaluation
                clock = time.perf_counter()
            if time.perf_counter() - ticked > tick_seconds:
                self.seconds += time.perf_counter() - clock
                yield Tick(step=self.step, snapshot=self.snapshot)
                clock = time.perf_counter()
                ticked = time.perf_counter()
        if self.alive:
            yield from self._along(keeping)
        finished = self._finish(ends=ends)
        self.seconds += time.perf_counter() - clock
        yield finished

    def snapshot(self) -> Arrays:
        """Everything that is needed to go on from here."""
        return {
            **self.setting.state.arrays(),
            **self._history.arrays(),
            **self._stopping.arrays(),
            "rows": np.array(self._rows, dtype=np.int64),
            "seconds": np.array(self.seconds),
            "diverged_rows": np.array(list(self._diverged), dtype=np.int64),
            "diverged_steps": np.array(list(self._diverged.values()), dtype=np.int64),
        }

    def diverged(self) -> dict[str, int]:
        """Ids of the runs whose loss ceased to be a finite number, and at which step."""
        return {self.cohort.runs[row].id: step for row, step in self._diverged.items()}

    def _evaluate(self) -> Evaluation:
        """Scores since the last evaluation, and on the validation set."""
        train_loss_R, train_accuracy_R, bad_R = self._history.read()
        start = self.step - self._history.num_steps
        self._history.clear()
        loss_R, accuracy_R, own_R = self._scored()
        validation_loss_R = loss_R.astype(np.float64)
        lost = self._find_diverged(np.where(bad_R < 0, -1, start + bad_R), validation_loss_R)
        going = self._going
        # Losses are given in the target's own units: that of training, and scores.
        unit, score_unit = self._sets.units([self._rows[place] for place in going])
        scores = {
            "train_loss": train_loss_R[going] * unit,
            "validation_loss": validation_loss_R[going] * score_unit,
        }
        if not self._loss.scores_itself:
            scores[OWN_LOSS] = own_R[going] * unit
        if self.data.task != "regression":
            scores["train_accuracy"] = train_accuracy_R[going]
            scores["validation_accuracy"] = accuracy_R[going]
        for name in self._averaging.names:
            scores.update(self._ending.curve(name, self._now))
        self.evaluated = self.step
        return Evaluation(
            step=self.step,
            runs=self._ids(),
            scores={name: _float32(values) for name, values in scores.items()},
            diverged={self.cohort.runs[row].id: self._diverged[row] for row in lost},
        )

    def _find_diverged(self, bad_R: np.ndarray, validation_loss_R: np.ndarray) -> list[int]:
        """Rows found to have diverged, now noted: the first step without a finite loss, or the present one."""
        at_R = np.where((bad_R < 0) & ~np.isfinite(validation_loss_R), self.step, bad_R)
        lost = []
        for place in self._going:
            if at_R[place] >= 0:
                row = self._rows[place]
                self._diverged[row] = int(at_R[place])
                lost.append(row)
        self._note_alive()
        return lost

    def _shrink(self) -> None:
        """Leave out of the program those that do not go on, if that saves more than making a smaller one costs."""
        repay_steps = self._program.repay_steps
        if repay_steps is None:
            return
        if self._repay_steps is not None:
            repay_steps = self._repay_steps
        alive = set(self.alive)
        spare = self._fewest - len(alive)
        rows = [row for row in self._rows if row in alive or (spare := spare - 1) >= 0]
        saved_steps = (1 - len(rows) / len(self._rows)) * (self.cohort.recipe.steps - self.step)
        if alive and saved_steps > repay_steps:
            places = [self._rows.index(row) for row in rows]
            self._make(rows, self.setting.state.take(places, self._part))

    def _scored(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of all runs on the validation set, (R,): losses, accuracies, and of another loss of training that."""
        parts: list[tuple[Sequence[int] | None, list[np.ndarray]]] = []
        for places, split in self._sets.each("validation", self._rows):
            outputs_RNK, loss_RN, accuracy_RN = self._program.scores(split, rows=places)
            found = [loss_RN.mean(1), accuracy_RN.mean(1)]
            if not self._loss.scores_itself:
                numbers = self.setting.constants.of_loss
                own = numbers if places is None else {name: each[places] for name, each in numbers.items()}
                found.append(self._loss.of_runs(outputs_RNK, split.y, own))
            parts.append((places, [each.cpu().numpy() for each in found]))
        num = len(self._rows)
        loss_R, accuracy_R, *own_R = (
            joined(num, [(places, each[i]) for places, each in parts]) for i in range(len(parts[0][1]))
        )
        return loss_R, accuracy_R, own_R[0] if own_R else loss_R

    def _along(self, keeping: Keeping) -> Iterator[Kept | Banked]:
        """What is stored after this step, of the runs that go on."""
        if runs := keeping.now(self.step):
            places = [place for place in self._going if self.cohort.runs[self._rows[place]].id in runs]
            weights = self._now.weights(places)
            ids = tuple(self.cohort.runs[self._rows[place]].id for place in places)
            yield Kept(step=self.step, runs=ids, weights=arrays_of(weights))
        if keeping.banks(self.step):
            going, views = self._now.index(self._going), self.network.layout.views
            points = {name: views(self.setting.point(name)[going]) for name in BANK}
            named = {f"{name}/{each}": view for name, found in points.items() for each, view in found.items()}
            yield Banked(step=self.step, runs=self._ids(), weights=arrays_of(named))

    def _ids(self) -> tuple[str, ...]:
        """Of the runs that go on."""
        return tuple(self.cohort.runs[row].id for row in self.alive)

    def _finish(self, *, ends: bool) -> Finished:
        """What was learned."""
        now, ending, runs = self._now, self._ending, self.cohort.runs
        before = self._beginning.ends
        found = ending.runs(now, self._diverged)
        averages = {name: ending.averaged(name, now) for name in self._averaging.names}
        restored = ending.restorable(self._diverged)
        row_of = {run.id: row for row, run in enumerate(runs)}
        return Finished(
            runs=found.runs,
            diverged=self.diverged(),
            metrics=found.metrics,
            weights=found.weights,
            predictions=found.predictions,
            lengths=self._sets.lengths([row_of[run] for run in found.runs]),
            seconds=self.seconds,
            backend=f"{self.backend} on {self.device.type}",
            averages={name: each for name, each in averages.items() if each.runs},
            stopped={runs[row].id: step for row, step in self._stopping.stopped.items()},
            restored={runs[row].id: self._stopping.best_step(row) for row in restored},
            kept=end_of(
                self._part,
                self.network.sections,
                self.setting.state,
                self._going,
                [before[self._rows[place]] for place in self._going] if before else [],
            )
            if ends and not self._stopping.rows  # whose runs end with other weights than the program's
            else {},
        )


def _float32(values: np.ndarray) -> np.ndarray:
    """Rounded; a finite number too large for float32 becomes infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
