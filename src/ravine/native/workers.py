"""Threads that carry out compiled functions: each takes one group of jobs after another, and goes through all steps.

A group is one job, whose numbers stay in a core's caches while its steps run; or a few jobs that need the same at each
step, which is then done once for all of them. No thread waits for another one until all are done. Each begins with a
share of the groups that is its own, so that the next time much of what it needs is in its caches still; then it helps
the others with theirs.

Shapes: J job, I input, F function, T step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from ravine.native import team as openmp
from ravine.native.code import LINE, whole_lines
from ravine.native.function import Function
from ravine.native.worker import AREA, CALL, thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """What there is to do: for each job a table of its inputs and the functions to call on it.

    Args:
        tables_JI: addresses of the inputs at the first step; 0: memory of the thread that does the job.
        functions: for each job those that are called at each step, in order; None: nothing.
        own: bytes of the thread's memory, by input.
        rounds: of a step; a function that is called for a whole group, or None, and how many of the functions of its
            jobs are called after it. The first gets the table of the first job, scratch memory, how many jobs there are
            and how far their tables are apart. Empty: all functions are called, job by job.
        watched: an input, a float32, that stops its job where it is not finite after a step; None: none does.
        flushes: whether denormal numbers are taken for 0.
    """

    tables_JI: np.ndarray
    functions: Sequence[Sequence[Function | None]]
    own: dict[int, int]
    rounds: Sequence[tuple[Function | None, int]] = ()
    watched: int | None = None
    flushes: bool = False


class Workers:
    """Carries out jobs.

    Args:
        jobs: which.
        num_threads: at most so many at once.
        team: on PyTorch's threads, where that is possible and it uses several: for work of less than a millisecond.
        most: jobs of a group.
    """

    def __init__(self, jobs: Jobs, num_threads: int, *, team: bool = False, most: int = 1) -> None:
        self._jobs, self._most, self._team = jobs, most, openmp.team() if team else None
        self._addresses_JF = np.array(
            [[each.address if each else 0 for each in line] for line in jobs.functions], dtype=np.int64
        ).reshape(len(jobs.functions), -1 if jobs.functions else 0)
        rounds = jobs.rounds or [(None, self._addresses_JF.shape[1])]
        ends = np.cumsum([num for _, num in rounds])
        assert ends[-1] == self._addresses_JF.shape[1], "every function is called in a round"
        self._rounds = np.array(
            [
                [first.address if first else 0, end - num, end]
                for (first, num), end in zip(rounds, ends, strict=True)
            ],
            dtype=np.int64,
        )
        known = [each for line in (*jobs.functions, [first for first, _ in rounds]) for each in line if each]
        self._libraries = {each.library for each in known}
        scratch = max((each.scratch for each in known), default=0)
        num_inputs = jobs.tables_JI.shape[1]
        self._areas = [
            _Area(num_inputs, most, jobs.own, scratch)
            for _ in range(max(1, min(num_threads, len(jobs.tables_JI))))
        ]

    def run(
        self,
        order: np.ndarray,
        num_steps: int,
        steps_I: np.ndarray,
        stopped_J: np.ndarray,
        sizes: np.ndarray | None = None,
    ) -> None:
        """Do some jobs.

        Args:
            order: numbers of the jobs, group by group.
            num_steps: T, at least 1.
            steps_I: how far each input moves from a step to the next, in bytes.
            stopped_J: uint8, set to 1 for each job that is stopped.
            sizes: of the groups, at least 1 each; None: each job is one.
        """
        self._prepared(order, num_steps, steps_I, stopped_J, sizes)()

    def once_each(self) -> Callable[[], None]:
        """What does one step of every job, as often as it is called."""
        num_jobs, num_inputs = self._jobs.tables_JI.shape
        still_I, stopped_J = np.zeros(num_inputs, dtype=np.int64), np.zeros(num_jobs, dtype=np.uint8)
        return self._prepared(np.arange(num_jobs), 1, still_I, stopped_J)

    def _prepared(
        self,
        order: np.ndarray,
        num_steps: int,
        steps_I: np.ndarray,
        stopped_J: np.ndarray,
        sizes: np.ndarray | None = None,
    ) -> Callable[[], None]:
        order = np.ascontiguousarray(order, dtype=np.int64)
        steps_I = np.ascontiguousarray(steps_I, dtype=np.int64)
        bounds = np.arange(len(order) + 1) if sizes is None else np.concatenate([[0], np.cumsum(sizes)])
        bounds = np.ascontiguousarray(bounds, dtype=np.int64)
        num_groups, jobs = len(bounds) - 1, self._jobs
        assert bounds[-1] == len(order), "every job is in a group"
        assert np.diff(bounds).max(initial=1) <= self._most, "a group of more jobs than there is room for"
        tables_JI, used = jobs.tables_JI, self._areas[: max(1, num_groups)]
        given = {
            "groups": num_groups, "bounds": bounds.ctypes.data, "order": order.ctypes.data,
            "tables": tables_JI.ctypes.data, "steps": steps_I.ctypes.data, "inputs": tables_JI.shape[1],
            "functions": self._addresses_JF.ctypes.data, "calls": self._addresses_JF.shape[1],
            "rounds": self._rounds.ctypes.data, "num_rounds": len(self._rounds), "num": num_steps,
            "watched": -1 if jobs.watched is None else jobs.watched, "stopped": stopped_J.ctypes.data,
        }  # fmt: skip
        areas = [at for area in used for at in (area.tables, area.own_I.ctypes.data, area.scratch, 0)]
        call = np.array(
            [0, 0, len(used), int(jobs.flushes), *(given[name] for name in CALL), *areas], dtype=np.int64
        )
        taken = call[-len(areas) :][AREA - 1 :: AREA]
        call_at, num_threads, team = call.ctypes.data, len(used), self._team
        library, member = thread()
        member_at = library.address("member")

        # What the call has the addresses of lives as long as what is returned.
        def do(_kept: object = (self, order, bounds, steps_I, stopped_J)) -> None:
            call[0] = 0
            taken.fill(0)
            if team is not None and num_threads > 1 and torch.get_num_threads() > 1:
                call[1] = team.number
                team.begin(member_at, call_at, num_threads, 0)
            else:
                call[1] = 0
                _together(member, call_at, num_threads)

        return do


def _together(member: Callable[[int], None], call_at: int, num_threads: int) -> None:
    """On threads of Python's, this one among them."""
    others = [_pool(os.getpid()).submit(member, call_at) for _ in range(num_threads - 1)]
    try:
        member(call_at)
    finally:
        for other in others:
            other.result()


class _Area:
    """A thread's memory: a table of inputs for each job of a group, inputs of its own, scratch."""

    def __init__(self, num_inputs: int, most: int, own: dict[int, int], scratch: int) -> None:
        of_tables = 8 * (num_inputs + 1) * most  # behind a table, whether its job is over
        sizes = [of_tables, *own.values(), scratch]
        # NumPy's zeros are the system's, which come page by page when they are used.
        self._memory = np.zeros(sum(map(whole_lines, sizes)) + LINE, dtype=np.uint8)
        self.tables = whole_lines(self._memory.ctypes.data)
        self.own_I = np.zeros(num_inputs, dtype=np.int64)
        place = self.tables + whole_lines(of_tables)
        for i, size in own.items():
            self.own_I[i] = place
            place += whole_lines(size)
        self.scratch = place


@cache
def _pool(process: int) -> ThreadPoolExecutor:  # noqa: ARG001 (a fork has none of its parent's threads)
    return ThreadPoolExecutor(thread_name_prefix="ravine")
