"""Numbers too small for float32's full precision, below 1.2e-38: processors take far longer for them.

Weights that fine-tuning or weight decay has made so small, and what they are multiplied by, are 0 as far as anybody can
tell. In runs of backbones they are: a thread's control word says so, and gets its old value back.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch

from ravine.native.machine import Library, library_of
from ravine.native.team import team

_X86 = """
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)
define i64 @flush() {
  %place = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %place)
  %before = load i32, ptr %place
  %after = or i32 %before, 32832
  store i32 %after, ptr %place
  call void @llvm.x86.sse.ldmxcsr(ptr %place)
  %word = zext i32 %before to i64
  ret i64 %word
}
define void @restore(i64 %word) {
  %place = alloca i32
  %before = trunc i64 %word to i32
  store i32 %before, ptr %place
  call void @llvm.x86.sse.ldmxcsr(ptr %place)
  ret void
}
"""  # 32832: results that are denormal, and arguments that are
_ARM = """
declare i64 @llvm.aarch64.get.fpcr()
declare void @llvm.aarch64.set.fpcr(i64)
define i64 @flush() {
  %before = call i64 @llvm.aarch64.get.fpcr()
  %after = or i64 %before, 16777216
  call void @llvm.aarch64.set.fpcr(i64 %after)
  ret i64 %before
}
define void @restore(i64 %word) {
  call void @llvm.aarch64.set.fpcr(i64 %word)
  ret void
}
"""
_OTHER = """
define i64 @flush() {
  ret i64 0
}
define void @restore(i64 %word) {
  ret void
}
"""
_EACH = """
define void @each(ptr %call) {
  %asks = load ptr, ptr %call
  %number = call i32 %asks()
  %place = zext i32 %number to i64
  %at = getelementptr i64, ptr %call, i64 2
  %word_at = getelementptr i64, ptr %at, i64 %place
  %begins_at = getelementptr i64, ptr %call, i64 1
  %begins = load i64, ptr %begins_at
  %on = icmp ne i64 %begins, 0
  br i1 %on, label %begin, label %end
begin:
  %before = call i64 @flush()
  store i64 %before, ptr %word_at
  ret void
end:
  %word = load i64, ptr %word_at
  call void @restore(i64 %word)
  ret void
}
"""


def control() -> str:
    """LLVM's text of ``flush``, which returns the control word of before, and ``restore``, which takes it."""
    kind = platform.machine().lower()
    return _X86 if kind in ("x86_64", "amd64") else _ARM if kind in ("aarch64", "arm64") else _OTHER


@contextmanager
def flushed(wanted: bool = True) -> Iterator[None]:
    """Within it, PyTorch's threads on a processor take denormal numbers for 0; afterwards as before.

    `torch.set_flush_denormal` does so for the thread that calls it alone.

    Args:
        wanted: False: nothing is changed.

    Example:
        >>> with flushed():
        ...     print((torch.tensor([1e-30]) * 1e-10).item())
        0.0
    """
    together, num = team(), torch.get_num_threads()
    if not wanted:
        yield
        return
    if together is None:
        with _alone():
            yield
        return
    call = np.zeros(2 + num, dtype=np.int64)
    call[0], call[1] = together.number, 1
    each = _library().address("each")
    together.begin(each, call.ctypes.data, num, 0)
    try:
        yield
    finally:
        call[1] = 0
        together.begin(each, call.ctypes.data, num, 0)


@contextmanager
def _alone() -> Iterator[None]:
    """This thread."""
    before = bool(torch.tensor(1e-30).mul(1e-10).item() == 0.0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@cache
def _library() -> Library:
    return library_of(control() + _EACH)
