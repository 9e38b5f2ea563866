"""What a thread does, in LLVM's language: it takes one group of jobs after another, until none is left.

A step of a group consists of rounds: a function of the whole group, and then some functions of each of its jobs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

from ravine.native.denormals import control
from ravine.native.machine import Library, library_of

_WORKER = """
define void @worker(ptr %areas, i64 %many, i64 %place, i64 %groups, ptr %bounds, ptr %order, ptr %tables, ptr %steps,
                    i64 %inputs, ptr %functions, i64 %calls, ptr %rounds, i64 %num_rounds, i64 %num, i64 %watched,
                    ptr %stopped) {
entry:
  %area_number = mul i64 %place, AREA
  %area = getelementptr i64, ptr %areas, i64 %area_number
  %members_at = load ptr, ptr %area
  %own_at_area = getelementptr i64, ptr %area, i64 1
  %own = load ptr, ptr %own_at_area
  %scratch_at = getelementptr i64, ptr %area, i64 2
  %scratch = load ptr, ptr %scratch_at
  %size = add i64 %inputs, 1
  br label %visit
visit:
  %visited = phi i64 [ 0, %entry ], [ %visited_next, %leave ]
  %ahead = add i64 %place, %visited
  %whose = urem i64 %ahead, %many
  %low_all = mul i64 %whose, %groups
  %low = udiv i64 %low_all, %many
  %high_all = add i64 %low_all, %groups
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
  %bound_at = getelementptr i64, ptr %bounds, i64 %next
  %from = load i64, ptr %bound_at
  %until_at = getelementptr i64, ptr %bound_at, i64 1
  %until = load i64, ptr %until_at
  %together = sub i64 %until, %from
  %jobs = getelementptr i64, ptr %order, i64 %from
  br label %member
member:
  %c_m = phi i64 [ 0, %begin ], [ %c_m_next, %copied ]
  %c_job_at = getelementptr i64, ptr %jobs, i64 %c_m
  %c_job = load i64, ptr %c_job_at
  %row = mul i64 %c_job, %inputs
  %table_at = getelementptr i64, ptr %tables, i64 %row
  %c_far = mul i64 %c_m, %size
  %c_table = getelementptr i64, ptr %members_at, i64 %c_far
  br label %copy
copy:
  %n = phi i64 [ 0, %member ], [ %n_next, %copy ]
  %given_at = getelementptr i64, ptr %table_at, i64 %n
  %given = load i64, ptr %given_at
  %own_at = getelementptr i64, ptr %own, i64 %n
  %mine = load i64, ptr %own_at
  %absent = icmp eq i64 %given, 0
  %chosen = select i1 %absent, i64 %mine, i64 %given
  %copied_at = getelementptr i64, ptr %c_table, i64 %n
  store i64 %chosen, ptr %copied_at
  %n_next = add i64 %n, 1
  %to_copy = icmp slt i64 %n_next, %inputs
  br i1 %to_copy, label %copy, label %copied
copied:
  %c_over_at = getelementptr i64, ptr %c_table, i64 %inputs
  store i64 0, ptr %c_over_at
  %c_m_next = add i64 %c_m, 1
  %to_begin = icmp slt i64 %c_m_next, %together
  br i1 %to_begin, label %member, label %step
step:
  %s = phi i64 [ 0, %copied ], [ %s_next, %stepped ]
  %left = phi i64 [ %together, %copied ], [ %left_then, %stepped ]
  br label %round
round:
  %r = phi i64 [ 0, %step ], [ %r_next, %rounded ]
  %left_before = phi i64 [ %left, %step ], [ %left_then, %rounded ]
  %round_number = mul i64 %r, 3
  %first_at = getelementptr i64, ptr %rounds, i64 %round_number
  %first = load ptr, ptr %first_at
  %from_at = getelementptr i64, ptr %first_at, i64 1
  %c_from = load i64, ptr %from_at
  %to_at = getelementptr i64, ptr %first_at, i64 2
  %c_to = load i64, ptr %to_at
  %r_next = add i64 %r, 1
  %last = icmp eq i64 %r_next, %num_rounds
  %shares = icmp ne ptr %first, null
  br i1 %shares, label %share, label %turn
share:
  call void %first(ptr %members_at, ptr %scratch, i64 %together, i64 %size)
  br label %turn
turn:
  %m = phi i64 [ 0, %round ], [ 0, %share ], [ %m_next, %advanced ]
  %left_so_far = phi i64 [ %left_before, %round ], [ %left_before, %share ], [ %left_then, %advanced ]
  %far = mul i64 %m, %size
  %table = getelementptr i64, ptr %members_at, i64 %far
  %over_at = getelementptr i64, ptr %table, i64 %inputs
  %over = load i64, ptr %over_at
  %job_at = getelementptr i64, ptr %jobs, i64 %m
  %job = load i64, ptr %job_at
  %called_first = mul i64 %job, %calls
  %functions_at = getelementptr ptr, ptr %functions, i64 %called_first
  %goes = icmp eq i64 %over, 0
  %calls_some = icmp slt i64 %c_from, %c_to
  %does = and i1 %goes, %calls_some
  br i1 %does, label %call, label %look
call:
  %c = phi i64 [ %c_from, %turn ], [ %c_next, %called ]
  %function_at = getelementptr ptr, ptr %functions_at, i64 %c
  %function = load ptr, ptr %function_at
  %none = icmp eq ptr %function, null
  br i1 %none, label %called, label %do
do:
  call void %function(ptr %table, ptr %scratch)
  br label %called
called:
  %c_next = add i64 %c, 1
  %calls_left = icmp slt i64 %c_next, %c_to
  br i1 %calls_left, label %call, label %look
look:
  br i1 %last, label %watching, label %advanced
watching:
  %is_watched = icmp sge i64 %watched, 0
  %watch = and i1 %is_watched, %goes
  br i1 %watch, label %check, label %advance
check:
  %watched_at = getelementptr ptr, ptr %table, i64 %watched
  %number_at = load ptr, ptr %watched_at
  %number = load float, ptr %number_at
  %how_large = call float @llvm.fabs.f32(float %number)
  %finite = fcmp olt float %how_large, 0x7FF0000000000000
  br i1 %finite, label %advance, label %stop
stop:
  %stopped_at = getelementptr i8, ptr %stopped, i64 %job
  store i8 1, ptr %stopped_at
  store i64 1, ptr %over_at
  %left_after = sub i64 %left_so_far, 1
  br label %advance
advance:
  %i = phi i64 [ 0, %watching ], [ 0, %check ], [ 0, %stop ], [ %i_next, %advance ]
  %left_now = phi i64 [ %left_so_far, %watching ], [ %left_so_far, %check ], [ %left_after, %stop ],
                      [ %left_now, %advance ]
  %pointer_at = getelementptr i64, ptr %table, i64 %i
  %far_at = getelementptr i64, ptr %steps, i64 %i
  %pointer = load i64, ptr %pointer_at
  %by = load i64, ptr %far_at
  %moved = add i64 %pointer, %by
  store i64 %moved, ptr %pointer_at
  %i_next = add i64 %i, 1
  %inputs_left = icmp slt i64 %i_next, %inputs
  br i1 %inputs_left, label %advance, label %advanced
advanced:
  %left_then = phi i64 [ %left_so_far, %look ], [ %left_now, %advance ]
  %m_next = add i64 %m, 1
  %members_left = icmp slt i64 %m_next, %together
  br i1 %members_left, label %turn, label %rounded
rounded:
  br i1 %last, label %stepped, label %round
stepped:
  %s_next = add i64 %s, 1
  %steps_left = icmp slt i64 %s_next, %num
  %some_left = icmp sgt i64 %left_then, 0
  %on = and i1 %steps_left, %some_left
  br i1 %on, label %step, label %take
end:
  ret void
}
declare float @llvm.fabs.f32(float)
"""

# What all threads get, 64 bits each: how many have come so far; a function that returns a thread's number, else 0; how
# many threads there are; whether denormal numbers are taken for 0; from place `_FIRST` on the following; and then the
# area of each thread.
_FIRST = 4
CALL = {
    "groups": "i64", "bounds": "ptr", "order": "ptr", "tables": "ptr", "steps": "ptr", "inputs": "i64",
    "functions": "ptr", "calls": "i64", "rounds": "ptr", "num_rounds": "i64", "num": "i64", "watched": "i64",
    "stopped": "ptr",
}  # fmt: skip
AREA = 4  # of each thread: tables, its own inputs, scratch, and how many of its groups have been taken
_FIELDS = "".join(
    f"  %{name}_at = getelementptr i64, ptr %call, i64 {_FIRST + i}\n  %{name} = load {kind}, ptr %{name}_at\n"
    for i, (name, kind) in enumerate(CALL.items())
)

_WORK = (
    "call void @worker(ptr %areas, i64 %many, i64 %place, "
    f"{', '.join(f'{kind} %{name}' for name, kind in CALL.items())})"
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
{_FIELDS}  %areas = getelementptr i64, ptr %call, i64 {_FIRST + len(CALL)}
  %flushes_at = getelementptr i64, ptr %call, i64 3
  %flushes = load i64, ptr %flushes_at
  %plainly = icmp eq i64 %flushes, 0
  br i1 %plainly, label %plain, label %flushing
plain:
  {_WORK}
  br label %leave
flushing:
  %word = call i64 @flush()
  {_WORK}
  call void @restore(i64 %word)
  br label %leave
leave:
  ret void
}}
"""


@cache
def thread() -> tuple[Library, Callable[[int], None]]:
    """What each thread calls with the address of an array: where it is, and as a function."""
    library = library_of(_WORKER.replace("AREA", str(AREA)) + control() + _MEMBER)
    return library, ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library.address("member"))
