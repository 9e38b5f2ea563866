"""Threads that carry out compiled functions: each takes one job after another and goes through all of its steps.

A job's numbers stay in a core's caches while its steps run, and no thread waits for another one until all are done.
Each begins with a share of the jobs that is its own, so that the next time much of what it needs is in its caches
still; then it helps the others with theirs.

Shapes: J job, I input, F function, T step.
"""

from __future__ import annotations

import ctypes
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
from ravine.native.machine import Library

_WORKER = """
define void @worker(ptr %areas, i64 %many, i64 %place, i64 %jobs, ptr %order, ptr %tables, ptr %steps, i64 %inputs,
                    ptr %functions, i64 %calls, i64 %num, i64 %watched, ptr %stopped) {
entry:
  %area_number = mul i64 %place, AREA
  %area = getelementptr i64, ptr %areas, i64 %area_number
  %table = load ptr, ptr %area
  %own_at_area = getelementptr i64, ptr %area, i64 1
  %own = load ptr, ptr %own_at_area
  %scratch_at = getelementptr i64, ptr %area, i64 2
  %scratch = load ptr, ptr %scratch_at
  br label %visit
visit:
  %visited = phi i64 [ 0, %entry ], [ %visited_next, %leave ]
  %ahead = add i64 %place, %visited
  %whose = urem i64 %ahead, %many
  %low_all = mul i64 %whose, %jobs
  %low = udiv i64 %low_all, %many
  %high_all = add i64 %low_all, %jobs
  %high = udiv i64 %high_all, %many
  %whose_area = mul i64 %whose, AREA
  %taken_number = add i64 %whose_area, 3
  %taken_at = getelementptr i64, ptr %areas, i64 %taken_number
  br label %take
take:
  %taken = atomicrmw add ptr %taken_at, i64 1 monotonic
  %next = add i64 %low, %taken
  %more = icmp slt i64 %next, %high
  br i1 %more, label %begin, label %leave
leave:
  %visited_next = add i64 %visited, 1
  %others = icmp slt i64 %visited_next, %many
  br i1 %others, label %visit, label %end
begin:
  %order_at = getelementptr i64, ptr %order, i64 %next
  %job = load i64, ptr %order_at
  %row = mul i64 %job, %inputs
  %table_at = getelementptr i64, ptr %tables, i64 %row
  %first = mul i64 %job, %calls
  %functions_at = getelementptr ptr, ptr %functions, i64 %first
  br label %copy
copy:
  %n = phi i64 [ 0, %begin ], [ %n_next, %copy ]
  %given_at = getelementptr i64, ptr %table_at, i64 %n
  %given = load i64, ptr %given_at
  %own_at = getelementptr i64, ptr %own, i64 %n
  %mine = load i64, ptr %own_at
  %absent = icmp eq i64 %given, 0
  %chosen = select i1 %absent, i64 %mine, i64 %given
  %copied_at = getelementptr i64, ptr %table, i64 %n
  store i64 %chosen, ptr %copied_at
  %n_next = add i64 %n, 1
  %to_copy = icmp slt i64 %n_next, %inputs
  br i1 %to_copy, label %copy, label %step
step:
  %s = phi i64 [ 0, %copy ], [ %s_next, %advanced ]
  br label %call
call:
  %c = phi i64 [ 0, %step ], [ %c_next, %called ]
  %function_at = getelementptr ptr, ptr %functions_at, i64 %c
  %function = load ptr, ptr %function_at
  %none = icmp eq ptr %function, null
  br i1 %none, label %called, label %do
do:
  call void %function(ptr %table, ptr %scratch)
  br label %called
called:
  %c_next = add i64 %c, 1
  %calls_left = icmp slt i64 %c_next, %calls
  br i1 %calls_left, label %call, label %look
look:
  %watch = icmp sge i64 %watched, 0
  br i1 %watch, label %check, label %advance
check:
  %watched_at = getelementptr ptr, ptr %table, i64 %watched
  %number_at = load ptr, ptr %watched_at
  %number = load float, ptr %number_at
  %size = call float @llvm.fabs.f32(float %number)
  %finite = fcmp olt float %size, 0x7FF0000000000000
  br i1 %finite, label %advance, label %stop
stop:
  %stopped_at = getelementptr i8, ptr %stopped, i64 %job
  store i8 1, ptr %stopped_at
  br label %take
advance:
  %i = phi i64 [ 0, %look ], [ 0, %check ], [ %i_next, %advance ]
  %pointer_at = getelementptr i64, ptr %table, i64 %i
  %far_at = getelementptr i64, ptr %steps, i64 %i
  %pointer = load i64, ptr %pointer_at
  %far = load i64, ptr %far_at
  %moved = add i64 %pointer, %far
  store i64 %moved, ptr %pointer_at
  %i_next = add i64 %i, 1
  %inputs_left = icmp slt i64 %i_next, %inputs
  br i1 %inputs_left, label %advance, label %advanced
advanced:
  %s_next = add i64 %s, 1
  %steps_left = icmp slt i64 %s_next, %num
  br i1 %steps_left, label %step, label %take
end:
  ret void
}
declare float @llvm.fabs.f32(float)
"""

