"""Each run's mean loss and accuracy since the last evaluation, in a few numbers however many steps there were.

Shapes: R run, T step.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ravine.engine.records import Arrays

_BLOCK = 4096  # steps that are summed at once; fixed, so that sums do not depend on how steps came in


class History:
    """Mean loss and accuracy of a stretch of steps, and the first of them whose loss was no finite number.

    Steps are summed in float64 by blocks of a fixed length counted from the last `clear`: a run that was interrupted
    gets the same sums as one that was not.

    Args:
        num_runs: R.
    """

    def __init__(self, num_runs: int) -> None:
        self._num_runs = num_runs
        self.clear()

    def clear(self) -> None:
        """Forget all steps."""
        self.num_steps = 0
        self._num_pending = 0
        self._pending: list[tuple[Tensor, Tensor]] = []
        self._sums_2R = np.zeros((2, self._num_runs))
        self._bad_R = np.full(self._num_runs, -1, dtype=np.int64)

    def add(self, loss_TR: Tensor, accuracy_TR: Tensor) -> None:
        """The next T steps."""
        self._pending.append((loss_TR, accuracy_TR))
        self.num_steps += len(loss_TR)
        self._num_pending += len(loss_TR)
        if self._num_pending >= _BLOCK:
            self._fold(_BLOCK)

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean loss and accuracy, float64 (R,), and the first step without a finite loss, counted from 0, or -1."""
        self._fold(1)
        loss_R, accuracy_R = self._sums_2R / max(self.num_steps, 1)
        return loss_R, accuracy_R, self._bad_R

    def arrays(self) -> Arrays:
        """A copy of everything, for a snapshot."""
        losses, accuracies = self._joined()
        return {
            "history_steps": np.array(self.num_steps),
            "history_sums": self._sums_2R.copy(),
            "history_bad": self._bad_R.copy(),
            "losses": losses,
            "accuracies": accuracies,
        }

    def load(self, arrays: Arrays) -> None:
        """Go on from a snapshot."""
        self.clear()
        self._sums_2R, self._bad_R = arrays["history_sums"].copy(), arrays["history_bad"].copy()
        pending = torch.from_numpy(arrays["losses"]), torch.from_numpy(arrays["accuracies"])
        self._pending, self._num_pending = [pending], len(pending[0])
        self.num_steps = int(arrays["history_steps"])

    def _joined(self) -> tuple[np.ndarray, np.ndarray]:
        if not self._pending:
            empty = np.empty((0, self._num_runs), dtype=np.float32)
            return empty, empty
        losses, accuracies = ([part[i].cpu() for part in self._pending] for i in (0, 1))
        return torch.cat(losses).numpy(), torch.cat(accuracies).numpy()

    def _fold(self, least: int) -> None:
        """Sum whole blocks of what is pending, and at the end of a stretch the rest."""
        losses_TR, accuracies_TR = self._joined()
        start = self.num_steps - len(losses_TR)
        done = 0
        while len(losses_TR) - done >= least:
            block = slice(done, done + _BLOCK)
            for sum_R, values_TR in zip(self._sums_2R, (losses_TR, accuracies_TR), strict=True):
                sum_R += values_TR[block].sum(0, dtype=np.float64)
            bad_TR = ~np.isfinite(losses_TR[block])
            first_R = np.where(
                bad_TR.any(0) & (self._bad_R < 0), start + done + bad_TR.argmax(0), self._bad_R
            )
            self._bad_R = first_R
            done += len(bad_TR)
        rest = torch.from_numpy(losses_TR[done:]), torch.from_numpy(accuracies_TR[done:])
        self._pending, self._num_pending = ([rest] if len(rest[0]) else []), len(rest[0])
