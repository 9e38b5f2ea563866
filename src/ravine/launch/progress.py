"""What a launch yields: its plan, its progress, its end."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ravine.messages import count

TRAINING = "training"
"""What goes on in a launch that has no phases, for people."""
_FIRST_GUESS_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a launch is going to do.

    Args:
        num_runs: runs of the study.
        num_known: those that have finished already.
        num_resumed: runs that go on from a checkpoint.
        lines: for people: backend and cohorts of each structure, and the reasons.
        about: what begins, for people; of a study with phases, which of them.
        num_before: those of the known runs that this launch has trained, since others go on from them.
        shared: for people: how many runs go on from these, and what that saves; "" where nothing is saved.
    """

    num_runs: int
    num_known: int
    num_resumed: int
    lines: tuple[str, ...]
    about: str = TRAINING
    num_before: int = 0
    shared: str = ""

    @property
    def runs(self) -> str:
        """Of how many runs it is, for people.

        Example:
            >>> Planned(num_runs=30, num_known=15, num_resumed=0, lines=(), num_before=12).runs
            '30 runs, 12 of them trained in a phase before, 3 of them known already'
        """
        known = self.num_known - self.num_before
        parts = [
            count(self.num_runs, "run"),
            *([f"{self.num_before:,} of them trained in a phase before"] if self.num_before else []),
            *([f"{known:,} of them known already"] if known else []),
        ]
        return "; ".join(filter(None, (", ".join(parts), self.shared)))

    @property
    def line(self) -> str:
        """The plan in one line, as the store keeps it."""
        phase = () if self.about == TRAINING else (f"{self.about}: {self.runs}",)
        nothing = ("nothing to train: the store had all runs",) if self.num_known == self.num_runs else ()
        return "; ".join((*phase, *self.lines, *nothing))


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparing:
    """What has to be made before runs can be trained.

    Args:
        done: examples that are done.
        all: how many there are.
        about: what is done, for people.
    """

    done: int
    all: int
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a launch is.

    Args:
        run_steps: steps done, summed over the runs to train; one that diverged or
            stopped counts with all of its steps.
        all_run_steps: steps of all these runs.
        runs_done: runs that have finished.
        num_runs: runs to train.
        num_diverged: runs that diverged.
        best: best validation accuracy, or lowest validation loss, so far; None before the first evaluation.
        best_label: the label of that run.
        seconds_left: an estimate; None at the start.
    """

    run_steps: int
    all_run_steps: int
    runs_done: int
    num_runs: int
    num_diverged: int
    best: float | None
    best_label: str
    seconds_left: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The end of a launch.

    Args:
        seconds: wall time of training, writing included.
        num_trained: runs trained by this launch.
        num_diverged: those of them that diverged.
        lines: for people: what did not come out as it should.
    """

    seconds: float
    num_trained: int
    num_diverged: int
    lines: tuple[str, ...] = ()


Event = Preparing | Planned | Progress | Trained


class Meter:
    """Counts what has been done and estimates how long the rest takes.

    Args:
        all_run_steps: steps, summed over all runs to train.
        num_runs: how many runs these are.
        higher_is_better: whether a higher score is the better one, as with an accuracy.
        all_work: what these steps take together, in the unit of `begin_cohort`; None: all steps take the same.
    """

    def __init__(
        self, all_run_steps: int, num_runs: int, *, higher_is_better: bool, all_work: float | None = None
    ) -> None:
        self._all, self._num_runs, self._sign = all_run_steps, num_runs, 1 if higher_is_better else -1
        self._all_work = float(all_run_steps) if all_work is None else all_work
        # Time and work at the first report: before it, the first program was made.
        self._began: tuple[float, float] | None = None
        self._cohort_steps, self._cost = 0, 1.0
        self._done_steps, self._done_work = 0, 0.0
        self.runs_done = 0
        self.num_diverged = 0
        self._best: float | None = None
        self._best_label = ""

    def begin_cohort(self, cost: float) -> None:
        """Note what a step of the next cohort's runs takes beside one of the others."""
        self._cost = cost

    def resume(self, run_steps: int) -> None:
        """Note the steps of a checkpoint: they took no time of this launch."""
        if self._began is not None:
            self._began = self._began[0], self._began[1] + run_steps * self._cost

    def at(self, cohort_run_steps: int) -> None:
        """Note the steps that the cohort in training has done, summed over its runs."""
        self._cohort_steps = cohort_run_steps
        if self._began is None:
            self._began = time.perf_counter(), self._done_work + cohort_run_steps * self._cost

    def end_cohort(self, cohort_run_steps: int, num_runs: int, num_diverged: int) -> None:
        """Note the end of a cohort."""
        self._done_steps += cohort_run_steps
        self._done_work += cohort_run_steps * self._cost
        self._cohort_steps = 0
        self.runs_done += num_runs
        self.num_diverged += num_diverged

    def score(self, value: float, label: str) -> None:
        """Note the score of a run."""
        if self._best is None or self._sign * value > self._sign * self._best:
            self._best, self._best_label = value, label

    def read(self, lost_now: int = 0) -> Progress:
        """How far it is; ``lost_now`` runs of the cohort in training have diverged."""
        steps = self._done_steps + self._cohort_steps
        left = None
        if self._began is not None:
            done = self._done_work + self._cohort_steps * self._cost
            seconds, worked = time.perf_counter() - self._began[0], done - self._began[1]
            if worked > 0 and seconds > _FIRST_GUESS_SECONDS:
                left = seconds / worked * max(self._all_work - done, 0.0)
        return Progress(
            run_steps=steps,
            all_run_steps=self._all,
            runs_done=self.runs_done,
            num_runs=self._num_runs,
            num_diverged=self.num_diverged + lost_now,
            best=self._best,
            best_label=self._best_label,
            seconds_left=left,
        )