# What all threads get, 64 bits each: how many have come so far; a function that returns a thread's number, else 0; how
# many threads there are; from place `_FIRST` on the following; and then the area of each thread.
_FIRST = 3
_CALL = {
    "jobs": "i64", "order": "ptr", "tables": "ptr", "steps": "ptr", "inputs": "i64", "functions": "ptr", "calls": "i64",
    "num": "i64", "watched": "i64", "stopped": "ptr",
}  # fmt: skip
_AREA = 4  # of each thread: its table, its own inputs, scratch, and how many of its jobs have been taken
_FIELDS = "".join(
    f"  %{name}_at = getelementptr i64, ptr %call, i64 {_FIRST + i}\n  %{name} = load {kind}, ptr %{name}_at\n"
    for i, (name, kind) in enumerate(_CALL.items())
)

_MEMBER = f"""
define void @member(ptr %call) {{
  %asks_at = getelementptr i64, ptr %call, i64 1
  %asks = load ptr, ptr %asks_at
  %unknown = icmp eq ptr %asks, null
  br i1 %unknown, label %arrive, label %ask
arrive:
  %arrived = atomicrmw add ptr %call, i64 1 monotonic
  br label %go
ask:
  %number = call i32 %asks()
  %asked = zext i32 %number to i64
  br label %go
go:
  %place = phi i64 [ %arrived, %arrive ], [ %asked, %ask ]
  %many_at = getelementptr i64, ptr %call, i64 2
  %many = load i64, ptr %many_at
  %mine = icmp slt i64 %place, %many
  br i1 %mine, label %join, label %leave
join:
{_FIELDS}  %areas = getelementptr i64, ptr %call, i64 {_FIRST + len(_CALL)}
  call void @worker(ptr %areas, i64 %many, i64 %place, i64 %jobs, ptr %order, ptr %tables, ptr %steps, i64 %inputs,
                    ptr %functions, i64 %calls, i64 %num, i64 %watched, ptr %stopped)
  br label %leave
leave:
  ret void
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """What there is to do: for each job a table of its inputs and the functions to call on it.

    Args:
        tables_JI: addresses of the inputs at the first step; 0: memory of the thread that does the job.
        functions: for each job those that are called at each step, in order; None: nothing.
        own: bytes of the thread's memory, by input.
        watched: an input, a float32, that stops its job where it is not finite after a step; None: none does.
    """

    tables_JI: np.ndarray
    functions: Sequence[Sequence[Function | None]]
    own: dict[int, int]
    watched: int | None = None


class Workers:
    """Carries out jobs.

    Args:
        jobs: which.
        num_threads: at most so many at once.
        team: on PyTorch's threads, where that is possible and it uses several: for work of less than a millisecond.
    """

    def __init__(self, jobs: Jobs, num_threads: int, *, team: bool = False) -> None:
        self._jobs, self._team = jobs, openmp.team() if team else None
        self._addresses_JF = np.array(
            [[each.address if each else 0 for each in line] for line in jobs.functions], dtype=np.int64
        ).reshape(len(jobs.functions), -1 if jobs.functions else 0)
        known = [each for line in jobs.functions for each in line if each is not None]
        self._libraries = {each.library for each in known}
        scratch = max((each.scratch for each in known), default=0)
        num_inputs = jobs.tables_JI.shape[1]
        self._areas = [
            _Area(num_inputs, jobs.own, scratch) for _ in range(max(1, min(num_threads, len(jobs.tables_JI))))
        ]

    def run(self, order: np.ndarray, num_steps: int, steps_I: np.ndarray, stopped_J: np.ndarray) -> None:
        """Do some jobs.

        Args:
            order: numbers of the jobs.
            num_steps: T, at least 1.
            steps_I: how far each input moves from a step to the next, in bytes.
            stopped_J: uint8, set to 1 for each job that is stopped.
        """
        self._prepared(order, num_steps, steps_I, stopped_J)()

    def once_each(self) -> Callable[[], None]:
        """What does one step of every job, as often as it is called."""
        num_jobs, num_inputs = self._jobs.tables_JI.shape
        still_I, stopped_J = np.zeros(num_inputs, dtype=np.int64), np.zeros(num_jobs, dtype=np.uint8)
        return self._prepared(np.arange(num_jobs), 1, still_I, stopped_J)

    def _prepared(
        self, order: np.ndarray, num_steps: int, steps_I: np.ndarray, stopped_J: np.ndarray
    ) -> Callable[[], None]:
        order = np.ascontiguousarray(order, dtype=np.int64)
        steps_I = np.ascontiguousarray(steps_I, dtype=np.int64)
        tables_JI, used = self._jobs.tables_JI, self._areas[: max(1, len(order))]
        given = {
            "jobs": len(order), "order": order.ctypes.data, "tables": tables_JI.ctypes.data,
            "steps": steps_I.ctypes.data, "inputs": tables_JI.shape[1], "functions": self._addresses_JF.ctypes.data,
            "calls": self._addresses_JF.shape[1], "num": num_steps,
            "watched": -1 if self._jobs.watched is None else self._jobs.watched, "stopped": stopped_J.ctypes.data,
        }  # fmt: skip
        areas = [at for area in used for at in (area.table, area.own_I.ctypes.data, area.scratch, 0)]
        call = np.array([0, 0, len(used), *(given[name] for name in _CALL), *areas], dtype=np.int64)
        taken = call[-len(areas) :][_AREA - 1 :: _AREA]
        call_at, num_threads, team = call.ctypes.data, len(used), self._team
        library, member = _member()
        member_at = library.address("member")

        # What the call has the addresses of lives as long as what is returned.
        def do(_kept: object = (self, order, steps_I, stopped_J)) -> None:
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
    """A thread's memory: its table of inputs, inputs of its own, scratch."""

    def __init__(self, num_inputs: int, own: dict[int, int], scratch: int) -> None:
        sizes = [8 * num_inputs, *own.values(), scratch]
        self._memory = torch.zeros(sum(map(whole_lines, sizes)) + LINE, dtype=torch.uint8, device="cpu")
        self.table = whole_lines(self._memory.data_ptr())
        self.own_I = np.zeros(num_inputs, dtype=np.int64)
        place = self.table + whole_lines(8 * num_inputs)
        for i, size in own.items():
            self.own_I[i] = place
            place += whole_lines(size)
        self.scratch = place


@cache
def _member() -> tuple[Library, Callable[[int], None]]:
    library = Library(_WORKER.replace("AREA", str(_AREA)) + _MEMBER)
    return library, ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library.address("member"))


@cache
def _pool(process: int) -> ThreadPoolExecutor:  # noqa: ARG001 (a fork has none of its parent's threads)
    return ThreadPoolExecutor(thread_name_prefix="ravine")
