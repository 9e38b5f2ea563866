"""The curvature that a few past steps have shown: limited-memory BFGS.

Shapes: R run, M pairs that are remembered, N = 2 M, P numbers of one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(slots=True, kw_only=True)
class History:
    """The last M pairs of every run, as a ring.

    The inverse Hessian is H = gamma I + [S Y] K [S Y]', with gamma = s'y / y'y of the newest pair. K is small, so that
    a direction is two products with the pairs and no loop over them.

    Args:
        pairs_RNP: M steps s, then M changes y of the gradient.
        sy_RMM: s_i'y_j.
        yy_RMM: y_i'y_j.
        counts: pairs that every run has seen.

    Source: Byrd, Nocedal and Schnabel, 1994, theorem 2.2.
    """

    pairs_RNP: Tensor
    sy_RMM: Tensor
    yy_RMM: Tensor
    counts: list[int]

    @classmethod
    def empty(cls, num_runs: int, size: int, most: int, like: Tensor) -> History:
        """No pair yet.

        Args:
            num_runs: R.
            size: P.
            most: M.
            like: a tensor of the dtype and on the device.
        """
        square = (num_runs, most, most)
        return cls(
            pairs_RNP=like.new_zeros((num_runs, 2 * most, size)),
            sy_RMM=like.new_zeros(square),
            yy_RMM=like.new_zeros(square),
            counts=[0] * num_runs,
        )

    def push(self, runs: Sequence[int], s_KP: Tensor, y_KP: Tensor) -> None:
        """Remember one more pair of some runs, in place of their oldest.

        Args:
            runs: K of them.
            s_KP: steps, of positive curvature.
            y_KP: what they changed in the gradient.
        """
        most = self.sy_RMM.shape[1]
        for run, s_P, y_P in zip(runs, s_KP, y_KP, strict=True):
            slot = self.counts[run] % most
            self.counts[run] += 1
            pairs_NP = self.pairs_RNP[run]
            pairs_NP[slot], pairs_NP[most + slot] = s_P, y_P
            products_N = pairs_NP @ y_P
            self.sy_RMM[run, :, slot] = products_N[:most]
            self.yy_RMM[run, :, slot] = self.yy_RMM[run, slot] = products_N[most:]

    def forget(self, run: int) -> None:
        """Begin one run's history anew."""
        self.counts[run] = 0
        for tensor in (self.pairs_RNP, self.sy_RMM, self.yy_RMM):
            tensor[run] = 0.0

    def direction(self, grad_RP: Tensor) -> Tensor:
        """-H g of every run, (R, P); -g of a run without a pair.

        Args:
            grad_RP: g.
        """
        if not any(self.counts):
            return -grad_RP
        gamma_R11, middle_RNN = self._middle()
        products_RN1 = self.pairs_RNP @ grad_RP.unsqueeze(2)
        weights_RN1 = (middle_RNN @ products_RN1.double()).to(grad_RP.dtype)
        return -(self.pairs_RNP.mT @ weights_RN1).squeeze(2) - gamma_R11[:, 0].to(grad_RP.dtype) * grad_RP

    def _middle(self) -> tuple[Tensor, Tensor]:
        """gamma and K: the triangular part of S'Y in the order of time, solved in float64."""
        most, device = self.sy_RMM.shape[1], self.sy_RMM.device
        order_RM = torch.tensor(
            [[(count + i) % most for i in range(most)] for count in self.counts], device=device
        )  # oldest first; slots never used come before it, and hold zeros
        rows, left, right = (
            torch.arange(len(self.counts), device=device),
            order_RM[:, :, None],
            order_RM[:, None],
        )
        sy_RMM = self.sy_RMM[rows[:, None, None], left, right].double().triu()
        yy_RMM = self.yy_RMM[rows[:, None, None], left, right].double()
        diagonal_RM = sy_RMM.diagonal(dim1=1, dim2=2)
        unused_RM = diagonal_RM == 0.0
        gamma_R = torch.where(
            unused_RM[:, -1], torch.ones_like(diagonal_RM[:, -1]), diagonal_RM[:, -1] / yy_RMM[:, -1, -1]
        )
        gamma_R11 = gamma_R[:, None, None]
        identity_MM = torch.eye(most, dtype=torch.float64, device=device)
        inverse_RMM = torch.linalg.solve_triangular(
            sy_RMM + torch.diag_embed(unused_RM.double()), identity_MM.expand_as(sy_RMM), upper=True
        )
        inner_RMM = torch.diag_embed(diagonal_RM) + gamma_R11 * yy_RMM
        corner_RMM = inverse_RMM.mT @ inner_RMM @ inverse_RMM
        middle_RNN = torch.cat(
            [
                torch.cat([corner_RMM, -gamma_R11 * inverse_RMM.mT], 2),
                torch.cat([-gamma_R11 * inverse_RMM, torch.zeros_like(inverse_RMM)], 2),
            ],
            1,
        )
        back_RM = order_RM.argsort(1)
        back_RN = torch.cat([back_RM, back_RM + most], 1)
        return gamma_R11, middle_RNN[rows[:, None, None], back_RN[:, :, None], back_RN[:, None]]
