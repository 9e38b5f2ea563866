"""The loop that trains a cohort.

Shapes: R run of the program, T step since the last evaluation, N example, K output.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator

import numpy as np
import torch
from torch import Tensor

from ravine.data import Dataset
from ravine.engine.averaging import Averaging
from ravine.engine.batches import Order
from ravine.engine.cohort import Cohort
from ravine.engine.history import History
from ravine.engine.keeping import Keeping
from ravine.engine.network import Network
from ravine.engine.programs import TOGETHER, Drive, Others, fewest_runs, program_of
from ravine.engine.records import Arrays, Averaged, Banked, Evaluation, Finished, Kept, Record, Tick
from ravine.engine.scheduled import Scheduled
from ravine.engine.setting import Setting
from ravine.engine.state import Data, State
from ravine.study.bank import BANK
from ravine.study.keep import Keep

TICK_SECONDS = 0.1
_LOOK = 256  # examples that a rehearsal evaluates: as many as go through machine code at once
_MAX_TRAIN_EXAMPLES = 10_000  # of the training set that the final scores look at


class Training:
    """A cohort in training: its program, its numbers and what became of its runs.

    Args:
        cohort: the runs.
        network: their model.
        data: their data set.
        backend: a word of `ravine.engine.programs.BACKENDS`.
        device: where.
        start: step and snapshot to go on from; None: from the beginning.
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
        repay_steps: int | None = None,
    ) -> None:
        self.cohort, self.network, self.data = cohort, network, data
        self.backend, self.device = backend, device
        self._repay_steps = repay_steps
        self._train, self._validation = Data.of(data.train, device), Data.of(data.validation, device)
        self._test = Data.of(data.test, device)
        self._averaging = Averaging.of(cohort, network, self._train, backend)
        # Losses are given in the target's own units.
        self._unit = data.loss_unit
        self._order = Order(cohort.seeds, len(data.train), cohort.recipe.batch_size, device)
        self._epoch = len(data.train) // cohort.recipe.batch_size
        self._fewest = fewest_runs()  # of a program that is made smaller
        self._threads = torch.get_num_threads()  # outside of a program
        self.step = 0
        self.evaluated = 0  # step of the last evaluation
        self.seconds = 0.0
        self.whole = True  # False amid a step or an evaluation, where no snapshot can be taken
        self._diverged: dict[int, int] = {}  # row of the cohort: step
        state, self._all_fixed = State.initial(cohort, network, device)
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
        self._make(rows, state)
        if start is not None:
            self._history.load(start[1])

    def _make(self, rows: list[int], state: State) -> None:
        """Make the program for some rows of the cohort."""
        self._rows = rows
        self._part = Cohort.of([self.cohort.runs[row] for row in rows], self.cohort.averages)
        self._history = History(len(rows))
        index = torch.tensor(rows, device=self.device)
        fixed = {name: tensor[index] for name, tensor in self._all_fixed.items()}
        self._scheduled = Scheduled(self._part, self._epoch, self.device)
        self.setting = Setting.of(
            self._part,
            (self.network, fixed),
            (self.data, self._train),
            state,
            self._order.seeds,
            fused=self.backend in TOGETHER,
            several_steps=self.backend == "native",
            num_threads=self._threads,
        )
        self._program = program_of(self.backend, self.setting)
        self._note_alive()

    def _note_alive(self) -> None:
        """The places of the program's runs that have not diverged: they change at an evaluation, and not at a step."""
        self._going = [place for place, row in enumerate(self._rows) if row not in self._diverged]

    @property
    def alive(self) -> list[int]:
        """Rows of the cohort that have not diverged."""
        return [row for row in self._rows if row not in self._diverged]

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
        with self._program.running():
            while self.step < self.cohort.recipe.steps:
                loss_TR, _ = self._take_steps(self.cohort.recipe.steps - self.step)
                self.step += len(loss_TR)
                yield loss_TR.cpu().numpy().astype(np.float64) * self._unit

    def _take_steps(self, most: int) -> tuple[Tensor, Tensor]:
        """Losses and accuracies of some steps of all runs, (T, R)."""
        if self.cohort.recipe.full_batch:
            # The data set in its own order: no permutation is drawn for it at every step.
            rows_TSB = self._order.rows(0).expand(most, -1, -1)
        else:
            rows_TSB = self._order.rows(self.step)
        scheduled_TNR = self._scheduled.at(self.step)
        num = min(most, len(rows_TSB), len(scheduled_TNR))
        return self._program.advance(rows_TSB[:num], scheduled_TNR[:num], self.step, self._going)

    def rehearse(self) -> None:
        """One step and a look at a few validation examples: what a model cannot do shows."""
        self.advance()
        self._scored(Data(x=self._validation.x[:_LOOK], y=self._validation.y[:_LOOK]))

    def records(
        self, keep: Keep | None = None, *, tick_seconds: float = TICK_SECONDS
    ) -> Generator[Record, None, None]:
        """Train to the end.

        Args:
            keep: also yield the weights along the way, after the steps that it says.
            tick_seconds: time between two ticks.

        Yields:
            Ticks, an evaluation every ``evaluate_every`` steps and at the end, and last of all what was learned.
        """
        with self._program.running() as drive:
            bank = self.cohort.averages.bank if self.cohort.averages else 0
            keeping = Keeping(keep, self.cohort.runs, self._epoch, bank)
            yield from self._records(drive, keeping, tick_seconds)

    def _records(self, drive: Drive, keeping: Keeping, tick_seconds: float) -> Iterator[Record]:
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
                evaluation = self._evaluate()
                if evaluation.diverged:
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
        finished = self._finish()
        self.seconds += time.perf_counter() - clock
        yield finished

    def snapshot(self) -> Arrays:
        """Everything that is needed to go on from here."""
        return {
            **self.setting.state.arrays(),
            **self._history.arrays(),
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
        _, loss_R, accuracy_R = self._scored(self._validation)
        validation_loss_R = loss_R.cpu().numpy().astype(np.float64)
        lost = self._find_diverged(np.where(bad_R < 0, -1, start + bad_R), validation_loss_R)
        going = self._going
        scores = {
            "train_loss": train_loss_R[going] * self._unit,
            "validation_loss": validation_loss_R[going] * self._unit,
        }
        if self.data.task == "classification":
            scores["train_accuracy"] = train_accuracy_R[going]
            scores["validation_accuracy"] = accuracy_R.cpu().numpy()[going]
        for name in self._averaging.names:
            scores.update(self._curve_of(name))
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
        for i in np.flatnonzero(at_R >= 0):
            row = self._rows[i]
            if row not in self._diverged:
                self._diverged[row] = int(at_R[i])
                lost.append(row)
        self._note_alive()
        return lost

    def _shrink(self) -> None:
        """Leave diverged runs out of the program, if that saves more than making a smaller one costs."""
        repay_steps = self._program.repay_steps
        if repay_steps is None:
            return
        if self._repay_steps is not None:
            repay_steps = self._repay_steps
        spare = self._fewest - len(self.alive)
        rows = [row for row in self._rows if row not in self._diverged or (spare := spare - 1) >= 0]
        saved_steps = (1 - len(rows) / len(self._rows)) * (self.cohort.recipe.steps - self.step)
        if self.alive and saved_steps > repay_steps:
            places = [self._rows.index(row) for row in rows]
            self._make(rows, self.setting.state.take(places, self._part))

    def _scored(
        self, split: Data, points_RP: Tensor | None = None, others: Others | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs of all runs on some examples, (R, N, K), their mean losses and accuracies, (R,)."""
        outputs_RNK, loss_RN, accuracy_RN = self._program.scores(split, points_RP, others)
        return outputs_RNK, loss_RN.mean(1), accuracy_RN.mean(1)

    def _places(self) -> Tensor:
        """Rows of the program that have not diverged."""
        return torch.tensor(self._going, dtype=torch.int64, device=self.device)

    def _along(self, keeping: Keeping) -> Iterator[Kept | Banked]:
        """What is stored after this step, of the runs that have not diverged."""
        if runs := keeping.now(self.step):
            places = [place for place in self._going if self.cohort.runs[self._rows[place]].id in runs]
            weights = self._weights(torch.tensor(places, dtype=torch.int64, device=self.device))
            ids = tuple(self.cohort.runs[self._rows[place]].id for place in places)
            yield Kept(step=self.step, runs=ids, weights=_arrays(weights))
        if keeping.banks(self.step):
            going, views = self._places(), self.network.layout.views
            points = {name: views(self.setting.point(name)[going]) for name in BANK}
            named = {f"{name}/{each}": view for name, found in points.items() for each, view in found.items()}
            yield Banked(step=self.step, runs=self._ids(), weights=_arrays(named))

    def _ids(self) -> tuple[str, ...]:
        """Of the runs that have not diverged."""
        return tuple(self.cohort.runs[row].id for row in self.alive)

    def _weights(self, going: Tensor) -> dict[str, Tensor]:
        """Parameters as they would be deployed, and buffers, of some rows of the program."""
        weights = self.network.layout.views(self.setting.point()[going])
        weights.update({name: tensor[going] for name, tensor in self.setting.state.buffers.items()})
        return weights

    def _finish(self) -> Finished:
        """What was learned."""
        alive, going = self.alive, self._places()
        metrics: dict[str, np.ndarray] = {}
        predictions: Arrays = {}
        if alive:
            metrics, predictions = self._final(going)
        weights = self._weights(going)
        weights.update({name: tensor[going] for name, tensor in self.setting.constants.fixed.items()})
        return Finished(
            runs=self._ids(),
            diverged=self.diverged(),
            metrics=metrics,
            weights=_arrays(weights),
            predictions=predictions,
            seconds=self.seconds,
            backend=f"{self.backend} on {self.device.type}",
            averages={name: self._averaged(name) for name in self._averaging.names if self._begun(name)},
        )

    def _final(
        self, going: Tensor, points_RP: Tensor | None = None, others: Others | None = None
    ) -> tuple[dict[str, np.ndarray], Arrays]:
        """Final scores and predictions of some rows of the program."""
        metrics: dict[str, np.ndarray] = {}
        predictions: Arrays = {}
        examples = self._train.x[:_MAX_TRAIN_EXAMPLES], self._train.y[:_MAX_TRAIN_EXAMPLES]
        train = Data(x=examples[0], y=examples[1])
        for name, split in (("train", train), ("validation", self._validation), ("test", self._test)):
            if not len(split.y):  # there is no test split
                continue
            scored = self._scored(split, points_RP, others)
            outputs_RNK, loss_R, accuracy_R = (tensor[going] for tensor in scored)
            if name != "test":  # read once, at the end, for the runs that were chosen: not here
                metrics[f"{name}_loss"] = loss_R.cpu().numpy().astype(np.float64) * self._unit
                if self.data.task == "classification":
                    metrics[f"{name}_accuracy"] = accuracy_R.cpu().numpy()
            if name != "train":
                predictions[name] = self._predictions(outputs_RNK)
        return metrics, predictions

    def _begun(self, name: str) -> list[int]:
        """Rows of the program that have not diverged and whose average of this name has weights already."""
        return self._averaging.begun(name, self._scheduled, self.step, self._going)

    def _curve_of(self, name: str) -> dict[str, np.ndarray]:
        """Scores of an average on the validation set, of the runs that go on."""
        begun, going = self._begun(name), self._going
        kinds = ("loss", "accuracy") if self.data.task == "classification" else ("loss",)
        scores = {kind: np.full(len(self._rows), np.nan) for kind in kinds}
        if begun:
            points_RP = self.setting.point(name)
            others = self._averaging.others(name, self.setting, points_RP, begun, at_end=False)
            _, *found = self._scored(self._validation, points_RP, others)
            for kind, values_R in zip(kinds, found, strict=False):
                scores[kind][begun] = values_R.cpu().numpy()[begun]
            scores["loss"] *= self._unit
        return {f"{name}/validation_{kind}": values[going] for kind, values in scores.items()}

    def _averaged(self, name: str) -> Averaged:
        """What an average came to."""
        begun = self._begun(name)
        rows, points_RP = torch.tensor(begun, device=self.device), self.setting.point(name)
        others = self._averaging.others(name, self.setting, points_RP, begun, at_end=True)
        metrics, predictions = self._final(rows, points_RP, others)
        weights = self.network.layout.views(points_RP[rows])
        weights.update({name: tensor[rows] for name, tensor in others.items()})
        return Averaged(
            runs=tuple(self.cohort.runs[self._rows[place]].id for place in begun),
            metrics=metrics,
            weights=_arrays(weights),
            predictions=predictions,
        )

    def _predictions(self, outputs_RNK: Tensor) -> np.ndarray:
        outputs = outputs_RNK.cpu().numpy()
        if self.data.task == "classification":
            return outputs
        with np.errstate(over="ignore"):  # a prediction beyond float32 is infinite, and its run is not judged
            return self.data.in_own_units(outputs[..., 0])


def _arrays(tensors: dict[str, Tensor]) -> Arrays:
    return {name: np.ascontiguousarray(t.detach().cpu().numpy()) for name, t in tensors.items()}


def _float32(values: np.ndarray) -> np.ndarray:
    """Rounded; a finite number too large for float32 becomes infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
