"""How many threads a step uses on a CPU that other programs may use too."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

_WORSE = 1.5  # a step so many times slower than usual makes the other number of threads worth a try
_TRY_STEPS = 5  # steps of a try
_FIRST_WAIT, _LAST_WAIT = 0.5, 30.0  # seconds between two tries, at first and at most
_AT_ONCE_SECONDS = 0.04  # between two looks at the clock, about


class Pace:
    """How many steps are done between two looks at the clock, where each look costs something."""

    def __init__(self) -> None:
        self._num = 1

    def run(self, steps: Callable[[int], int], most: int) -> None:
        """Run some steps: as many as take a few hundredths of a second, but at most ``most``."""
        began = time.perf_counter()
        num = steps(min(self._num, most))
        each = max(time.perf_counter() - began, 1e-6) / num
        self._num = max(1, min(2 * max(num, self._num), int(_AT_ONCE_SECONDS / each)))


class Threads:
    """Runs steps with all threads or with one, whichever is faster just now.

    PyTorch's threads wait for each other by spinning. Where another program keeps one of them off its core,
    the others spin until they lose theirs: a step took up to 40 times as long beside one busy process on two
    cores, and with one thread 2.5 times as long. So every now and then, and at once where steps become slow,
    a few steps are run in the other way. The bits of a fused program do not depend on it.

    Args:
        device: where the steps run; on an accelerator nothing is tried.
        adapt: False keeps to all threads: a single run's kernels share its work out among them, and its last
            bits then depend on their number.
    """

    def __init__(self, device: torch.device, *, adapt: bool) -> None:
        self._many = torch.get_num_threads() if device.type == "cpu" and adapt else 1
        self._now = self._many
        self._usual = 0.0  # seconds of a step in the way that is used now
        self._trial: list[float] | None = None
        self._wait = _FIRST_WAIT
        self._next = time.perf_counter() + _FIRST_WAIT

    def run(self, step: Callable[[], object]) -> None:
        """Run one step."""
        began = time.perf_counter()
        step()
        ended = time.perf_counter()
        if self._many == 1:
            return
        seconds = ended - began
        if self._trial is not None:
            self._trial.append(seconds)
            mean = sum(self._trial) / len(self._trial)
            if len(self._trial) == _TRY_STEPS or mean > _WORSE * self._usual:
                self._decide(mean, ended)
            return
        slow = 0.0 < self._usual * _WORSE < seconds
        self._usual = seconds if self._usual == 0.0 else 0.9 * self._usual + 0.1 * seconds
        if ended > self._next or (slow and ended > self._next - self._wait + _FIRST_WAIT / 4):
            self._trial = []
            self._switch()

    def close(self) -> None:
        """Give the program its number of threads back."""
        if self._now != self._many:
            self._switch()

    def _decide(self, seconds: float, now: float) -> None:
        """Stay with what was tried if it was faster; try less often while nothing changes."""
        self._trial = None
        if seconds < self._usual:
            self._usual, self._wait = seconds, _FIRST_WAIT
        else:
            self._switch()
            self._wait = min(2 * self._wait, _LAST_WAIT)
        self._next = now + self._wait

    def _switch(self) -> None:
        self._now = 1 if self._now == self._many else self._many
        torch.set_num_threads(self._now)
